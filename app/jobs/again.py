"""A run once more: the same spec on the same code, from the record, or with some keys changed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sqlmodel import col, select

from app.jobs import code_record, orders, specs
from app.jobs.as_queued import place_of, recorded
from app.jobs.code_record import Code
from app.jobs.orders import Parent, Queued
from app.jobs.repository import NoRecord
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Experiment, Job, RunCode
from engine.contract import CommandSpec


def again(
    journal: Journal,
    run_key: str,
    overrides: Iterable[str] = (),
    *,
    present_code: bool = False,
    backend: str | None = None,
    hypothesis: str = "",
    sure: bool = False,
) -> Queued:
    """Queue the run `run_key` once more, with `key=value` overrides laid over its spec.

    It is a run of the same experiment, or with a `hypothesis` of its own of another one.

    Its code is the recorded one: where the present code differs it is built again when the run starts. With `present_code` it is
    what lies there now. Raises OnehourError where the record cannot be built, and as `orders.queue_run` does.
    """
    with journal.reading() as db:
        run = run_named(db, run_key)
        experiment = db.get(Experiment, run.experiment_id)
        row = db.get(RunCode, run.id)
        job = db.exec(select(Job).where(Job.run_id == run.id).order_by(col(Job.id).desc())).first()
    assert experiment is not None
    spec = specs.of_run(run, overrides, for_present_code=present_code or row is None)
    code = None if row is None or present_code else _as_it_lies_now(recorded(row), place_of(spec))
    said = _said(run.key, code, place_of(spec)) if not present_code else ()
    queued = orders.queue_run(
        journal,
        spec.line if isinstance(spec, CommandSpec) else run.spec_source,
        spec,
        hypothesis,
        experiment_key=None if hypothesis.strip() else experiment.key,
        backend=backend or (job.backend if job is not None else "local"),
        sure=sure,
        parent=Parent(run.id, code),
    )
    return Queued(queued.run_key, queued.experiment_key, queued.job_id, queued.forecast, (*said, *queued.says))


def _as_it_lies_now(code: Code, place: Path) -> Code:
    """The record of a checkout that was moved since holds for where it lies now."""
    if not place.is_relative_to(code.root):
        with suppress(NoRecord):
            return replace(code, root=code_record.take(place).root)
    return code


def _said(run_key: str, code: Code | None, place: Path) -> tuple[str, ...]:
    """What a person should know of the code that the run is repeated with. Raises NoRecord where it cannot be built again."""
    if code is None:
        return (f"{run_key} has no record of its code: this run takes what lies there now.",)
    said = list(code.left_out)
    if not code_record.is_there(code, place):
        code_record.require(code)
        said.append(
            f"The code was changed since: it is built again from {code.commit[:10]} and what was not committed then."
        )
    now = code_record.lock_sha256(place, Path(code.root))
    if now != code.lock_sha256:
        said.append(f"The lock file is another one now: the packages may not be those that {run_key} ran with.")
    return tuple(said)
