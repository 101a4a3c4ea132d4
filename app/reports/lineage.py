"""What was changed from one run to another: the keys of their specs, and whether the code is the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, or_
from sqlalchemy import select as columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func

from app.journal.tables import Run, RunCode
from app.scores.stored_specs import stored_spec

# What every run has of its own, or only follows from which runs stand before it.
NOT_ASKED = ("tracking", "search_path", "stop_if_behind", "folders")


@dataclass(frozen=True)
class Change:
    """A key of the spec, dotted, that differs from the earlier run's; None where one of them lacks it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Lineage:
    """How a run differs from the one with the key `against`.

    `changes` are empty where that one is of another kind. `other_code` and `other_packages` (by the lock file): than that one's; None
    where one of them is not recorded.
    """

    against: str
    other_kind: bool
    changes: tuple[Change, ...]
    other_code: bool | None
    other_packages: bool | None

    @property
    def is_same(self) -> bool:
        return not (self.other_kind or self.changes or self.other_code or self.other_packages)

    @property
    def words(self) -> str:
        """`seed: 0 → 1, other code`, `another kind of run`, or `nothing changed`."""
        if self.other_kind:
            return "another kind of run"
        changed = [f"{one.key}: {written(one.before)} → {written(one.after)}" for one in self.changes]
        changed += ["other code"] if self.other_code else []
        changed += ["other packages"] if self.other_packages else []
        return ", ".join(changed) or ("the same spec" if self.other_code is None else "nothing changed")


def lineages(db: Session, keys: Collection[str], baselines: Mapping[str, str]) -> dict[str, Lineage]:
    """By their keys how runs differ from the ones that they vary or repeat, else from their baselines; three queries, however many.

    A run with neither is left out.
    """
    parent = aliased(Run)
    of_parents = columns(col(Run.key), col(parent.key)).join(parent, col(parent.id) == col(Run.parent_id))
    found_parents = db.connection().execute(of_parents.where(col(Run.key).in_(keys)))
    pairs = {**baselines, **{key: of for key, of in found_parents}}
    query = columns(col(Run.key), col(Run.kind), col(Run.spec)).where(col(Run.key).in_({*pairs, *pairs.values()}))
    told = {key: (kind, _flat(stored_spec(spec))) for key, kind, spec in db.connection().execute(query)}
    code = _code(db, pairs)
    found = {}
    for key, before in pairs.items():
        (kind, spec), (earlier_kind, earlier) = told[key], told[before]
        changed = _changes(earlier, spec) if kind == earlier_kind else ()
        found[key] = Lineage(before, kind != earlier_kind, changed, *code.get(key, (None, None)))
    return found


def differing(db: Session, keys: Sequence[str]) -> list[tuple[str, list[Any]]]:
    """The keys of their specs in which these runs are not all the same, each with the values in the runs' order; one query."""
    query = columns(col(Run.key), col(Run.spec)).where(col(Run.key).in_(keys))
    told = {key: _flat(stored_spec(spec)) for key, spec in db.connection().execute(query)}
    specs = [told[key] for key in keys]
    return [
        (name, values)
        for name in dict.fromkeys(name for spec in specs for name in spec)
        for values in [[spec.get(name) for spec in specs]]
        if any(value != values[0] for value in values)
    ]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The keys in which two flat specs differ, in the order of the second."""
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(Change(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key))


def _code(db: Session, pairs: Mapping[str, str]) -> dict[str, tuple[bool, bool | None]]:
    """Whether code and lock file are others than those of the run it is paired with, of runs where both are recorded.

    Compared in SQL: what was not committed may be long.
    """
    given = func.json_each(json.dumps([*pairs.items()])).table_valued("value")
    run, before, mine, its = aliased(Run), aliased(Run), aliased(RunCode), aliased(RunCode)
    query = (
        columns(
            col(run.key),
            or_(col(mine.commit) != col(its.commit), col(mine.diff) != col(its.diff)),
            case(
                (
                    and_(col(mine.lock_sha256) != "", col(its.lock_sha256) != ""),
                    col(mine.lock_sha256) != col(its.lock_sha256),
                )
            ),
        )
        .select_from(given)
        .join(run, col(run.key) == func.json_extract(given.c.value, "$[0]"))
        .join(before, col(before.key) == func.json_extract(given.c.value, "$[1]"))
        .join(mine, col(mine.run_id) == col(run.id))
        .join(its, col(its.run_id) == col(before.id))
    )
    return {
        key: (bool(code), None if packages is None else bool(packages))
        for key, code, packages in db.connection().execute(query)
    }


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
