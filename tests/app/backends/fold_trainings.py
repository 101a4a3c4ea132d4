"""Small trainings in place of an engine that trains fold by fold: each process writes what `engine train --fold` would.

python -m tests.app.backends.fold_trainings MODE RUN_DIR [FOLD]

finish   trains its fold; without one, merges what the folds left and fails when one is missing
wait     each fold waits for RUN_DIR/go before it finishes; it stops with exit 75 when it is asked to
requeue  fold 1 stops with exit 75 the first time
refuse   fold 1 ends with a sentence and exit 2, the others wait until they are asked to stop
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app.jobs.programme import CODE, EngineTraining, Input, Places
from engine.run_folder import RunFolder, write_text
from tests.app.trainings import Training, write_result

FOLDS = 2


class FoldTraining(Training):
    def inputs(self) -> Mapping[str, Input]:
        code = super().inputs()[CODE]
        mine = ("tests/app/backends/__init__.py", "tests/app/backends/fold_trainings.py")
        return {**super().inputs(), CODE: Input(code.path, (*code.only, *mine))}

    def open_folds(self, folder: RunFolder) -> list[int]:
        assert isinstance(self.real, EngineTraining)
        return self.real.open_folds(folder)

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]:
        return [at.python, "-m", "tests.app.backends.fold_trainings", self.mode, at.run_dir]

    def argv_of_fold(self, fold: int, at: Places, time_limit_s: float | None = None) -> list[str]:
        return [*self.argv(at, time_limit_s), str(fold)]


def main(mode: str, folder: RunFolder, fold: int | None) -> int:
    with (folder.path / "starts").open("a") as file:
        file.write(f"{'merge' if fold is None else fold} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    if fold is None:
        if not all(folder.fold_predictions(each).exists() for each in range(FOLDS)):
            sys.stderr.write("a fold is missing\n")
            return 2
        write_result(folder)
        return 0
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    if mode == "refuse" and fold == 1:
        sys.stderr.write("train.csv, row 3: there is no image 'x.jpg'\n")
        return 2
    with folder.fold_metrics_jsonl(fold).open("a") as file:
        file.write(json.dumps({"kind": "epoch", "fold": fold, "epoch": 1, "at": 1, "valid/map5": 0.5}) + "\n")
    if mode == "requeue" and fold == 1 and not (folder.path / "stopped once").exists():
        (folder.path / "stopped once").touch()
        return 75
    while mode in ("wait", "refuse") and not (folder.path / "go").exists():
        if asked:
            return 75
        time.sleep(0.01)
    write_text(folder.fold_predictions(fold), "done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], RunFolder(Path(sys.argv[2])), int(sys.argv[3]) if len(sys.argv) > 3 else None))
