"""Files as wandb writes them: by wandb itself in a process of its own (`log_for_real`), or record by record with its own protobuf classes.

python -m tests.app.wandb_files DIR     logs a run of somebody's own script, offline, below DIR
"""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

from app.journal.home import CHECKOUT

BLOCK = 32_768
ROWS = 400  # of the real run: several blocks


def write(path: Path, records: Iterable[bytes], head: bytes = b":W&B\xe1\xbe\x00") -> Path:
    """A .wandb file of these records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"".join(chunks(records, len(head))))
    return path


def chunks(records: Iterable[bytes], at: int) -> Iterable[bytes]:
    """The records as a LevelDB log holds them, from byte `at` of the file on."""
    for record in records:
        rest, is_first = record, True
        while rest or is_first:
            room = BLOCK - at % BLOCK
            if room < 7:
                yield bytes(room)
                at += room
                continue
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[is_first, not rest]
            yield struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            at, is_first = at + 7 + len(part), False


def run_record(
    run_id: str, started_at: float = 1_772_480_000.0, config: Mapping[str, Any] | None = None, **said: Any
) -> bytes:
    """`started_at`: seconds UTC, 2 March 2026 at 19:33:20. `said`: fields of RunRecord, such as run_group."""
    record = pb.Record()
    tags = said.pop("tags", ())
    run = pb.RunRecord(run_id=run_id, **{"project": "whales", **said})
    run.tags.extend(tags)
    run.start_time.FromNanoseconds(round(started_at * 1e9))
    for key, value in (config or {}).items():
        run.config.update.add(key=key, value_json=json.dumps(value))
    record.run.CopyFrom(run)
    return record.SerializeToString()


def row_record(step: int, at: float, runtime_s: float, **values: Any) -> bytes:
    """A history row with numbers as they are, as 0.31 writes them. Keys with two underscores stand for slashed ones."""
    record = pb.Record()
    record.history.step.num = step
    told = {
        "_step": step,
        "_timestamp": at,
        "_runtime": runtime_s,
        **{key.replace("__", "/"): values[key] for key in values},
    }
    for key, value in told.items():
        item = record.history.item.add(key=key)
        if isinstance(value, bool):
            item.boolean = value
        elif isinstance(value, int):
            item.integer = value
        elif isinstance(value, float):
            item.number = value
        elif isinstance(value, str):
            item.text = value
        else:
            item.json = json.dumps(value)
    return record.SerializeToString()


def summary_record(**values: Any) -> bytes:
    record = pb.Record()
    for key, value in values.items():
        record.summary.update.add(key=key.replace("__", "/"), value_json=json.dumps(value))
    return record.SerializeToString()


def exit_record(code: int = 0) -> bytes:
    return pb.Record(exit=pb.RunExitRecord(exit_code=code)).SerializeToString()


def offline_dir(folder: Path, run_id: str, started: str = "20260302_193320") -> Path:
    """Where wandb puts the file of an offline run."""
    return folder / "wandb" / f"offline-run-{started}-{run_id}" / f"run-{run_id}.wandb"


def log_for_real(folder: Path) -> Path:
    """What a script logs with the real client, offline; returns its .wandb file."""
    quiet = {**os.environ, "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_MODE": "offline"}
    subprocess.run([sys.executable, "-m", "tests.app.wandb_files", str(folder)], check=True, cwd=CHECKOUT, env=quiet)
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    return path


def _script(folder: str) -> None:
    import wandb

    run = wandb.init(
        project="whales", dir=folder, group="resnet", job_type="fold", name="resnet f0", notes="a first try", tags=["baseline"],
        config={"lr": 1e-3, "optimizer": {"name": "adam", "decay": 0.1}, "layers": [1, 2]},
        settings=wandb.Settings(console="off"),
    )  # fmt: skip
    for step in range(ROWS):
        row = {
            "train/loss": 1 / (step + 1),
            "epoch": step / 10,
            "count": step,
            "nested": {"a": step * 2.0},
            "flag": step % 2 == 0,
        }
        odd = {"bad": (math.nan, math.inf, -math.inf)[step % 3], "big": 2**60 + step, "words": "ein „Wort“"}
        run.log(row | odd)
    table = wandb.Table(columns=["image"], data=[["a.jpg"]])
    run.log({"valid/map5": 0.5, "histogram": wandb.Histogram([1, 2, 3]), "table": table}, step=1_000)
    run.config.update({"late": "said later"})
    run.summary["best"] = 0.9
    run.finish()


if __name__ == "__main__":
    _script(sys.argv[1])
