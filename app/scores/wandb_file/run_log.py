"""A run as its .wandb file tells it, read from the beginning or on from where the last look ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from app.scores.wandb_file.blocks import Tail
from app.scores.wandb_file.message import fields, item, moment_ms, parted, path_of, signed, text, value_of

KINDS = {
    2: "history", 3: "summary", 4: "output", 5: "config", 6: "files", 7: "stats", 8: "artifact", 9: "tensorboard", 10: "alert",
    11: "telemetry", 12: "metric", 13: "output", 17: "run", 18: "exit", 20: "final", 21: "header", 22: "footer", 23: "preempting",
    25: "use_artifact", 26: "environment", 27: "output", 100: "request",
}  # fmt: skip
_OF_RUN = {1: "run_id", 2: "entity", 3: "project", 6: "group", 7: "job_type", 8: "name", 9: "notes", 13: "host"}
# What wandb finds out about the computer and the person, as a person would call it.
_ENVIRONMENT = {
    1: "operating system", 2: "Python", 4: "Docker image", 5: "command line", 6: "program", 7: "code path", 8: "code path",
    10: "e-mail", 11: "folder", 12: "host name", 13: "user name", 14: "Python's path", 15: "Colab link", 16: "processor",
    17: "processor", 18: "GPU", 19: "GPU", 20: "disks", 21: "memory", 22: "processor", 23: "processor", 24: "GPU", 25: "CUDA",
    26: "GPU", 27: "Slurm job", 28: "accelerator", 29: "accelerator", 30: "cluster",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What was logged at one step. `at`: seconds UTC, `runtime_s`: since the run began; None where it is not told."""

    step: int
    at: float | None
    runtime_s: float | None
    values: dict[str, Any]


@dataclass
class RunLog:
    """What is empty was not told yet. Reading goes on from what the last look left, `tail` and all."""

    tail: Tail
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""
    entity: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    notes: str = ""
    host: str = ""
    commit: str = ""
    git_remote: str = ""
    tags: list[str] = field(default_factory=list)
    started_at: int | None = None  # ms UTC
    exit_code: int | None = None
    counts: Counter[str] = field(default_factory=Counter)  # records by kind
    environment: set[str] = field(default_factory=set)  # which facts of computer and person it holds
    files: list[str] = field(default_factory=list)  # below the run's files/
    artifacts: list[str] = field(default_factory=list)
    unreadable: int = 0  # records
    _latest: dict[bytes, bytes | None] = field(
        default_factory=dict
    )  # of the summary, not decoded yet; None: taken away

    def rows(self) -> Iterator[Row]:
        """The history rows that were written since; the rest is taken up on the way. Raises OnehourError as `Tail.records`."""
        for record in self.tail.records():
            try:
                yield from self._take(record)
            except (ValueError, IndexError, TypeError, AttributeError):
                self.unreadable += 1
        for key, value in self._latest.items():
            try:
                _put(self.summary, path_of(key), None if value is None else value_of(value), is_gone=value is None)
            except (ValueError, IndexError, TypeError):
                self.unreadable += 1
        self._latest.clear()

    def _take(self, record: bytes) -> Iterator[Row]:
        for number, content in fields(record):
            kind = KINDS.get(number)
            if kind is None:
                continue
            self.counts[kind] += 1
            if kind == "history":
                yield _row(content)
            elif kind == "summary":
                # Every row brings the whole summary once more: the last value of a key is decoded in the end.
                for at, one in fields(content):
                    if at in (1, 2):
                        key, value = parted(one)
                        self._latest.pop(key, None)
                        self._latest[key] = value if at == 1 else None
            elif kind == "config":
                _change(self.config, content)
            elif kind == "run":
                self._take_run(content)
            elif kind == "exit":
                told = dict(fields(content))
                if not told.get(3):  # 3: the run is not complete, wandb only stopped
                    self.exit_code = signed(told.get(1, 0))
            elif kind == "environment":
                self._take_environment(content)
            elif kind == "files":
                self.files += [text(dict(fields(one)).get(1, b"")) for at, one in fields(content) if at == 1]
            elif kind == "artifact":
                self.artifacts.append(text(dict(fields(content)).get(5, b"")))

    def _take_run(self, content: bytes) -> None:
        tags = []
        for number, value in fields(content):
            if number in _OF_RUN:
                setattr(self, _OF_RUN[number], text(value))
            elif number == 10:
                tags.append(text(value))
            elif number == 17:
                self.started_at = moment_ms(value)
            elif number == 4:
                _change(self.config, value)
            elif number == 5:
                _change(self.summary, value)
            elif number == 21:
                self._take_git(value)
        self.tags = tags

    def _take_environment(self, content: bytes) -> None:
        for number, value in fields(content):
            if number in _ENVIRONMENT:
                self.environment.add(_ENVIRONMENT[number])
            elif number == 9:
                self._take_git(value)

    def _take_git(self, content: bytes) -> None:
        told = dict(fields(content))
        self.git_remote, self.commit = text(told.get(1, b"")) or self.git_remote, text(told.get(2, b"")) or self.commit


@lru_cache(maxsize=4_096)
def _name_of(key: bytes) -> str:
    return ".".join(path_of(key))


def _row(content: bytes) -> Row:
    values: dict[str, Any] = {}
    step = None
    for number, one in fields(content):
        if number == 1:
            key, value = parted(one)
            values[_name_of(key)] = value_of(value)
        elif number == 2:
            step = signed(dict(fields(one)).get(1, 0))
    told = values.pop("_step", step)
    return Row(int(told or 0), values.pop("_timestamp", None), values.pop("_runtime", None), values)


def _change(target: dict[str, Any], content: bytes) -> None:
    """A record of config, or a run's first summary: 1 sets a key, 2 takes one away."""
    for number, one in fields(content):
        if number in (1, 2):
            _put(target, *item(one), is_gone=number == 2)


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any, *, is_gone: bool) -> None:
    place = target
    for part in path[:-1]:
        below = place.get(part)
        if not isinstance(below, dict):
            if is_gone:
                return
            below = place[part] = {}
        place = below
    if is_gone:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
