"""A run is asked for: its experiment, its row and its job, written together, with a guess of the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, select

from app.jobs import backlog, code_record, configured, data_checks
from app.jobs.as_queued import place_of
from app.jobs.backends.local import LOCAL
from app.jobs.backlog import QUEUED
from app.jobs.code_record import Code
from app.jobs.forecast import Forecast, forecast
from app.jobs.own_command import refuse_too_large
from app.jobs.repository import NoRecord
from app.jobs.specs import Blend, Spec, kind_of, of_run
from app.journal import challenges, days, rules, sittings
from app.journal.home import COMMAND, Home
from app.journal.run_keys import run_named
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, Job, Run, RunCode
from engine.contract import METRIC_DIRECTIONS, CommandSpec, OnehourError, RunSpec, nearest
from engine.run_folder import RunFolder


@dataclass(frozen=True)
class Queued:
    """What was written down, and the guess of its end."""

    run_key: str
    experiment_key: str
    job_id: int
    forecast: Forecast
    says: tuple[str, ...] = ()  # what a person should know of the code that it was queued with


@dataclass(frozen=True)
class Parent:
    """The run that another one repeats or varies; `code` is None where the code that is there now is wanted."""

    run_id: int
    code: Code | None


class SecondThought(OnehourError):
    """What a person should know before they queue it all the same."""


def queue_run(
    journal: Journal,
    spec_source: str,
    spec: Spec,
    hypothesis: str,
    *,
    experiment_key: str | None = None,
    backend: str = LOCAL,
    sure: bool = False,
    origin: str = "person",
    parent: Parent | None = None,
) -> Queued:
    """One run: see `queue_runs`."""
    (queued,) = queue_runs(
        journal, spec_source, [spec], hypothesis,
        experiment_key=experiment_key, backend=backend, sure=sure, origin=origin, parent=parent,
    )  # fmt: skip
    return queued


def queue_runs(
    journal: Journal,
    spec_source: str,
    specs: Sequence[Spec],
    hypothesis: str,
    *,
    experiment_key: str | None = None,
    backend: str = LOCAL,
    sure: bool = False,
    origin: str = "person",
    parent: Parent | None = None,
) -> list[Queued]:
    """Write an experiment, its runs and their jobs in one transaction: all of them or none.

    The same hypothesis in the same challenge is the same experiment, and `experiment_key` names one whatever is said; its next
    run gets the next number. Relative paths of a spec are taken from the current folder. Raises AgainstTheRules outside the hour,
    OnehourError for what cannot run, and SecondThought for what would pass a limit or a quota unless the person is `sure`.
    The state of the code is recorded, as far as there is a repository; `parent` is the run that these repeat or vary, whose code is
    theirs too where it says so.
    """
    hypothesis = " ".join(hypothesis.split())
    if not hypothesis and experiment_key is None:
        raise OnehourError(
            "a run needs a hypothesis",
            fix='Say in one sentence what you expect, such as "Larger images help rare whales".',
        )
    specs = [_made_ready(spec, backend, parent) for spec in specs]
    codes = _codes(specs, parent)
    with journal.reading() as db:  # all that reads files comes before the transaction, in which nobody else can write
        at = sittings.sitting(db, challenges.active(db), journal.now())
        guesses = forecast(db, journal.home, at, specs, backend)
        trained = [spec for spec in specs if isinstance(spec, RunSpec)]
        drawn = [data_checks.augmented(journal.home, at.challenge, spec) for spec in trained]
    folders = _folder_names(journal.home)
    queued = []
    with journal.writing() as db:
        now = journal.now()
        challenge = challenges.active(db)
        at = sittings.sitting(db, challenge, now)
        challenges.require_backend(challenge, backend)
        if origin == "person":
            rules.require(rules.Action.WORK, at.moment, "Queueing a run")
            for one in drawn:
                _require_looked_at(db, challenge, one)
            _require_second_thought(guesses, sure)
        experiment = _experiment(db, folders, challenge, hypothesis, experiment_key, origin, now)
        taken = list(db.exec(select(Run.key).where(Run.experiment_id == experiment.id)).all())
        day = days.day_number(at.local_date, challenge.starts_on)
        # Code of an earlier time knows no keys that were added since.
        is_old_code = parent is not None and parent.code is not None
        for spec, guess, (code, says) in zip(specs, guesses, codes, strict=True):
            run_key = _free_key(f"{experiment.key}-r", 2, taken, folders)
            taken.append(run_key)
            more = {} if is_old_code else {"day": day, "commit": "" if code is None else code.commit}
            tracked = _tracked(spec, run_key, day, experiment.hypothesis, more)
            run = Run(
                challenge_id=challenge.id,
                experiment_id=experiment.id,
                key=run_key,
                local_date=at.local_date,
                # A repetition keeps the keys of its time: code of then does not know those added since.
                spec=tracked.model_dump_json(exclude_unset=parent is not None),
                spec_source=spec_source,
                kind=kind_of(spec),
                parent_id=None if parent is None else parent.run_id,
                origin=origin,
                created_at=now,
                metric=spec.metric,
                direction=METRIC_DIRECTIONS[spec.metric],
            )
            db.add(run)
            db.flush()
            if code is not None:
                db.add(RunCode(run_id=run.id, recorded_at=now, **vars(code)))
            job = Job(
                run_id=run.id,
                state=QUEUED,
                backend=backend,
                estimated_s=guess.duration.seconds,
                estimated_low_s=guess.duration.low_s,
                estimated_high_s=guess.duration.high_s,
                origin=origin,
                queued_at=now,
            )
            db.add(job)
            db.flush()
            assert job.id is not None
            queued.append(Queued(run_key, experiment.key, job.id, guess, says))
    return queued


def move_to(journal: Journal, run_key: str, backend: str, *, sure: bool = False) -> str:
    """Let a run go on on another backend that is configured and allowed, at any time: see `backlog.move_to`.

    Raises OnehourError for what cannot run there, and SecondThought as `queue_runs` does.
    """
    configured.settings_of(journal.home, backend)
    with journal.reading() as db:
        at = sittings.sitting(db, challenges.active(db), journal.now())
        challenges.require_backend(at.challenge, backend)
        run, job = run_named(db, run_key), backlog.job_of(db, run_key)
        spec = of_run(run)
        (guess,) = forecast(db, journal.home, at, [spec], backend, RunFolder(journal.home.run_dir(run.key)).progress())
    if backend != job.backend:
        if isinstance(spec, CommandSpec) and backend != LOCAL:
            refuse_too_large(spec)
        _require_second_thought([guess], sure, "Move it once more")
    there = guess.duration
    return backlog.move_to(journal, run_key, backend, (there.seconds, there.low_s, there.high_s))


def _require_second_thought(guesses: Sequence[Forecast], sure: bool, again: str = "Queue it once more") -> None:
    cautions = list(dict.fromkeys(caution for guess in guesses for caution in guess.cautions))
    if cautions and not sure:
        raise SecondThought("; ".join(cautions), fix=f"{again} to have it all the same (--yes).")


def _require_looked_at(db: Session, challenge: Challenge, drawn: data_checks.Augmented) -> None:
    found = data_checks.look(db, challenge, drawn)
    if found.reason:
        raise OnehourError(
            f"this run waits for a look at its augmented pictures: {found.reason}",
            fix=f"Look at the sheet on the page Data and say so there; in a terminal: {COMMAND} data sheet SPEC, then --looked-at.",
        )


def _experiment(
    db: Session,
    folders: Collection[str],
    challenge: Challenge,
    hypothesis: str,
    key: str | None,
    origin: str,
    now: int,
) -> Experiment:
    mine = list(db.exec(select(Experiment).where(Experiment.challenge_id == challenge.id)).all())
    if key is not None:
        named = next((one for one in mine if one.key == key), None)
        if named is None:
            raise OnehourError(f"there is no experiment {key!r}", fix=nearest(key, [one.key for one in mine]))
        return named
    same = next((one for one in mine if one.hypothesis.casefold() == hypothesis.casefold()), None)
    if same is not None:
        return same
    experiment = Experiment(
        challenge_id=challenge.id,
        key=_free_key(f"{challenge.slug}_", 3, [one.key for one in mine], folders),
        hypothesis=hypothesis,
        origin=origin,
        created_at=now,
    )
    db.add(experiment)
    db.flush()
    return experiment


def _free_key(prefix: str, digits: int, taken: Sequence[str], folders: Collection[str]) -> str:
    """The next number after the highest one. A folder that stands there already (a journal set back to a backup) is left alone."""
    number = max((int(key.removeprefix(prefix)) for key in taken), default=0) + 1
    while any(name.startswith(f"{prefix}{number:0{digits}d}") for name in folders):
        number += 1
    return f"{prefix}{number:0{digits}d}"


def _folder_names(home: Home) -> list[str]:
    return [path.name for path in home.runs_dir.iterdir()] if home.runs_dir.is_dir() else []


def _codes(specs: Sequence[Spec], parent: Parent | None) -> list[tuple[Code | None, tuple[str, ...]]]:
    """The code of each run and what is to be said of it: the parent's, else what lies there now."""
    if parent is not None and parent.code is not None:
        return [(parent.code, ())] * len(specs)
    found: dict[Path, tuple[Code | None, tuple[str, ...]]] = {}
    for place in dict.fromkeys(place_of(spec) for spec in specs):
        try:
            code = code_record.take(place)
            found[place] = code, tuple(f"{code.root}: {words}" for words in code.left_out)
        except NoRecord as error:
            found[place] = None, (str(error),)
    return [found[place_of(spec)] for spec in specs]


def _made_ready(spec: Spec, backend: str, parent: Parent | None) -> Spec:
    """What is asked, to be started elsewhere than here. Raises OnehourError for what is not there."""
    if isinstance(spec, RunSpec):
        return _with_absolute_paths(spec)
    if isinstance(spec, Blend):
        return spec
    if (parent is None or parent.code is None) and not Path(spec.cwd).is_dir():
        raise OnehourError("there is no such folder", where=spec.cwd, fix="Set cwd to the folder of your code.")
    if backend != LOCAL:
        refuse_too_large(spec)
    return spec


def _with_absolute_paths(spec: RunSpec) -> RunSpec:
    """The worker starts the run elsewhere. Raises OnehourError when the data folder is not there."""
    data_dir = Path(spec.data.dir).expanduser().absolute()
    if not data_dir.is_dir():
        raise OnehourError("there is no such data folder", where=str(data_dir), fix="Set data.dir.")
    named = {
        key: str(Path(path).expanduser().absolute())
        for key, path in (("weights_path", spec.weights_path), ("folds_from", spec.folds_from))
        if path is not None
    }
    data = spec.data.model_copy(update={"dir": str(data_dir)})
    return spec.model_copy(update={"data": data, **named})


def _tracked(spec: Spec, run_key: str, day: int, hypothesis: str, more: Mapping[str, object]) -> Spec:
    """With what W&B is told of the run; `more`: keys that the code of the run knows."""
    day_tag = f"day-{day}"
    tags = (*(tag for tag in spec.tracking.tags if tag != day_tag), day_tag)
    told = {"run_id": run_key, "tags": tags, "notes": hypothesis, **more}
    tracking = spec.tracking.model_copy(update=told)
    return spec.model_copy(update={"tracking": tracking})
