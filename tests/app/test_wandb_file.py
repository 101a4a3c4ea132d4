"""The reader of .wandb files, against wandb's own inspector and files that were cut off, damaged, or are still being written."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wandb.proto import wandb_internal_pb2 as pb

from app.scores.wandb_file.blocks import BLOCK, Tail
from app.scores.wandb_file.run_log import Row, RunLog
from app.scores.wandb_points import numbers
from engine.contract import OnehourError
from tests.app import wandb_files

RECORDS = [bytes([number]) * (number * number * 40) for number in range(1, 40)]  # up to two blocks each


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wandb_files.log_for_real(tmp_path_factory.mktemp("real"))


def inspected(path: Path, *options: str) -> Iterator[Any]:
    """What `wandb leet inspect` tells of a file."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return iter([json.loads(told)] if options else [json.loads(line) for line in told.splitlines()])


def read(path: Path) -> tuple[RunLog, list[Row]]:
    log = RunLog(Tail(path))
    return log, list(log.rows())


def as_json_tells(value: object) -> object:
    """The inspector writes what JSON does not know as words."""
    odd = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return (
        "NaN"
        if isinstance(value, float) and math.isnan(value)
        else odd.get(value, value)
        if isinstance(value, float)
        else value
    )


def test_a_real_run_is_read_as_wandbs_own_inspector_reads_it(real: Path) -> None:
    log, rows = read(real)
    told = [record["history"] for record in inspected(real) if record["type"] == "history"]
    assert [row.step for row in rows] == [record["step"]["num"] for record in told]
    assert len(rows) == wandb_files.ROWS + 1
    for row, record in zip(rows, told, strict=True):
        item = record["item"]
        assert (row.at, row.runtime_s) == (item.pop("_timestamp"), item.pop("_runtime"))
        assert item.pop("_step") == row.step
        assert {key: as_json_tells(value) for key, value in row.values.items()} == item
    (whole,) = inspected(real, "--summary")
    assert {key: value for key, value in log.config.items() if key != "_wandb"} == whole["config"]
    summary = {key: as_json_tells(value) for key, value in log.summary.items() if key != "_wandb"}
    assert summary == {key: value for key, value in whole["summary"].items() if key != "_wandb"}
    assert (log.run_id, log.name, log.project, log.notes) == (whole["run_id"], "resnet f0", "whales", "a first try")
    assert (log.group, log.job_type, log.tags, log.exit_code) == ("resnet", "fold", ["baseline"], whole["exit_code"])
    assert log.config["late"] == "said later"
    assert (log.tail.damaged, log.tail.is_cut_off, log.unreadable) == (0, False, 0)


def test_what_wandb_found_out_about_the_computer_is_told_by_its_kind(real: Path) -> None:
    log, _ = read(real)
    assert {"host name", "command line", "Python's path", "operating system"} <= log.environment
    assert "requirements.txt" in log.files
    assert [name.endswith("-table") for name in log.artifacts] == [True]


def test_of_a_row_the_numbers_are_taken_and_pictures_left_out(real: Path) -> None:
    _, rows = read(real)
    first, last = dict(numbers(rows[0].values)), dict(numbers(rows[-1].values))
    assert {key: first[key] for key in first if key != "bad"} == {
        "train/loss": 1.0,
        "epoch": 0.0,
        "count": 0.0,
        "nested.a": 0.0,
        "flag": 1.0,
        "big": float(2**60),
    }
    assert math.isnan(first["bad"])
    assert last == {"valid/map5": 0.5}
    # An older wandb writes every value as JSON, and what JSON does not know in quotes.
    assert dict(
        numbers({"a": "NaN", "b": "-Infinity", "c": {"d": 1, "_type": "image"}, "e": {"f": 2}, "g": 10**400})
    ) == {
        "a": pytest.approx(math.nan, nan_ok=True),
        "b": -math.inf,
        "e.f": 2.0,
        "g": math.inf,
    }


def test_an_older_wandbs_rows_are_read_the_same(tmp_path: Path) -> None:
    """Up to 0.30 every value was JSON; a nested key is one of several parts in both."""
    old = pb.Record()
    old.history.step.num = 3
    for key, value in (("loss", "0.5"), ("_runtime", "2.5"), ("_timestamp", "1772480002.5"), ("bad", "NaN")):
        old.history.item.add(key=key, value_json=value)
    old.history.item.add(nested_key=["a", "b"], value_json="7")
    new = pb.Record()
    new.history.step.num = 3
    for key, number in (("loss", 0.5), ("_runtime", 2.5), ("_timestamp", 1772480002.5), ("bad", math.nan)):
        new.history.item.add(key=key, number=number)
    new.history.item.add(nested_key=["a", "b"], integer=7)
    path = wandb_files.write(tmp_path / "run-x.wandb", [old.SerializeToString(), new.SerializeToString()])
    _, (first, second) = read(path)
    assert repr(first) == repr(second)
    assert dict(numbers(first.values)) == {"loss": 0.5, "a.b": 7.0, "bad": pytest.approx(math.nan, nan_ok=True)}


def test_a_file_that_grows_is_read_on_from_where_it_stood(real: Path, tmp_path: Path) -> None:
    whole, path = real.read_bytes(), tmp_path / "run-x.wandb"
    _, at_once = read(real)
    rows, offset = [], 0
    for size in [3, 7, 8, 700, *range(5_000, len(whole), 7_001), BLOCK, len(whole)]:
        path.write_bytes(whole[: max(size, path.stat().st_size if path.exists() else 0)])
        log = RunLog(Tail(path, offset))
        rows += list(log.rows())
        offset = log.tail.offset
    assert rows == at_once
    assert offset == len(whole)


@pytest.mark.parametrize(
    "sizes", [range(BLOCK - 40, BLOCK + 40), range(0, 850_000, 7_919)], ids=["around a block's end", "anywhere"]
)
def test_wherever_a_file_is_cut_off_every_whole_record_is_read_and_the_rest_later(tmp_path: Path, sizes: range) -> None:
    path = wandb_files.write(tmp_path / "run-x.wandb", RECORDS)
    whole = path.read_bytes()
    for size in sizes:
        path.write_bytes(whole[:size])
        tail = Tail(path)
        found = list(tail.records())
        assert found == RECORDS[: len(found)]
        path.write_bytes(whole)
        assert found + list(tail.records()) == RECORDS
        assert (tail.damaged, tail.is_cut_off) == (0, False)


def test_a_damaged_block_costs_its_own_records_and_no_others(tmp_path: Path) -> None:
    small = [number.to_bytes(2, "big") * 500 for number in range(200)]  # 32 a block
    path = wandb_files.write(tmp_path / "run-x.wandb", small)
    whole = bytearray(path.read_bytes())
    whole[2 * BLOCK + 5_000] ^= 0xFF
    path.write_bytes(whole)
    tail = Tail(path)
    found = list(tail.records())
    lost = [record for record in small if record not in found]
    assert tail.damaged == 1
    assert found == [record for record in small if record not in lost]
    assert 20 <= len(lost) <= 34
    assert list(tail.records()) == [], "a second look finds nothing new"


def test_a_damaged_end_waits_for_what_may_still_be_written(tmp_path: Path) -> None:
    path = wandb_files.write(tmp_path / "run-x.wandb", RECORDS[:5])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"\0\0\0")
    tail = Tail(path)
    assert list(tail.records()) == RECORDS[:4]
    assert (tail.damaged, tail.is_cut_off) == (0, True)
    path.write_bytes(whole)
    assert list(tail.records()) == RECORDS[4:5]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_in_a_file_reading_ends_without_an_error(real: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(real.read_bytes()[: 2 * BLOCK])
    for place in data.draw(st.lists(st.integers(7, len(whole) - 1), max_size=20)):
        whole[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "run-x.wandb"
    path.write_bytes(whole)
    _, rows = read(path)
    assert len(rows) <= wandb_files.ROWS


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_a_record_that_is_no_message_is_counted_and_passed_over(junk: bytes) -> None:
    class Given(Tail):
        def records(self) -> Iterator[bytes]:
            return iter([junk, wandb_files.row_record(3, 10.0, 1.0, loss=0.5)])

    log = RunLog(Given(Path("x")))
    assert [row.values for row in log.rows() if row.step == 3][-1:] == [{"loss": 0.5}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04 a zip file", "this is no file that wandb wrote"),
        (b":W&B\xe1\xbe\x01" + bytes(20), "in version 1 of its format, and version 0 is known"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "run-x.wandb"
    path.write_bytes(content)
    with pytest.raises(OnehourError, match=sentence):
        list(Tail(path).records())
    with pytest.raises(OnehourError, match=r"run-y\.wandb: it cannot be read \(No such file"):
        list(Tail(tmp_path / "run-y.wandb").records())


def test_a_file_of_a_run_killed_in_its_first_seconds_holds_nothing(tmp_path: Path) -> None:
    for content in (b"", b":W&B", b":W&B\xe1\xbe\x00"):
        path = tmp_path / "run-x.wandb"
        path.write_bytes(content)
        log, rows = read(path)
        assert (rows, log.run_id, log.exit_code) == ([], "", None)
