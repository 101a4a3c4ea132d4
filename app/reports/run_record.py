"""All that is known of one run: what was asked and how it differs from its parent, its code, its attempts, its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session, col, select

from app.jobs.as_queued import recorded
from app.jobs.code_record import Code
from app.jobs.commit_page import commit_page
from app.journal import days
from app.journal.run_keys import run_named
from app.journal.tables import AttemptRow, Challenge, Job, Reference, Run, RunCode, RunReference
from app.reports.lineage import Lineage, lineages
from app.scores import wandb_runs
from app.scores.board import BoardRun, board_runs_named
from app.scores.run_rows import cv_text, score_text
from app.scores.verdict import Verdict, verdict_text, verdicts
from app.scores.wandb_runs import ForeignRun


@dataclass(frozen=True)
class RunRecord:
    run: BoardRun
    kind: str
    experiment_id: int
    spec: Mapping[str, Any]
    parent_key: str | None
    lineage: Lineage | None  # against its parent, else against the baseline of its verdict
    code: Code | None
    recorded_at: int | None
    attempts: tuple[AttemptRow, ...]
    verdict: Verdict | None
    references: tuple[Reference, ...]
    foreign: tuple[ForeignRun, ...]  # of the same experiment, not started here

    @property
    def commit_page(self) -> str | None:
        return None if self.code is None else commit_page(self.code.remote_url, self.code.commit)


def read(db: Session, challenge: Challenge, run_key: str) -> RunRecord:
    """Raises OnehourError with the nearest key."""
    run = run_named(db, run_key, challenge)
    (found,) = board_runs_named(db, challenge, [run.key])
    parent = None if run.parent_id is None else db.get(Run, run.parent_id)
    verdict = verdicts(db, challenge, [run.id]).get(run.id)
    baseline = {} if verdict is None else {run.key: verdict.against}
    code = db.get(RunCode, run.id)
    attempts = db.exec(
        select(AttemptRow).join(Job, col(Job.id) == col(AttemptRow.job_id)).where(Job.run_id == run.id)
    ).all()
    used = select(Reference).join(RunReference, col(RunReference.reference_id) == col(Reference.id))
    return RunRecord(
        run=found,
        kind=run.kind,
        experiment_id=run.experiment_id,
        spec=json.loads(run.spec),
        parent_key=None if parent is None else parent.key,
        lineage=lineages(db, [run.key], baseline).get(run.key),
        code=None if code is None else recorded(code),
        recorded_at=None if code is None else code.recorded_at,
        attempts=tuple(sorted(attempts, key=lambda one: (one.job_id, one.number))),
        verdict=verdict,
        references=tuple(db.exec(used.where(RunReference.run_id == run.id).order_by(col(Reference.id))).all()),
        foreign=tuple(wandb_runs.of_experiment(db, challenge, run.experiment_id)),
    )


def as_json(record: RunRecord) -> dict[str, Any]:
    row = record.run.row
    return {
        **asdict(row),
        "local_date": row.local_date.isoformat(),
        "kind": record.kind,
        "parent": record.parent_key,
        "against": None if record.lineage is None else record.lineage.against,
        "changes": [] if record.lineage is None else [asdict(one) for one in record.lineage.changes],
        "spec": record.spec,
        "code": None
        if record.code is None
        else {**asdict(record.code), "page": record.commit_page, "left_out": record.code.left_out},
        "attempts": [one.model_dump() for one in record.attempts],
        "verdict": None if record.verdict is None else asdict(record.verdict),
        "lb": {"public": record.run.public, "private": record.run.private, "source": record.run.lb_source},
        "submission": record.run.submission_path,
        "references": [one.key for one in record.references],
        "foreign": [{"name": one.name, "score": one.score_words, "url": one.url} for one in record.foreign],
    }


def page(record: RunRecord, time_zone: str) -> str:
    row = record.run.row
    lines = [f"{row.run_key}  {row.state}" + (f": {row.message}" if row.message else ""), row.hypothesis]
    scored = [f"{row.metric} CV {cv_text(row)}"] if row.cv is not None else []
    if record.verdict is not None:
        scored.append(verdict_text(record.verdict))
    if record.run.public is not None or record.run.private is not None:
        lb = f"LB {score_text(record.run.public)} / {score_text(record.run.private)} ({record.run.lb_source})"
        scored.append(lb)
    lines += [", ".join(scored)] if scored else []
    if row.fold_scores:
        lines.append("folds: " + " ".join(score_text(score) for score in row.fold_scores))
    lines += [f"remark: {remark}" for remark in row.remarks]
    lines += [f"note: {row.note}"] if row.note else []
    lines += ["tags: " + " ".join(f"#{tag}" for tag in row.tags)] if row.tags else []
    lines.append(f"{record.kind}: {row.spec_source}" + (f", in {record.spec['cwd']}" if "cwd" in record.spec else ""))
    lines += [lineage_words(record)] if record.lineage is not None else []
    lines += code_words(record)
    lines += [_attempt_words(one, time_zone) for one in record.attempts]
    lines += [f"reference: {one.title} (&{one.key})" for one in record.references]
    lines += [f"of the same experiment: {one.name} {one.score_words}".rstrip() for one in record.foreign]
    if record.run.submission_path:
        lines.append(f"submission: {record.run.submission_path}")
    return "\n".join(line for line in lines if line)


def lineage_words(record: RunRecord) -> str:
    """`once more after humpback_001-r01, with seed: 0 → 1`, or `against humpback_001-r01: seed: 0 → 1`; empty for the very first."""
    if record.lineage is None:
        return ""
    if record.parent_key is None:
        return f"against {record.lineage.against}: {record.lineage.words}"
    return f"once more after {record.parent_key}, {'' if record.lineage.is_same else 'with '}{record.lineage.words}"


def code_words(record: RunRecord) -> list[str]:
    """The commit and what is beyond it, a line each."""
    if record.code is None:
        return ["code: not recorded"]
    changed = record.code.patch.count(b"\ndiff --git ") + record.code.patch.startswith(b"diff --git ")
    on = f" on {record.code.branch}" if record.code.branch else ""
    beyond = f", {changed} file{'s' * (changed > 1)} not committed" if changed else ""
    words = [f"code: {record.code.commit[:10]}{on}{beyond}, {record.commit_page or record.code.root}"]
    return words + [f"code: {line}" for line in record.code.left_out]


def _attempt_words(one: AttemptRow, zone: str) -> str:
    ended = "running" if one.ended_at is None else f"to {_moment(one.ended_at, zone)}"
    code = "" if one.exit_code is None else f", exit code {one.exit_code}"
    return f"attempt {one.number}: {one.backend} {one.slot}, {_moment(one.started_at, zone)} {ended}{code}"


def _moment(at: int, zone: str) -> str:
    return f"{days.local(at, zone):%Y-%m-%d %H:%M}"
