"""What a person's own code logged to W&B in its run's folder: its score and its curves, where it left no rows of its own.

A W&B run that ended well is a fold. One that did not, because its attempt was stopped and went on in another one, tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.scores.wandb_file.blocks import Tail
from app.scores.wandb_file.run_log import RunLog
from app.scores.wandb_points import Points, Series
from app.scores.wandb_score import score_of
from engine.contract import FoldScore, OnehourError
from engine.run_folder import RunFolder


@dataclass(frozen=True)
class Logged:
    """A W&B run; `series` by metric, over the steps."""

    summary: Mapping[str, Any]
    series: Mapping[str, Series]


def logged(folder: RunFolder) -> list[Logged]:
    """Those that ended well, in the order of their start."""
    found = []
    for path in sorted(folder.wandb_dir.glob("*/*.wandb")):
        if path.parent.is_symlink():  # wandb's latest-run
            continue
        log, points = RunLog(Tail(path)), Points()
        try:
            for row in log.rows():
                points.add(row.step, row.at, row.runtime_s, row.values)
        except OnehourError:  # no file of wandb's, or one that cannot be read
            continue
        if log.exit_code == 0:
            for series in points.series.values():
                series.thin()
            found.append((log.started_at or 0, path, Logged(log.summary, points.series)))
    return [one for _, _, one in sorted(found, key=lambda each: each[:2])]


def scores(folder: RunFolder, metric: str) -> tuple[tuple[FoldScore, ...], str]:
    """The score of each fold, and the name under which it was logged; none where nothing goes by the metric's name."""
    told = [score_of(one.summary, metric) for one in logged(folder)]
    named = {fold: one for fold, one in enumerate(told) if one is not None}  # the numbers that its curves have too
    folds = tuple(FoldScore(fold=fold, score=value, images=0) for fold, (_, value) in named.items())
    return folds, next((name for name, _ in named.values()), "")
