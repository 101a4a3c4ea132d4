"""Curves of runs of ours and of runs from elsewhere together, by the runs' names, however each script spells a metric."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlmodel import Session

from app.scores import run_curves, wandb_curves
from app.scores.metric_names import counterpart
from app.scores.run_curves import FoldCurve
from app.scores.run_rows import RunRow
from app.scores.wandb_runs import ForeignRun

Logged = Mapping[str, frozenset[str]]  # the metrics of which there are curves, by the runs' names


@dataclass(frozen=True)
class Runs:
    """`own` and `foreign` are laid over each other in this order."""

    own: Sequence[RunRow] = ()
    foreign: Sequence[ForeignRun] = ()

    @cached_property
    def names(self) -> dict[str, RunRow | ForeignRun]:
        """Each by a name that no other has: a foreign one's with its id where the name alone does not tell it."""
        many = Counter([row.run_key for row in self.own] + [run.name for run in self.foreign])
        own: dict[str, RunRow | ForeignRun] = {row.run_key: row for row in self.own}
        told = {
            run.name if many[run.name] == 1 else f"{run.name} ({run.parts[0].wandb_id})": run for run in self.foreign
        }
        return own | told


def logged(db: Session, runs: Runs) -> Logged:
    """What each of the runs has curves of; two queries."""
    own = run_curves.metrics_of(db, [row.run_id for row in runs.own]) if runs.own else {}
    foreign = wandb_curves.metrics_of(db, runs.foreign) if runs.foreign else {}
    none: frozenset[str] = frozenset()
    return {
        name: own.get(run.run_id, none) if isinstance(run, RunRow) else foreign.get(run.key, none)
        for name, run in runs.names.items()
    }


def metrics_of(found: Logged) -> list[str]:
    """All metrics of these runs in order, each once: as the first run spells it that has it."""
    known: dict[str, None] = {}
    for names in found.values():
        new = sorted(names - known.keys())
        if not new:
            continue
        # Two names of one run are two metrics, whatever they look like.
        beside: frozenset[str] = frozenset().union(
            *(others for others in found.values() if not others.isdisjoint(names))
        )
        free = [one for one in known if one not in beside]
        known |= dict.fromkeys(name for name in new if counterpart(name, free) is None)
    return sorted(known)


def of_metric(db: Session, runs: Runs, found: Logged, metric: str) -> dict[str, list[FoldCurve]]:
    """The curves of `metric` of those that have it, by their names; a query for each way of spelling it."""
    spelt: dict[str, list[str]] = defaultdict(list)
    for name, metrics in found.items():
        if (same := counterpart(metric, metrics)) is not None:
            spelt[same].append(name)
    curves: dict[str, list[FoldCurve]] = {}
    for same, names in spelt.items():
        own = {run.run_id: name for name in names if isinstance(run := runs.names[name], RunRow)}
        foreign = {run.key: name for name in names if isinstance(run := runs.names[name], ForeignRun)}
        read = run_curves.of_runs(db, own, same) if own else {}
        curves |= {name: read[run_id] for run_id, name in own.items() if run_id in read}
        told = wandb_curves.of_runs(db, [run for run in runs.foreign if run.key in foreign], same) if foreign else {}
        curves |= {name: told[key] for key, name in foreign.items() if key in told}
    return {name: curves[name] for name in runs.names if name in curves}
