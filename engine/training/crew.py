"""Several GPUs of one machine on one fold: a process each, gradients averaged by torch's DistributedDataParallel.

Each batch of the spec is parted into as many equal pieces, so that a fold takes the same steps as on one GPU; only batch norms
see less at a time. What is random is a function of (seed, fold, step, rank). Rank 0 is the run's own process: it alone stops,
validates, saves and writes. The others are started for a fold, follow it, and end with it, or when its process is gone.

fastai's DistributedTrainer is not used: it wants the package accelerate, deals batches out anew by CUDA broadcasts and fills
them up, so that a run could not go on inside an epoch bit for bit, and nothing of it could be tried without GPUs.
"""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

# Before torch is loaded, as for a run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.distributed as dist
from fastai.callback.core import Callback, CancelValidException
from torch.nn.parallel import DistributedDataParallel

from engine.contract import EXIT_BUG, OnehourError, RunSpec
from engine.run_folder import RunFolder

log = logging.getLogger(__name__)
FAREWELL_S = 60.0  # for the others to end after the last step
PATIENCE = timedelta(days=1)  # the others wait while rank 0 validates, decodes or writes


@dataclass(frozen=True)
class Crew:
    """This process among those that train a fold together."""

    rank: int = 0
    ranks: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0


ALONE = Crew()


def refuse_uneven(spec: RunSpec, ranks: int) -> None:
    """Raise OnehourError where batches cannot be parted among `ranks` processes."""
    for key, value in (("batch_size", spec.batch_size), *((("pk_labels", spec.pk_labels),) * (spec.sampler == "pk"))):
        if value % ranks:
            raise OnehourError(
                f"{key} = {value} cannot be parted among {ranks}", "--gpus", f"Set {key} to a multiple of {ranks}."
            )
    if spec.batch_size < 2 * ranks:
        raise OnehourError(
            f"batch_size = {spec.batch_size} leaves one image for each of {ranks}", "--gpus", "Two or more are needed."
        )


def refuse_absent(gpus: int) -> None:
    """Raise OnehourError where this machine shows fewer CUDA devices: who asks for one does not want days on the processor."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus > found:
        raise OnehourError(
            f"{gpus} GPU{'s are' if gpus > 1 else ' is'} asked for and torch sees {found or 'none'} on {platform.node()}",
            "--gpus",
            "CUDA_VISIBLE_DEVICES may hide some."
            if found
            else "Does nvidia-smi find it there? Without --gpus, or on a slot cpu:0, it trains on the processor.",
        )


@contextmanager
def crew_of(folder: RunFolder, fold: int, ranks: int) -> Iterator[Crew]:
    """Rank 0 of `ranks` processes that train `fold`; the others are started, and gone afterwards, however this ends."""
    if ranks == 1:
        yield ALONE
        return
    with tempfile.TemporaryDirectory(prefix="onehour-crew-") as meeting:
        followers = [_started(folder, fold, Crew(rank, ranks), Path(meeting)) for rank in range(1, ranks)]
        over = threading.Event()
        for rank, follower in enumerate(followers, start=1):
            threading.Thread(target=_watch, args=(rank, follower, over), daemon=True).start()
        try:
            join(Crew(0, ranks), Path(meeting))
            yield Crew(0, ranks)
            with suppress(subprocess.TimeoutExpired):
                for follower in followers:
                    follower.wait(FAREWELL_S)
        finally:
            over.set()
            for follower in followers:
                follower.kill()
                follower.wait()
                assert follower.stdin is not None
                follower.stdin.close()
            dist.destroy_process_group()


def join(crew: Crew, meeting: Path) -> None:
    """Meet the other processes over a file in the folder `meeting`; on a CUDA device each where there is one."""
    if torch.cuda.is_available():
        torch.cuda.set_device(crew.rank)
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{meeting / 'met'}", rank=crew.rank, world_size=crew.ranks, timeout=PATIENCE,
    )  # fmt: skip


def _started(folder: RunFolder, fold: int, crew: Crew, meeting: Path) -> subprocess.Popen[bytes]:
    quiet = () if sys.warnoptions else ("-W", "ignore")  # as of a command: what libraries say to their developers
    command = [sys.executable, *quiet, "-m", "engine.training.follower", str(folder.path), str(fold), str(crew.rank)]
    # What is led through stdin is nothing: its end tells that this process is gone.
    return subprocess.Popen([*command, str(crew.ranks), str(meeting)], stdin=subprocess.PIPE)


def _watch(rank: int, follower: subprocess.Popen[bytes], over: threading.Event) -> None:
    """A rank that breaks leaves the others waiting inside torch, where no exception reaches them: the process must end.

    What was saved stays, and the run goes on from there.
    """
    code = follower.wait()
    if code and not over.is_set():
        log.error("rank %d ended with exit code %d; its words stand above", rank, code)
        os._exit(EXIT_BUG)


class Together(Callback):
    """In every process of a crew: the net is trained as one, and draws differ by rank but not by how often a run was stopped."""

    order = -999  # after Rewind, before anything that draws

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def before_fit(self) -> None:
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else None
        self.learn.model = DistributedDataParallel(self.learn.model, device_ids=devices)

    def before_batch(self) -> None:
        if self.training:
            self.learn.resume.seed_step(self.crew.rank)

    def after_loss(self) -> None:
        """What is measured is the loss of the whole batch; a rank that has lost it loses it for all."""
        if self.training:
            mean = self.learn.loss.detach().clone()
            dist.all_reduce(mean)
            self.learn.loss = mean / self.crew.ranks

    def after_train(self) -> None:
        for buffer in self.learn.model.module.buffers():  # the running statistics of rank 0 are those that predict
            dist.broadcast(buffer, 0)

    def before_validate(self) -> None:
        if not self.crew.leads:
            raise CancelValidException

    def after_fit(self) -> None:
        self.learn.model = self.learn.model.module
