"""Small trainings in place of the engine: real processes that write a run folder as it does, in a moment.

python -m tests.app.trainings MODE RUN_DIR DATA_DIR [TIME_LIMIT_S]

finish    two epochs, submission, result
wait      starts, then waits for RUN_DIR/go before it finishes
requeue   stops with exit 75 after the first epoch, finishes when started again with what that left
leave     the same, but it stops when it is asked to (SIGTERM)
speak     prints LINES numbered lines before it finishes
look      prints the size and SHA-256 of each file of its data as JSON, and its time limit
untidy    leaves things that nobody asked for beside its results
hopeless  says why it ends without a result
stall     stops with exit 75 before any epoch, each time
batches   is killed after some batches of its first epoch, each time
epochs    is killed after an epoch each time, finishes when started for the sixth time
saves     is killed after a checkpoint inside an epoch each time, finishes when started for the sixth time
yesterday as requeue, on a machine whose clock is a day behind
refuse    one sentence and exit 2
family    has a child that went into a session of its own, and both wait for ever, deaf to SIGTERM
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.jobs.as_queued import of_run
from app.jobs.programme import CODE, DATA, ENGINE_FILES, Input, Places, Programme
from app.journal.home import CHECKOUT
from app.journal.tables import Run
from engine.contract import FoldScore, RunResult, RunSpec
from engine.run_folder import RunFolder, file_sha256, write_text

PATIENCE_S = 30.0
LINES = 3_000


@dataclass(frozen=True)
class Training:
    """A programme that reads what the engine's would and runs this module instead, or `words`, given its Python and its folder."""

    real: Programme
    mode: str
    words: Callable[[str, str], list[str]] | None = None

    def prepare(self, folder: RunFolder) -> None:
        self.real.prepare(folder)

    def inputs(self) -> Mapping[str, Input]:
        patterns = (
            *ENGINE_FILES,
            "tests/__init__.py",
            "tests/app/__init__.py",
            "tests/app/trainings.py",
            "app/**/*.py",
        )
        return {**self.real.inputs(), CODE: Input(CHECKOUT, patterns)}

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]:
        if self.words is not None:
            return self.words(at.python, at.run_dir)
        limit = [] if time_limit_s is None else [f"{time_limit_s:g}"]
        return [at.python, "-m", "tests.app.trainings", self.mode, at.run_dir, at.inputs[DATA], *limit]

    def cwd(self, at: Places) -> str:
        return at.inputs[CODE]


def training(mode: str) -> Callable[[Run], Programme]:
    """What a reconciler asks for a run's programme."""
    return lambda run: Training(of_run(run), mode)


def words(argv: Callable[[str, str], list[str]]) -> Callable[[Run], Programme]:
    """The same for a command of one's own; `argv` is given the Python and the run's folder."""
    return lambda run: Training(of_run(run), "", argv)


def until(
    true: Callable[[], object], between: Callable[[], object] = lambda: None, patience_s: float = PATIENCE_S
) -> None:
    """Call `between` again and again until `true` holds."""
    ends_at = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < ends_at, "waited in vain"
        between()
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def small_spec(data_dir: Path) -> RunSpec:
    return RunSpec.model_validate({"data": {"dir": str(data_dir)}, "folds": 2, "stages": [{"epochs": 2, "lr": 0.001}]})


def write_epoch(folder: RunFolder, epoch: int, behind_s: float = 0) -> None:
    with folder.metrics_jsonl.open("a") as file:
        for fold in (0, 1):
            row = {
                "kind": "epoch",
                "fold": fold,
                "epoch": epoch,
                "step": epoch * 10,
                "at": round((time.time() - behind_s) * 1000),
                "valid/map5": 0.25 * epoch + fold / 8,
            }
            file.write(json.dumps(row) + "\n")


def write_result(folder: RunFolder) -> RunResult:
    write_text(folder.submission_csv, "Image,Id\na.jpg,w_1 new_whale\nb.jpg,new_whale w_1\n")
    result = RunResult(
        run_id=folder.run_id,
        metric="map5",
        direction="max",
        cv=0.625,
        fold_scores=(FoldScore(fold=0, score=0.5, images=40), FoldScore(fold=1, score=0.75, images=40)),
        threshold=0.375,
        images=80,
        classes=7,
        test_images=2,
        submission_sha256=file_sha256(folder.submission_csv),
        data_sha256="d",
        folds_sha256="f",
        train_s=1.5,
        notes=("two images are copies",),
        started_at=1,
        finished_at=2,
    )
    write_text(folder.result_json, result.model_dump_json())
    return result


def look_at(data_dir: Path) -> dict[str, tuple[int, str]]:
    """Each file's size and SHA-256, by its name below the folder."""
    files = sorted(path for path in data_dir.rglob("*") if path.is_file())
    return {str(path.relative_to(data_dir)): (path.stat().st_size, file_sha256(path)) for path in files}


def main(mode: str, folder: RunFolder, data_dir: Path, *limit: str) -> int:
    starts = folder.path / "starts"
    with starts.open("a") as file:
        file.write(f"{os.getpid()}\n")
    times = len(starts.read_text().split())
    kept = folder.kept()
    if mode == "refuse":
        sys.stderr.write("train.csv, row 3: there is no image 'x.jpg'. Did you mean 'y.jpg'?\n")
        return 2
    if mode == "stall":
        return 75
    if mode == "batches" or (mode in ("epochs", "saves") and times < 6):
        if mode == "epochs":
            write_epoch(folder, times)
        kind = "checkpoint" if mode == "saves" else "batch"
        with folder.metrics_jsonl.open("a") as file:
            file.write(json.dumps({"kind": kind, "fold": 0, "epoch": 0.5, "at": round(time.time() * 1000)}) + "\n")
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "family":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        write_text(folder.path / "family", f"{os.getpid()} {child.pid}")
        child.wait()
    if mode == "wait":
        while not (folder.path / "go").exists():
            time.sleep(0.01)
    if mode == "speak":
        for number in range(LINES):
            sys.stdout.write(f"line {number}\n")
            if number % 100 == 0:
                sys.stdout.flush()
    if mode == "look":
        told = {"files": look_at(data_dir), "time_limit_s": limit[0] if limit else None}
        sys.stdout.write(json.dumps(told) + "\n")
    if mode == "hopeless":
        write_text(folder.stopped_json, json.dumps({"reason": "behind r09 after fold 0", "fold": 0}))
        return 0
    if mode == "untidy":
        (folder.path / "link.json").symlink_to("/etc/hostname")
        (folder.path / "wandb").symlink_to("/etc")
        (folder.path / "unasked.bin").write_bytes(b"x")
        (folder.path / ".hidden.json").write_text("{}")
        (folder.path / "$(touch hacked)\n'\".json").write_text("{}")
    if not kept:
        write_epoch(folder, 1, 86_400 if mode == "yesterday" else 0)
    if not kept and mode == "leave":
        asked: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
        (folder.path / "ready").touch()
        while not asked:
            time.sleep(0.01)
    if not kept and mode in ("leave", "requeue", "yesterday"):
        return 75
    write_epoch(folder, 2, 86_400 if mode == "yesterday" else 0)
    write_result(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], RunFolder(Path(sys.argv[2])), *map(Path, sys.argv[3:4]), *sys.argv[4:]))
