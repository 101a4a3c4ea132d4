"""What a run says of its progress: metrics.jsonl, line by line, and W&B as a mirror that may fail or be absent."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.contract import RunSpec
from engine.mirror.wandb_run import WandbMirror
from engine.run_folder import RunFolder


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

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        fold: int,
        known: Mapping[str, Any] | None = None,
        is_apart: bool = False,
    ) -> None:
        """`known`: what the mirror says of the run beside its spec."""
        path = folder.fold_metrics_jsonl(fold) if is_apart else folder.metrics_jsonl
        self.fold, self.file = fold, path.open("a", encoding="utf-8")
        if not path.read_bytes().endswith(b"\n") and self.file.tell():
            self.file.write("\n")  # a killed run left half a line
        self.mirror = WandbMirror(spec, folder, fold, known)

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
        rows = [(one.image, one.label, one.score, _words(one)) for one in samples]
        self.mirror.log_table("worst", ("image", "label", "score", "top"), rows, epoch, step)

    def _append(self, kind: str, epoch: float, step: int, values: Mapping[str, Any]) -> None:
        row = {"kind": kind, "fold": self.fold, "epoch": epoch, "step": step, "at": now_ms(), **values}
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.file.flush()


def _words(sample: Sample) -> str:
    return " ".join(f"{label} {score:.3f}" for label, score in sample.top)
