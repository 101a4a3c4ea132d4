"""Every file name inside `runs/<run id>/`, and how they are written: whole or not at all.

The engine writes through this module and the app reads through it; nobody else spells these names.
Standard library and pydantic only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import ValidationError

from engine.contract import OnehourError, RunResult, RunSpec, spec_as_json, spec_from_mapping

# What is brought home of a run on another machine, and sent along when it goes on elsewhere: patterns below its folder.
# The specs are not among them: each machine has its own, with the places of its files.
TRAVELS = (
    "*.json", "*.jsonl", "*.csv", "*.csv.sha256", "*.npz", "*.png", "*.ipynb", "log*.txt",
    "fold*/*.pt", "fold*/*.npz", "fold*/*.jsonl", "fold*/log.txt", "wandb/*/*.wandb", "wandb/*/files/*", "wandb/*/files/media/*/*",
)  # fmt: skip
STAYS = ("spec.json", "spec.yaml")
MOST_FOLDS = 10_000  # a row that counts beyond is no row of ours
NOT_METRICS = {"kind", "fold", "epoch", "step", "at", "progress"}


@dataclass(frozen=True)
class EpochRow:
    """What was measured after `epoch` epochs of a fold."""

    fold: int
    epoch: float
    values: Mapping[str, float]


def travels(name: str) -> bool:
    """Whether the file `name` ("fold0/last.pt", relative to the run's folder) is one of those that go from machine to machine."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name in STAYS or any(part.startswith(".") for part in path.parts):
        return False
    return any(len(path.parts) == pattern.count("/") + 1 and path.match(pattern) for pattern in TRAVELS)


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run. `path` need not exist yet; `create` makes it."""

    path: Path

    @property
    def run_id(self) -> str:
        """The run's key, `slug_NNN-rNN` (a word: in the journal's tables `run_id` is the number of the row)."""
        return self.path.resolve().name

    @property
    def spec_json(self) -> Path:
        """The spec as resolved: every key, defaults included."""
        return self.path / "spec.json"

    @property
    def spec_yaml(self) -> Path:
        """The spec as asked for."""
        return self.path / "spec.yaml"

    @property
    def folds_csv(self) -> Path:
        """A line a training image: image, label, fold, group; images of one group never part."""
        return self.path / "folds.csv"

    @property
    def checks_json(self) -> Path:
        """What the check of the data found before training, as in a check's folder."""
        return self.path / "checks.json"

    @property
    def metrics_jsonl(self) -> Path:
        """One JSON object a line: kind ("batch" | "checkpoint" | "epoch" | "sample"), fold, epoch, at (ms UTC) and what
        was measured, under slashed names (a sample: image, label, score and the top labels with their scores)."""
        return self.path / "metrics.jsonl"

    def fold_metrics_jsonl(self, fold: int) -> Path:
        """The rows of a fold that a process of its own trains, beside metrics.jsonl: several nodes never append to one file."""
        return self.path / f"fold{fold}" / "metrics.jsonl"

    def fold_log_txt(self, fold: int) -> Path:
        """The log of a fold that a process of its own trains."""
        return self.path / f"fold{fold}" / "log.txt"

    def last_checkpoint(self, fold: int) -> Path:
        """The newest state of a fold's training, from which it goes on."""
        return self.path / f"fold{fold}" / "last.pt"

    def best_checkpoint(self, fold: int) -> Path:
        """The weights of the epoch whose metric was best on the fold's own images."""
        return self.path / f"fold{fold}" / "best.pt"

    def fold_predictions(self, fold: int) -> Path:
        """Validation and test predictions of one finished fold: its presence says that the fold is done."""
        return self.path / f"fold{fold}" / "predictions.npz"

    @property
    def oof_npz(self) -> Path:
        """Out-of-fold predictions: image (N,), label (N,), fold (N,), and top_labels (N, k), top_scores (N, k) or numbers (N,)."""
        return self.path / "oof.npz"

    @property
    def test_npz(self) -> Path:
        """Test predictions, mean over the folds: image (M,), and top_labels (M, k), top_scores (M, k) or numbers (M,).

        An image that cannot be decoded has the labels "" or the number NaN."""
        return self.path / "test.npz"

    @property
    def stopped_json(self) -> Path:
        """Why a run ended by itself without a result: {"reason": a sentence, "fold": the last one that was trained}."""
        return self.path / "stopped.json"

    @property
    def threshold_json(self) -> Path:
        """The threshold of the unknown label, of each fold and of the test part, with the score of each."""
        return self.path / "threshold.json"

    @property
    def threshold_png(self) -> Path:
        """The metric over the threshold of the unknown label, with those chosen and that of a quota; absent without one."""
        return self.path / "threshold.png"

    @property
    def submission_csv(self) -> Path:
        """What is sent: the rows of the sample submission, in its order."""
        return self.path / "submission.csv"

    @property
    def submission_sha256(self) -> Path:
        """The SHA-256 of submission.csv, by which a submission is known again."""
        return self.path / "submission.csv.sha256"

    @property
    def result_json(self) -> Path:
        """Appears last, by rename: a run with a result is finished."""
        return self.path / "result.json"

    @property
    def log_txt(self) -> Path:
        """What the attempts wrote, the newest last."""
        return self.path / "log.txt"

    @property
    def wandb_dir(self) -> Path:
        """The files of its W&B runs, a folder each."""
        return self.path / "wandb"

    def create(self, spec: RunSpec) -> None:
        """Make the folder for `spec`, or accept the one that holds the same spec (a resumed run), wherever its files lay then.

        Raises OnehourError when the folder belongs to another spec or cannot be written.
        """
        with _as_sentence(self.path, "the run's folder cannot be written", "Choose a folder you may write to."):
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.spec_json.exists():
                write_text(self.spec_json, spec_as_json(spec))
            elif self.read_spec().without_places() != spec.without_places():
                raise OnehourError(
                    "this folder holds a run of another spec", where=str(self.path), fix="Choose a new --out folder."
                )
            elif not self.result_json.exists() and not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def exists(self) -> bool:
        """Whether a run was begun here. Raises OnehourError when nobody can tell: below a file, in a closed folder."""
        with _as_sentence(self.path, "the run's folder cannot be read", "Choose another folder."):
            try:
                self.spec_json.stat()
            except FileNotFoundError:
                return False
        return True

    def read_spec(self) -> RunSpec:
        """The resolved spec. Raises OnehourError when it cannot be read, or is one that this version does not know."""
        with _as_sentence(self.spec_json, "the spec cannot be read"):
            mapping = json.loads(self.spec_json.read_text(encoding="utf-8"))
        return spec_from_mapping(mapping, str(self.spec_json))

    def read_result(self) -> RunResult | None:
        """The result, or None while the run is not finished. Raises OnehourError when there is one that cannot be read."""
        with _as_sentence(self.result_json, "the result cannot be read"):
            try:
                return RunResult.model_validate_json(self.result_json.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The rows of metrics.jsonl, and of each fold's own. A half-written last line (a killed run) is left out, and so is what is no row.

        Each has its kind and fold, and one of kind "epoch" its epoch: a person's own code may leave them out. Such a row is one
        of the first fold, one epoch after the one before.
        """
        with _as_sentence(self.metrics_jsonl, "the rows cannot be read"):
            paths = [self.metrics_jsonl, *sorted(self.path.glob("fold*/metrics.jsonl"))]
        last: dict[int, float] = defaultdict(float)
        for path in paths:
            with _as_sentence(path, "the rows cannot be read"):
                try:
                    text = path.read_bytes().decode("utf-8", "replace")
                except FileNotFoundError:
                    continue
            for line in text.splitlines():
                row = _row_of(line, last)
                if row is not None:
                    yield row

    def epochs(self) -> list[EpochRow]:
        """The rows of kind "epoch", in the order in which they were written; a resumed fold repeats some."""
        rows = []
        for row in self.metrics():
            if row["kind"] == "epoch":
                values = {
                    name: number for name in row.keys() - NOT_METRICS if (number := _number(row[name])) is not None
                }
                rows.append(EpochRow(row["fold"], row["epoch"], values))
        return rows

    def kept(self) -> int:
        """How often the run has kept what it did: its epochs and the checkpoints inside them. Rows of batches are lost by a kill."""
        return sum(row["kind"] in ("epoch", "checkpoint") for row in self.metrics())

    def stopped(self) -> str:
        """The reason why the run ended by itself without a result; "" when it did not."""
        try:
            return str(json.loads(self.stopped_json.read_text(encoding="utf-8"))["reason"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def progress(self) -> float:
        """Share of the asked epochs over all folds that are done, 0…1; of a person's own code what its newest row says.

        For the eye, so it never raises: what cannot be read, or was written by another version, counts as nothing done.
        """
        try:
            if self.result_json.exists():
                return 1.0
            if not self.spec_json.exists():
                said = [number for row in self.metrics() if (number := _number(row.get("progress"))) is not None]
                return min(1.0, max(0.0, said[-1])) if said else 0.0
            asked = json.loads(self.spec_json.read_text(encoding="utf-8"))
            epochs = asked["folds"] * sum(stage["epochs"] for stage in asked["stages"])
            return min(1.0, len({(row.fold, row.epoch) for row in self.epochs()}) / epochs)
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, OnehourError):
            return 0.0

    def log_piece(self, offset: int, most: int) -> bytes:
        """At most `most` bytes of the log from `offset` on; none while there is no log."""
        try:
            with self.log_txt.open("rb") as log:
                log.seek(offset)
                return log.read(most)
        except FileNotFoundError:
            return b""

    def log_tail(self, max_bytes: int = 16_000) -> str:
        """The end of log.txt, from a line's start; "" while there is none. Raises OnehourError when it cannot be read.

        Where folds have logs of their own, the ends of these come first, each under its fold's name.
        """
        with _as_sentence(self.log_txt, "the log cannot be read"):
            logs = sorted(self.path.glob("fold*/log.txt"))
        share = max_bytes // (len(logs) + 1)
        parts = [f"=== {path.parent.name}\n{_end_of(path, share)}" for path in logs]
        return "\n".join([*parts, *([f"=== {self.log_txt.name}"] if parts else []), _end_of(self.log_txt, share)])


def _end_of(log_txt: Path, max_bytes: int) -> str:
    with _as_sentence(log_txt, "the log cannot be read"):
        try:
            with log_txt.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - max_bytes))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
    return text if size <= max_bytes else text.partition("\n")[2]


def _row_of(line: str, last: dict[int, float]) -> dict[str, Any] | None:
    """A line of metrics.jsonl as a row; None for what is none. `last`: the last epoch of each fold so far, kept up to date."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    row = {"kind": "epoch", "fold": 0, **row}
    fold = row["fold"]
    if not isinstance(row["kind"], str) or type(fold) is not int or not 0 <= fold < MOST_FOLDS:
        return None
    if row["kind"] == "epoch":
        epoch = _number(row.get("epoch"))
        if epoch is None or not math.isfinite(epoch):
            row["epoch"] = epoch = last[fold] + 1
        last[fold] = epoch
    return row


def _number(value: Any) -> float | None:
    """A JSON number as float, infinite where it is too large for one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


@contextmanager
def _as_sentence(path: Path, what: str, fix: str = "") -> Iterator[None]:
    """Say what the disk or a file's contents refuse as an OnehourError."""
    try:
        yield
    except OSError as error:
        raise OnehourError(f"{what} ({error.strerror or error})", where=str(path), fix=fix) from None
    except ValidationError as error:
        raise OnehourError(f"{what} ({error.errors()[0]['msg']})", where=str(path), fix=fix) from None
    except ValueError as error:  # no JSON, no UTF-8
        raise OnehourError(f"{what} ({error})", where=str(path), fix=fix) from None


@contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write beside `path`, flush to disk, rename over it: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        text = "b" not in mode
        with open(handle, mode, encoding="utf-8" if text else None, newline="" if text else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself survives a power cut
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    with atomic_file(path, "w") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
