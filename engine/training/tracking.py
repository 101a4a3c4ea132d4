"""What a run says of its progress: metrics.jsonl, line by line, and W&B as a mirror that may fail or be absent."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.contract import RunSpec
from engine.run_folder import RunFolder

log = logging.getLogger(__name__)

# Names starting with x_ change between versions of wandb: those it does not know are left out.
QUIET = {
    "console": "off",
    "silent": True,
    "init_timeout": 15,
    "finish_timeout": 30,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "host": "redacted",
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 1,
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Sample:
    """A validation image as the finished fold sees it: its best labels with their scores, and that of its own label.

    Where numbers are predicted `score` is the predicted one, and `top` is empty.
    """

    image: str
    label: str
    score: float
    top: tuple[tuple[str, float], ...]


class FoldLog:
    """The rows of one fold, in a file of its own where others are trained beside it (`is_apart`).

    A fold that was killed repeats the rows it lost: a reader takes the last of a step.
    """

    def __init__(self, spec: RunSpec, folder: RunFolder, fold: int, is_apart: bool = False) -> None:
        path = folder.fold_metrics_jsonl(fold) if is_apart else folder.metrics_jsonl
        self.fold, self.file = fold, path.open("a", encoding="utf-8")
        if not path.read_bytes().endswith(b"\n") and self.file.tell():
            self.file.write("\n")  # a killed run left half a line
        self.mirror = WandbMirror(spec, folder, fold)

    def __enter__(self) -> FoldLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        self.mirror.finish(failed=kind is not None)

    def write(self, kind: str, epoch: float, step: int, **values: float) -> None:
        """One row. `kind`: batch or epoch; `epoch`: epochs done; `step`: batches done in this fold."""
        self._append(kind, epoch, step, values)
        self.mirror.log({"epoch": epoch, **values}, step)

    def checkpoint(self, epoch: float, step: int) -> None:
        """A row of kind "checkpoint": from here on a restart would go on, inside an epoch."""
        self._append("checkpoint", epoch, step, {})

    def samples(self, epoch: float, step: int, samples: Sequence[Sample]) -> None:
        """A row of kind "sample" for each, and a table in W&B."""
        for sample in samples:
            self._append("sample", epoch, step, asdict(sample))
        self.mirror.log_samples(samples, step)

    def _append(self, kind: str, epoch: float, step: int, values: Mapping[str, Any]) -> None:
        row = {"kind": kind, "fold": self.fold, "epoch": epoch, "step": step, "at": now_ms(), **values}
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.file.flush()


class WandbMirror:
    """One W&B run a fold, grouped by the run's id. Whatever goes wrong here is logged and ends the mirror, not the run."""

    def __init__(self, spec: RunSpec, folder: RunFolder, fold: int) -> None:
        self.run: Any = None
        self.mode: str = "off"
        self.url: str | None = None
        if spec.tracking.wandb == "off":
            return
        modes: list[Literal["online", "offline"]] = ["offline"]
        if spec.tracking.wandb == "online":
            modes.insert(0, "online")
        for mode in modes:
            try:
                with _temporary_files_in(folder.wandb_dir / "tmp"):
                    self.run = _start(spec, folder, fold, mode)
                self.mode, self.url = mode, self.run.url if mode == "online" else None
                return
            except Exception as error:
                log.warning("W&B (%s) is not available: %s", mode, " ".join(str(error).split())[:200])

    def log(self, values: dict[str, float], step: int) -> None:
        if self.run is None:
            return
        try:
            self.run.log(values, step=step)
        except Exception as error:
            log.warning("the W&B mirror ends here: %s", " ".join(str(error).split())[:200])
            self.run = None

    def log_samples(self, samples: Sequence[Sample], step: int) -> None:
        if self.run is None:
            return
        top = [" ".join(f"{label} {score:.3f}" for label, score in sample.top) for sample in samples]
        rows = [[sample.image, sample.label, sample.score, words] for sample, words in zip(samples, top, strict=True)]
        try:
            import wandb

            self.run.log({"worst": wandb.Table(columns=["image", "label", "score", "top"], data=rows)}, step=step)
        except Exception as error:
            log.warning("the W&B mirror shows no samples: %s", " ".join(str(error).split())[:200])

    def finish(self, failed: bool) -> None:
        if self.run is None:
            return
        try:
            self.run.finish(exit_code=int(failed))
        except Exception as error:
            log.warning("the W&B run could not be closed: %s", " ".join(str(error).split())[:200])
        self.run = None


@contextmanager
def _temporary_files_in(place: Path) -> Iterator[None]:
    """wandb and its helper process make temporary folders as they start; those of a killed run would stay in /tmp."""
    place.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    before_below = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if before_below is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before_below


def _start(spec: RunSpec, folder: RunFolder, fold: int, mode: Literal["online", "offline"]) -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    known = wandb.Settings.model_fields
    run_id = spec.tracking.run_id or folder.run_id
    return wandb.init(
        project=spec.tracking.project,
        dir=str(folder.path),
        mode=mode,
        group=run_id,
        job_type="fold",
        id=f"{run_id}-f{fold}",
        name=f"{run_id}-f{fold}",
        resume="allow",
        reinit="finish_previous",
        tags=list(spec.tracking.tags) or None,
        notes=spec.tracking.notes or None,
        config=spec.model_dump(mode="json", exclude={"tracking": True, "data": {"dir"}}) | {"fold": fold},
        settings=wandb.Settings(**{name: value for name, value in QUIET.items() if name in known}),
    )
