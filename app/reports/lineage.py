"""What was changed from one run to another: the keys of their specs, and whether the code is the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_
from sqlalchemy import select as columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func

from app.journal.tables import Run, RunCode

# What every run has of its own, whatever was asked.
NOT_ASKED = ("tracking", "search_path")


@dataclass(frozen=True)
class Change:
    """A key of the spec, dotted, that differs from the earlier run's; None where one of them lacks it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Lineage:
    """How a run differs from the one with the key `against`. `other_code`: than that one's, where both are recorded."""

    against: str
    changes: tuple[Change, ...]
    other_code: bool

    @property
    def words(self) -> str:
        """`seed: 0 → 1, other code`, or `nothing changed`."""
        changed = [f"{one.key}: {written(one.before)} → {written(one.after)}" for one in self.changes]
        return ", ".join([*changed, *["other code"] * self.other_code]) or "nothing changed"


def lineages(db: Session, pairs: Mapping[str, str]) -> dict[str, Lineage]:
    """For each run's key how that run differs from the one it is paired with; two queries, however many there are."""
    query = columns(col(Run.key), col(Run.spec)).where(col(Run.key).in_({*pairs, *pairs.values()}))
    told = {key: _flat(json.loads(spec)) for key, spec in db.connection().execute(query)}
    other_code = _of_other_code(db, pairs)
    return {key: Lineage(before, _changes(told[before], told[key]), key in other_code) for key, before in pairs.items()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The keys in which two specs differ, in the order of the second."""
    return _changes(_flat(before), _flat(after))


def differing(db: Session, keys: Sequence[str]) -> list[tuple[str, list[Any]]]:
    """The keys of their specs in which these runs are not all the same, each with the values in the runs' order; one query."""
    query = columns(col(Run.key), col(Run.spec)).where(col(Run.key).in_(keys))
    told = {key: _flat(json.loads(spec)) for key, spec in db.connection().execute(query)}
    specs = [told[key] for key in keys]
    return [
        (name, values)
        for name in dict.fromkeys(name for spec in specs for name in spec)
        for values in [[spec.get(name) for spec in specs]]
        if any(value != values[0] for value in values)
    ]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(Change(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key))


def _of_other_code(db: Session, pairs: Mapping[str, str]) -> set[str]:
    """The runs whose code is not that of the one they are paired with. Compared in SQL: what was not committed may be long."""
    given = func.json_each(json.dumps([*pairs.items()])).table_valued("value")
    run, before, mine, its = aliased(Run), aliased(Run), aliased(RunCode), aliased(RunCode)
    query = (
        columns(col(run.key))
        .select_from(given)
        .join(run, col(run.key) == func.json_extract(given.c.value, "$[0]"))
        .join(before, col(before.key) == func.json_extract(given.c.value, "$[1]"))
        .join(mine, col(mine.run_id) == col(run.id))
        .join(its, col(its.run_id) == col(before.id))
        .where(or_(col(mine.commit) != col(its.commit), col(mine.diff) != col(its.diff)))
    )
    return {key for (key,) in db.connection().execute(query)}


def _flat(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in spec.items():
        if not prefix and key in NOT_ASKED:
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def written(value: Any) -> str:
    """A value of a spec as a person types it."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return shlex.join(value)
    return json.dumps(value, ensure_ascii=False)
