"""Plain fastai, cpu-transfer and identify on the same folds of real photographs: one table, with paired verdicts.

    .venv/bin/python bench/nyala.py --data ../shared/data/nyala --out ../nyala [--only METHOD ...] [--truth TRUTH.csv]

Folds are made once and kept below OUT: `folds.csv`, in which images of a sighting share one (sightings are proposed from
backgrounds, as `python -m engine sightings` does, unless --labels names a file that has them), and `folds-by-image.csv`,
in which only copies do. Every run is a folder below OUT: killed, the same command goes on where it was, and with everything
done it only writes OUT/table.md again. Two commands with other --seeds may work at the same time. All nets have the same
packaged weights and about the same minutes, those of the processor, since others may use the machine, too.

Each run has two submissions in OUT/submissions: with the threshold for the share of unknown individuals that the training
images have, and for a quarter of them, which is what the competition says of its test images. With --truth they are scored.

What the columns mean: docs/results.md, "On real photographs".
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from bench.nyala_table import Study, write_table  # noqa: E402
from engine.checks.sightings import COLUMN, propose_sightings  # noqa: E402
from engine.contract import DataSpec, preset_path, read_spec  # noqa: E402
from engine.data.competition import load as load_competition  # noqa: E402
from engine.data.folds import write_folds  # noqa: E402
from engine.run_folder import RunFolder, write_json  # noqa: E402

SPENT = "processor_s.json"  # in the folder of a run
BY_SIGHTING, BY_IMAGE = "folds.csv", "folds-by-image.csv"
# Without it glibc hands the memory of each step back and asks for it again: up to half of a step on a virtual machine.
# The engine does not ask for it by itself: an epoch of bench/step.py then takes 16 to 24 % more memory at its peak.
KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**33)}


@dataclass(frozen=True)
class Method:
    """A preset and what is changed of it to fit into the minutes, or a script beside this one and its options."""

    made_by: str
    over: Mapping[str, object]
    folds: str = BY_SIGHTING


SMALL = [96, 144]
FLOOR = Method("nyala_floor.py", {"epochs": 5, "size": SMALL})
TRANSFER = Method("cpu-transfer", {"image_size": SMALL, "stages": [{"epochs": 5, "lr": 0.005}]})
METHODS = {
    "plain-fastai": FLOOR,
    "points-alone": Method("nyala_points.py", {}),
    "cpu-transfer": TRANSFER,
    "identify": Method(
        "identify",
        {
            "backbone": "tf_efficientnet_lite0",
            "weights": "packaged",
            "loader_workers": 0,
            "batch_size": 32,
            "sampler": "balanced",
            "arcface_scale": 24,
            "arcface_margin": 0.3,
            "arcface_margin_by_frequency": False,
            "image_size": [112, 168],
            "stages": [{"epochs": 2, "lr": 0.005, "image_size": [80, 120]}, {"epochs": 3, "lr": 0.005}],
        },
    ),
    "cpu-transfer-at-length": Method("cpu-transfer", {}),
    "plain-fastai-by-image": Method(FLOOR.made_by, FLOOR.over, BY_IMAGE),
    "cpu-transfer-by-image": Method(TRANSFER.made_by, TRANSFER.over, BY_IMAGE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the competition's data")
    parser.add_argument("--out", type=Path, required=True, help="folder for folds, runs, submissions and the table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--labels", type=Path, help="label file with a column sighting")
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--truth", type=Path, help="Image,Id,Usage of the test images, to score the submissions")
    asked = parser.parse_args()
    data, out = asked.data.resolve(), asked.out.resolve()

    labels = out / "train_sightings.csv" if asked.labels is None else asked.labels.resolve()
    if not labels.exists():
        out.mkdir(parents=True, exist_ok=True)
        print("\n".join(propose_sightings(DataSpec(dir=str(data)), labels).notes), flush=True)
    sighted: dict[str, object] = {"data.labels": str(labels), "data.sightings_col": COLUMN}
    folds_over = {"data.dir": str(data), "folds": asked.folds, "seed": 0}
    for name, over in ((BY_SIGHTING, folds_over | sighted), (BY_IMAGE, folds_over)):
        if not (out / name).exists():
            make_folds(out / name, over)
    competition = load_competition(read_spec(preset_path("cpu-transfer"), {**folds_over, **sighted}).data)
    for seed in asked.seeds:
        for name in asked.only:
            folder = RunFolder(out / f"{name}-s{seed}")
            if folder.read_result() is None:
                train(METHODS[name], seed, asked.folds, data, folder)
    runs = {name: {seed: RunFolder(out / f"{name}-s{seed}") for seed in asked.seeds} for name in METHODS}
    done = {
        name: {seed: folder for seed, folder in folders.items() if folder.read_result() is not None}
        for name, folders in runs.items()
    }
    finished = {name: folders for name, folders in done.items() if folders}
    minutes = {folder.run_id: spent_s(folder) / 60 for folders in finished.values() for folder in folders.values()}
    write_table(Study(competition, finished), minutes, out, asked.truth)
    print((out / "table.md").read_text(encoding="utf-8"))


def make_folds(path: Path, over: dict[str, object]) -> None:
    """The folds of all runs, written once."""
    from engine.training.prepare import prepare  # torch is slow to import, and all runs are other processes

    prepared = prepare(read_spec(preset_path("cpu-transfer"), over), path.parent)
    write_folds(path, prepared.folds)
    print("\n".join(prepared.notes), flush=True)


def train(method: Method, seed: int, folds: int, data: Path, folder: RunFolder) -> None:
    """One run in a process of its own."""
    out = folder.path.parent
    print(f"{folder.run_id} begins at load {os.getloadavg()[0]:.1f}", flush=True)
    if method.made_by.endswith(".py"):
        command = [str(CHECKOUT / "bench" / method.made_by), "--folds", str(out / method.folds), "--seed", str(seed)]
        for key, value in method.over.items():
            command += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    else:
        over = {**method.over, "folds": folds, "folds_from": str(out / method.folds), "seed": seed}
        over["tracking.wandb"] = "off"
        sets = [word for key, value in over.items() for word in ("--set", f"{key}={json.dumps(value)}")]
        command = ["-m", "engine", "train", "--preset", method.made_by, *sets]
    command += ["--data", str(data), "--out", str(folder.path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        environment = {**os.environ, **KEEPS_MEMORY, "PYTHONPATH": str(CHECKOUT)}
        subprocess.run([sys.executable, *command], cwd=out, env=environment, check=True)
    finally:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        write_json(folder.path / SPENT, spent_s(folder) + took)


def spent_s(folder: RunFolder) -> float:
    """Seconds of the processor that the run took so far, over all its attempts."""
    path = folder.path / SPENT
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else 0.0


if __name__ == "__main__":
    main()
