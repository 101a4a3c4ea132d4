"""The runs of bench/runs.py in another tracker, which lives in an environment of its own: never imported, started by that script.

    .venv-bench/bin/python bench/runs_elsewhere.py mlflow|trackio FOLDER

First it writes the runs of FOLDER/runs.jsonl and FOLDER/points.f32 into the tracker's own SQLite file, then it answers a question a
line of stdin with a line of JSON: milliseconds, and what was found. Telemetry is switched off before anything is imported.

A run of five folds is one run there too, its curves named `fold0/valid/map5`. Written in bulk, in the order in which training would
have logged it; the schema, with every index, is the tracker's own.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

PROJECT = "humpback"
EPOCH_MS = 20_000  # between two epochs of a fold


class Runs:
    """What the journal holds: `told` a run, in the order of their start, and the value of each metric in each fold and epoch."""

    def __init__(self, folder: Path) -> None:
        head, *self.told = [
            json.loads(line) for line in (folder / "runs.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        self.metrics, self.folds, self.epochs = head["metrics"], head["folds"], head["epochs"]
        self.points = array("f")
        with (folder / "points.f32").open("rb") as file:
            self.points.fromfile(file, len(self.told) * self.folds * len(self.metrics) * self.epochs)

    def rows(self, number: int) -> Iterator[tuple[int, int, dict[str, float]]]:
        """(milliseconds since the start, step, values by name) of each epoch of a run, one fold after another."""
        at = number * self.folds * len(self.metrics) * self.epochs
        for fold in range(self.folds):
            names = [f"fold{fold}/{metric}" for metric in self.metrics]
            for epoch in range(self.epochs):
                values = {name: self.points[at + i * self.epochs + epoch] for i, name in enumerate(names)}
                yield EPOCH_MS * (fold * self.epochs + epoch + 1), epoch + 1, values
            at += len(names) * self.epochs

    def result(self, number: int) -> dict[str, float]:
        """CV and fold scores; empty for a run that has none."""
        told = self.told[number]
        return (
            {} if told["cv"] is None else {"cv": told["cv"]} | {f"cv/{i}": one for i, one in enumerate(told["folds"])}
        )


class MLflow:
    """MLflow with its SQLite store, asked through its client, as a script or notebook does."""

    BATCH = 200_000

    def __init__(self, folder: Path) -> None:
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        from mlflow import MlflowClient

        self.file = folder / "mlflow.db"
        self.client = MlflowClient(tracking_uri=f"sqlite:///{self.file}")
        self.experiment = self.client.create_experiment(PROJECT, artifact_location=(folder / "artifacts").as_uri())

    def fill(self, runs: Runs) -> None:
        with closing(sqlite3.connect(self.file)) as db, db:
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-2000000"):
                db.execute(f"PRAGMA {pragma}")
            indexes = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL").fetchall()
            for name, _ in indexes:
                db.execute(f'DROP INDEX "{name}"')
            for number, told in enumerate(runs.told):
                self._write_run(db, told)
                self._write_metrics(db, runs, number)
            for _, sql in indexes:
                db.execute(sql)

    def _write_run(self, db: sqlite3.Connection, told: dict[str, Any]) -> None:
        key, status = told["id"], "FINISHED" if told["state"] == "succeeded" else "FAILED"
        db.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?, ?, 'LOCAL', '', '', 'bench', ?, ?, ?, '', 'active', ?, ?)",
            (
                key,
                told["key"],
                status,
                told["started_at"],
                told["finished_at"],
                f"file:///bench/{key}",
                self.experiment,
            ),
        )
        tags = {"mlflow.runName": told["key"], "mlflow.note.content": told["hypothesis"]}
        params = {"preset": told["preset"], "device": told["device"]}
        for table, rows in (("tags", tags), ("params", params)):
            db.executemany(
                f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)",
                [(name, value, key) for name, value in rows.items()],
            )

    def _write_metrics(self, db: sqlite3.Connection, runs: Runs, number: int) -> None:
        key, started_at = runs.told[number]["id"], runs.told[number]["started_at"]
        rows, at = [], 0
        for at, step, values in runs.rows(number):
            rows += [(name, value, started_at + at, key, step) for name, value in values.items()]
        rows += [(name, value, started_at + at + 1, key, runs.epochs) for name, value in runs.result(number).items()]
        into = "(key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
        db.executemany(f"INSERT INTO metrics {into}", rows)
        last = {row[0]: row for row in rows}
        db.executemany(f"INSERT INTO latest_metrics {into}", last.values())

    def newest(self) -> list[str]:
        return self._listed("attributes.start_time DESC")

    def by_cv(self) -> list[str]:
        return self._listed("metrics.cv DESC")

    def _listed(self, order: str) -> list[str]:
        found = self.client.search_runs([self.experiment], order_by=[order], max_results=100)
        assert all(len(run.data.metrics) >= 30 for run in found), "a run without its last values"
        return [run.info.run_name for run in found]

    def curves(self, metric: str, folds: int, runs: list[dict[str, str]]) -> int:
        """With the client, which asks run by run."""
        names = [f"fold{fold}/{metric}" for fold in range(folds)]
        return sum(len(self.client.get_metric_history(run["id"], name)) for run in runs for name in names)

    def curves_in_bulk(self, metric: str, folds: int, runs: list[dict[str, str]]) -> int:
        """With what its store has for several runs at once; no client calls it with all the points."""
        store, ids = self.client._tracking_client.store, [run["id"] for run in runs]
        return sum(len(store.get_metric_history_bulk(ids, f"fold{fold}/{metric}", 1_000_000)) for fold in range(folds))


class Trackio:
    """trackio, asked through the functions behind its dashboard and its command line."""

    # It has no list with numbers; its read-only SQL is the way to them, here by its index on (run_id, step).
    BY_CV = """
        SELECT m.run_name, CAST(m.metrics AS TEXT) AS told FROM configs c
        JOIN metrics m ON m.run_id = c.run_id AND m.step = {last}
        ORDER BY json_extract(CAST(m.metrics AS TEXT), '$.cv') DESC LIMIT 100
    """

    def __init__(self, folder: Path) -> None:
        os.environ |= {"TRACKIO_DIR": str(folder / "trackio"), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        import orjson
        from trackio import Api
        from trackio.sqlite_storage import SQLiteStorage

        self.api, self.storage, self.json, self.last_step = Api(), SQLiteStorage, orjson.dumps, 0
        self.file = SQLiteStorage.get_project_db_path(PROJECT)

    def fill(self, runs: Runs) -> None:
        """The first run through its own function, which takes a tenth of a second for each; the others with the rows that it writes."""
        self.last_step = runs.folds * runs.epochs
        rows, config = self._rows(runs, 0), self._config(runs.told[0])
        steps, stamps, values = ([row[i] for row in rows] for i in (3, 0, 4))
        first = runs.told[0]
        self.storage.bulk_log(
            PROJECT, first["key"], [json.loads(one) for one in values], steps, stamps, config, run_id=first["id"]
        )
        with closing(sqlite3.connect(self.file)) as db, db:
            columns = "timestamp, run_id, run_name, step, metrics, log_id, space_id"
            assert db.execute(f"SELECT {columns} FROM metrics ORDER BY id").fetchall() == rows, "it writes other rows"
            (kept,) = db.execute("SELECT config FROM configs").fetchone()
            assert kept == self.json(config), "it writes another config"
            for number, told in enumerate(runs.told[1:], start=1):
                db.executemany(
                    f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", self._rows(runs, number)
                )
                db.execute(
                    "INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
                    (told["id"], told["key"], self.json(self._config(told)), _stamp(told["started_at"])),
                )

    def _rows(self, runs: Runs, number: int) -> list[tuple[str, str, str, int, bytes, None, None]]:
        """Its steps count through the folds: each epoch of a fold has one of its own. The last one holds the results too."""
        told, rows = runs.told[number], list(runs.rows(number))
        rows[-1][2].update(runs.result(number))
        return [
            (_stamp(told["started_at"] + at), told["id"], told["key"], step, self.json(values), None, None)
            for step, (at, _, values) in enumerate(rows, start=1)
        ]

    def _config(self, told: dict[str, Any]) -> dict[str, Any]:
        return {"hypothesis": told["hypothesis"], "preset": told["preset"], "device": told["device"]}

    def newest(self) -> list[str]:
        newest = list(reversed(list(self.api.runs(PROJECT))[-100:]))
        for run in newest:
            told = self.storage.get_snapshot(PROJECT, run.name, step=self.last_step, run_id=run.id)
            assert len(told) >= 6, "a run without its last values"
        return [run.name for run in newest]

    def by_cv(self) -> list[str]:
        found = self.storage.query_project(PROJECT, self.BY_CV.format(last=self.last_step))
        return [row["run_name"] for row in found["rows"]]

    def curves(self, metric: str, folds: int, runs: list[dict[str, str]]) -> int:
        """As its dashboard asks."""
        names = {f"fold{fold}/{metric}" for fold in range(folds)}
        asked = [{"run": run["key"], "run_id": run["id"]} for run in runs]
        found = self.storage.get_logs_batch(PROJECT, asked, max_points=None)
        curves = {
            (one["run"], name): [row[name] for row in one["logs"] if name in row] for one in found for name in names
        }
        return sum(map(len, curves.values()))


def main(name: str, folder: Path) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    runs = Runs(folder)
    tracker: Any = {"mlflow": MLflow, "trackio": Trackio}[name](folder)
    for line in sys.stdin:
        asked = json.loads(line)
        call: Callable[[], Any]
        if asked["ask"] == "fill":
            call = partial(tracker.fill, runs)
        elif asked["ask"] == "size":
            call = partial(_bytes, tracker.file)
        elif "runs" in asked:
            call = partial(getattr(tracker, asked["ask"]), asked["metric"], runs.folds, asked["runs"])
        else:
            call = getattr(tracker, asked["ask"])
        begun = time.perf_counter()
        found = call()
        answers.write(json.dumps({"ms": 1000 * (time.perf_counter() - begun), "found": found}) + "\n")
        answers.flush()


def _stamp(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat()


def _bytes(file: Path) -> int:
    return sum(one.stat().st_size for one in file.parent.glob(f"{file.name}*"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
