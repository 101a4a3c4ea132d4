"""Runs as Runs lists them: each with its scores, its verdict, and what was changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from app.journal.tables import Challenge
from app.reports.lineage import Lineage, lineages
from app.scores.board import BoardRun, board_runs_named
from app.scores.run_rows import RunRow, cv_text, score_text
from app.scores.verdict import Verdict, verdict_text, verdicts


@dataclass(frozen=True)
class ListedRun:
    """`lineage`: against its parent, else against the baseline of its verdict; None where there is neither."""

    on_board: BoardRun
    verdict: Verdict | None
    lineage: Lineage | None

    @property
    def row(self) -> RunRow:
        return self.on_board.row


def listed(db: Session, challenge: Challenge, keys: Sequence[str]) -> list[ListedRun]:
    """The runs with these keys, in this order; a handful of queries, however many there are."""
    board = {run.row.run_key: run for run in board_runs_named(db, challenge, keys)}
    found = verdicts(db, challenge, [run.row.run_id for run in board.values()])
    against = {run.row.run_key: found[run.row.run_id].against for run in board.values() if run.row.run_id in found}
    differ = lineages(db, keys, against)
    return [ListedRun(board[key], found.get(board[key].row.run_id), differ.get(key)) for key in keys if key in board]


def as_json(run: ListedRun) -> dict[str, Any]:
    row = run.row
    return {
        "run": row.run_key,
        "hypothesis": row.hypothesis,
        "day": row.local_date.isoformat(),
        "state": row.state,
        "backend": row.backend,
        "metric": row.metric,
        "cv": row.cv,
        "fold_scores": row.fold_scores,
        "lb": {"public": run.on_board.public, "private": run.on_board.private},
        "verdict": None if run.verdict is None else run.verdict.word,
        "gain": None if run.verdict is None else run.verdict.gain,
        "against": None if run.lineage is None else run.lineage.against,
        "changes": None if run.lineage is None else run.lineage.words,
        "gpu_s": row.gpu_s,
        "note": row.note,
        "tags": row.tags,
    }


def page(runs: Sequence[ListedRun]) -> str:
    """A line a run, and one below it for what was changed."""
    lines = []
    for run in runs:
        scores = [cv_text(run.row)] if run.row.cv is not None else [run.row.state]
        scores += [f"LB {score_text(run.on_board.public)}"] if run.on_board.public is not None else []
        scores += [verdict_text(run.verdict)] if run.verdict is not None else []
        lines.append(f"{run.row.run_key}  {run.row.local_date}  {', '.join(scores)}  {run.row.hypothesis}".rstrip())
        lines += [f"    {run.lineage.words}"] if run.lineage is not None else []
    return "\n".join(lines)
