"""The tables of journal.db: what a person says and what was measured, one row a thing.

Moments end `_at` and are INTEGER milliseconds UTC; local dates end `_on` (or are `local_date`) and are ISO text with the zone
beside them. `origin` says who wrote a row: person, system or import; guard.sql holds persons to the hour.
The schema changes only by a migration in app/journal/migrations; a test compares both.
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from sqlalchemy import Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Column, Field, SQLModel


class Base(SQLModel, registry=registry()):
    """Own registry: Streamlit may execute modules again, and SQLModel's shared one would find each table defined twice."""


class Challenge(Base, table=True):
    """N days on one competition under rules. One is active at a time."""

    __table_args__ = (
        Index("one_active_challenge", text("(1)"), unique=True, sqlite_where=text("archived_at IS NULL")),
    )

    id: int = Field(default=None, primary_key=True)
    slug: str = Field(unique=True)
    competition: str
    data_dir: str
    starts_on: date
    days: int
    mode: str  # daily | weekly
    minutes_per_day: float  # in weekly mode a week has seven times this, to use freely
    reflection_minutes: float
    time_zone: str
    day_starts_at: str  # HH:MM
    metric: str
    image_col: str
    label_col: str
    unknown_label: str | None = None
    truth_path: str | None = None  # labels of the test part, where known: a leaderboard at home
    strictness: str = "strict"  # strict | honour: honour lets overtime through, flagged and outside the count
    habit_at: str | None = None  # HH:MM, when the hour is usually begun
    note_template: str | None = None  # Markdown a new day begins with; None: the built-in one
    target_split: str | None = None  # JSON: share of the hour for each activity
    checklist: str | None = None  # JSON: the competition's own rules, as sentences with whether they are kept
    submissions_per_day: int | None = None  # how many the competition takes a UTC day; None: not known
    created_at: int
    archived_at: int | None = None
    backends: str | None = None  # JSON list of the backends that runs may use; None: all that are configured
    run_columns: str | None = None  # JSON list of the columns that Runs shows; None: the usual ones
    labels: str | None = "train.csv"  # file in data_dir; None: the folder of a training picture is its label
    train_images: str = "train"
    test_images: str = "test"
    sample_submission: str = "sample_submission.csv"


class RestDay(Base, table=True):
    """A planned day off: its hour is lost too, but it does not look like a failure."""

    __tablename__: ClassVar[str] = "rest_day"

    challenge_id: int = Field(foreign_key="challenge.id", primary_key=True)
    local_date: date = Field(primary_key=True)


class DailySession(Base, table=True):
    """The hour of one day. The deadlines are derived from its events and written in the same transaction."""

    __tablename__: ClassVar[str] = "daily_session"

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id")
    local_date: date = Field(unique=True)  # the hour is the person's: one a day, whatever the challenge
    time_zone: str
    day_number: int
    allowance_ms: int
    reflection_ms: int
    day_ends_at: int
    started_at: int
    running_since: int | None = None  # start of the focus stretch that counts up to focus_ends_at
    paused_at: int | None = None
    focus_ends_at: int | None = None
    reflection_ends_at: int | None = None
    used_ms: int = 0  # focus time used before running_since
    closed_at: int | None = None
    clock_moved_ms: int = 0  # how far the system clock was found to have jumped meanwhile; the hour did not follow it


class SessionEvent(Base, table=True):
    """One transition of a session (hour.EventKind), or a correction of its past. Never changed, never deleted."""

    __tablename__: ClassVar[str] = "session_event"

    id: int = Field(default=None, primary_key=True)
    session_id: int = Field(foreign_key="daily_session.id", index=True)
    kind: str
    at: int
    detail: str = ""  # a pause's reason, an activity, or JSON of a correction with the old value
    steady_ms: int | None = None  # CLOCK_BOOTTIME beside `at`: tells a changed system clock from time that passed
    boot_id: str | None = None


class SentSignal(Base, table=True):
    """A notification that went out, so that no other process sends it again."""

    __tablename__: ClassVar[str] = "sent_signal"

    challenge_id: int = Field(foreign_key="challenge.id", primary_key=True)
    local_date: date = Field(primary_key=True)
    kind: str = Field(primary_key=True)  # habit | five minutes | time is up
    sent_at: int


class Note(Base, table=True):
    """The page of one day, or one outside any day (an idea, notes on the data, the review of a week) with a title, in Markdown."""

    __table_args__ = (UniqueConstraint("challenge_id", "local_date"),)

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id")
    local_date: date | None = None
    title: str | None = None
    kind: str = "day"  # day | idea | data | week
    body: str
    revision: int
    late: bool = False  # the last words were written after the day was closed, or outside the hour
    writer: str = ""  # which tab or command saved last
    origin: str
    created_at: int
    updated_at: int


class NoteRevision(Base, table=True):
    """A note as it stood at one revision: nothing that was once saved is lost."""

    __tablename__: ClassVar[str] = "note_revision"

    note_id: int = Field(foreign_key="note.id", primary_key=True)
    revision: int = Field(primary_key=True)
    body: str
    late: bool
    saved_at: int


class Todo(Base, table=True):
    """Something to do, planned for a day; undone it rolls over to the next."""

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id", index=True)
    title: str
    minutes: float | None = None
    priority: int = 0  # 0 usual, 1 important
    planned_on: date
    position: int
    done_at: int | None = None
    origin: str
    created_at: int


class Reference(Base, table=True):
    """Something learnt from, with author and licence: credited in the end."""

    __table_args__ = (UniqueConstraint("challenge_id", "key"),)

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id", index=True)
    key: str  # as it stands behind & in a note
    url: str
    title: str
    author: str = ""
    licence: str = ""
    kind: str  # kernel | discussion | paper | repository | post
    taken: str = ""  # what was taken from it
    origin: str
    created_at: int


class RunReference(Base, table=True):
    """A run that used a reference."""

    __tablename__: ClassVar[str] = "run_reference"

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    reference_id: int = Field(foreign_key="reference.id", primary_key=True, index=True)


class TodoLink(Base, table=True):
    """A todo's run or reference."""

    __tablename__: ClassVar[str] = "todo_link"

    id: int = Field(default=None, primary_key=True)
    todo_id: int = Field(foreign_key="todo.id", index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id")
    reference_id: int | None = Field(default=None, foreign_key="reference.id")


class InboxItem(Base, table=True):
    """A thought, link or todo dropped at any time; flagged when the hour was not running."""

    __tablename__: ClassVar[str] = "inbox_item"

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id", index=True)
    body: str
    local_date: date
    outside_hour: bool
    origin: str
    created_at: int


class Experiment(Base, table=True):
    """One hypothesis."""

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id", index=True)
    key: str = Field(unique=True)  # slug_NNN
    hypothesis: str
    origin: str
    created_at: int


class Run(Base, table=True):
    """One execution of a spec over its folds. The numbers are empty until result.json was taken in."""

    # The best CV of each day, and of the runs on the same folds, are read from these alone: the rows carry whole specs.
    __table_args__ = (
        Index("cv_of_a_day", "challenge_id", "metric", "local_date", "cv"),
        Index("cv_on_the_same_folds", "challenge_id", "metric", "data_sha256", "folds_sha256", "cv", "kind"),
        Index("runs_in_order", "challenge_id", "metric", "cv", "gpu_s", "key"),
    )

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id", index=True)
    experiment_id: int = Field(foreign_key="experiment.id", index=True)
    key: str = Field(unique=True)  # slug_NNN-rNN: also the folder's name and the W&B group
    local_date: date = Field(index=True)  # the day whose session queued it
    spec: str  # JSON of the whole RunSpec
    spec_source: str  # preset name or file it was queued from
    origin: str
    created_at: int
    metric: str
    direction: str  # max | min
    cv: float | None = None
    threshold: float | None = None
    images: int | None = None
    classes: int | None = None
    train_s: float | None = None
    gpu_s: float | None = None
    device: str | None = None
    data_sha256: str | None = None
    folds_sha256: str | None = None
    wandb_mode: str | None = None
    wandb_url: str | None = None
    remarks: str | None = None  # JSON list of sentences the engine wants read beside the CV
    started_at: int | None = None
    finished_at: int | None = None
    kind: str = "train"  # train | blend | command: what `spec` is a spec of
    parent_id: int | None = Field(default=None, foreign_key="run.id")  # the run it is a variation or a repetition of
    note: str = ""  # a person's, about this run
    tags: str = "[]"  # JSON list: a person's, in the order in which they were given


class RunCode(Base, table=True):
    """The state of the code that a run was queued with: enough to build it again."""

    __tablename__: ClassVar[str] = "run_code"

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    root: str  # the repository's folder on this computer
    commit: str
    branch: str = ""
    remote_url: str = ""
    diff: str = ""  # what was not committed, as git apply takes it; new files included
    lock_sha256: str = ""  # of requirements.lock, or whichever lock file there is
    recorded_at: int


class FoldScore(Base, table=True):
    """The score of one fold of a run, in the run's metric."""

    __tablename__: ClassVar[str] = "fold_score"

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    fold: int = Field(primary_key=True)
    score: float
    images: int


class Curve(Base, table=True):
    """One metric of one fold over the epochs: float32 blobs. `epochs` holds the first alone where the others count up from it."""

    run_id: int = Field(foreign_key="run.id", primary_key=True)
    fold: int = Field(primary_key=True)
    metric: str = Field(primary_key=True)
    epochs: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    points: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Job(Base, table=True):
    """A row of the queue that executes a run:

    queued → starting → running → stopping → succeeded | failed | cancelled | stopped.
    """

    __table_args__ = (
        # The database itself forbids two jobs on one slot.
        Index(
            "one_job_a_slot",
            "slot",
            unique=True,
            sqlite_where=text("state IN ('starting', 'running', 'stopping')"),
        ),
        Index("jobs_by_state", "state", "finished_at"),
    )

    id: int = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    state: str
    backend: str
    priority: int = 0
    slot: str | None = None  # of the newest attempt; it is held while the state is active
    attempt: int = 0
    lost: int = 0  # attempts that were killed, or stopped, before they finished an epoch
    exit_code: int | None = None
    message: str = ""
    cancel_asked_at: int | None = None
    estimated_s: float | None = None
    origin: str
    queued_at: int
    started_at: int | None = None  # of the newest attempt
    finished_at: int | None = Field(default=None, index=True)
    first_started_at: int | None = None  # of the first attempt
    moves_to: str | None = None  # the backend that its next attempt is to run on
    estimated_low_s: float | None = None  # the spread of `estimated_s` over similar runs; None: nothing is known
    estimated_high_s: float | None = None


class AttemptRow(Base, table=True):
    """One start of a job on a slot. `ended_at` is None while it runs."""

    __tablename__: ClassVar[str] = "attempt"
    __table_args__ = (Index("attempts_by_backend", "backend", "started_at"),)

    job_id: int = Field(foreign_key="job.id", primary_key=True)
    number: int = Field(primary_key=True)
    backend: str
    slot: str
    gpus: int = 0  # that it holds while it runs
    kept_before: int = 0  # epochs and checkpoints that its run's metrics.jsonl told of when it began
    started_at: int
    ended_at: int | None = None
    exit_code: int | None = None
    gpu_s: float | None = None  # as its machine counted it; None: gpus times the time from start to end


class Errand(Base, table=True):
    """Something that needs the network or takes long, written down by a page or a command; the worker lets a short-lived child do it."""

    __table_args__ = (Index("errands_by_state", "state", "due_at"), Index("errands_by_kind", "kind", "subject", "id"))

    id: int = Field(default=None, primary_key=True)
    challenge_id: int | None = Field(default=None, foreign_key="challenge.id")
    kind: str  # jobs.errands.KINDS
    subject: str = ""  # what it is about: a backend, a run, a project
    asked: str = "{}"  # JSON: what else its child needs to know, never a key or password
    state: str  # open | running | done | failed
    answer: str | None = None  # JSON
    message: str = ""
    tries: int = 0
    origin: str
    asked_at: int
    due_at: int  # not before
    started_at: int | None = None
    ended_at: int | None = None
    not_before_at: int | None = None  # as the other side asked


class StandingOrder(Base, table=True):
    """What a person allowed during the hour, for when they are not there: send a run's submission if its CV is good enough."""

    __tablename__: ClassVar[str] = "standing_order"

    id: int = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", unique=True)
    better_than: float  # CV, in the direction of the run's metric
    said: str = ""  # the words to send along
    origin: str
    created_at: int
    decided_at: int | None = None
    outcome: str = ""  # a sentence: what became of it


class LookedAt(Base, table=True):
    """A crop and geometric augmentation that a person has looked at, and the share of the images that it invented then."""

    __tablename__: ClassVar[str] = "looked_at"

    challenge_id: int = Field(foreign_key="challenge.id", primary_key=True)
    augmentation_key: str = Field(primary_key=True)  # engine.check_folder.augmentation_key
    border_share_mean: float | None = None  # 0…1; None: nothing was measured
    border_share_max: float | None = None
    looked_at: int


class Submission(Base, table=True):
    """A CSV that was, or may be, sent: tied to its run by content hash. One that was imported has neither run nor file here."""

    __table_args__ = (UniqueConstraint("kaggle_ref"),)

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id", index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    sha256: str | None = None
    path: str  # relative to the home folder; of an imported one the name it was sent under
    description: str = ""  # what was written beside it when it was sent
    sent_at: int | None = None  # None: not sent, as far as is known
    origin: str
    created_at: int
    kaggle_ref: int | None = None  # its number at Kaggle; None: not known there, or entered by hand
    kaggle_status: str | None = None  # pending | complete | error
    kaggle_error: str | None = None  # Kaggle's words for an error


class LeaderboardScore(Base, table=True):
    """A public and private score of a submission: Kaggle's own, from a truth file at home, or typed in by hand."""

    __tablename__: ClassVar[str] = "leaderboard_score"
    __table_args__ = (UniqueConstraint("submission_id", "source"),)

    id: int = Field(default=None, primary_key=True)
    submission_id: int = Field(foreign_key="submission.id")
    source: str  # local | manual | kaggle
    public: float | None = None
    private: float | None = None
    origin: str
    scored_at: int


class SubmissionAllowance(Base, table=True):
    """What the account was told last of its submissions: a UTC day's count, and how many more it takes that day."""

    __tablename__: ClassVar[str] = "submission_allowance"

    challenge_id: int = Field(foreign_key="challenge.id", primary_key=True)
    asked_at: int
    sent_today: int
    left_today: int


class LeaderboardSnapshot(Base, table=True):
    """The competition's leaderboard as it was seen last on a day. Ranks count from 1; scores are as the board tells them."""

    __tablename__: ClassVar[str] = "leaderboard_snapshot"

    challenge_id: int = Field(foreign_key="challenge.id", primary_key=True)
    local_date: date = Field(primary_key=True)
    seen_at: int
    teams: int
    rank: int | None = None  # ours; None: we are not on it
    score: float | None = None
    gold_score: float | None = None  # of the last team that gets one; None: no medals, or too few teams
    silver_score: float | None = None
    bronze_score: float | None = None
    is_over: bool = False  # the deadline has passed, and the ranks above are of the private leaderboard
    public_rank: int | None = None  # ours on the public one, where the competition is over
    deadline_at: int | None = None


class WandbSource(Base, table=True):
    """Where runs are looked for that were not started here: a project on a W&B server, or a folder on this computer."""

    __tablename__: ClassVar[str] = "wandb_source"
    __table_args__ = (UniqueConstraint("challenge_id", "kind", "place", "server"),)

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id")
    kind: str  # project | folder
    place: str  # entity/project, or the folder's path
    server: str = ""  # address of the project's server
    looked_at: int | None = None  # when it was looked through last
    listed_at: int | None = None  # when all runs of the project were listed last
    heartbeat_at: int | None = None  # of the newest run seen: the next look goes back to shortly before it
    message: str = ""  # why the last look failed
    origin: str
    created_at: int


class WandbRun(Base, table=True):
    """A run as W&B knows it: of somebody's own script, or one of ours, for its address on the server. Names, notes and tags are W&B's."""

    __tablename__: ClassVar[str] = "wandb_run"
    __table_args__ = (
        UniqueConstraint("challenge_id", "entity", "project", "wandb_id"),
        Index("wandb_runs_of_a_day", "challenge_id", "local_date"),
        Index("wandb_runs_by_id", "challenge_id", "project", "wandb_id"),
        Index("wandb_runs_by_bundle", "challenge_id", "bundle"),
    )

    id: int = Field(default=None, primary_key=True)
    challenge_id: int = Field(foreign_key="challenge.id")
    entity: str  # empty while it is known from a file alone
    project: str
    wandb_id: str
    name: str = ""
    group_name: str = ""
    bundle: str  # what is listed as one: the runs of a group, or a run alone
    job_type: str = ""
    state: str  # running | finished | failed | crashed, and what else a server says
    tags: str = "[]"  # JSON
    notes: str = ""
    config: str = "{}"  # JSON
    summary: str = "{}"  # JSON
    score: float | None = None  # the value of its summary that goes by the name of the challenge's metric
    score_name: str = ""
    commit: str = ""
    started_at: int
    heartbeat_at: int
    local_date: date  # the logical day on which it started
    url: str = ""  # on its server; empty: not known there
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)  # the run of ours that it mirrors
    experiment_id: int | None = Field(default=None, foreign_key="experiment.id", index=True)  # that a person put it to
    gone_at: int | None = None  # found to be no longer on its server
    read_at: int


class WandbPart(Base, table=True):
    """Where a run's rows come from: a .wandb file (a resumed run has several) with how far it is read, or its server."""

    __tablename__: ClassVar[str] = "wandb_part"
    __table_args__ = (UniqueConstraint("wandb_run_id", "path"),)

    id: int = Field(default=None, primary_key=True)
    wandb_run_id: int = Field(foreign_key="wandb_run.id")
    path: str = Field(index=True)  # empty: the server
    offset: int = 0  # bytes read
    size: int = 0  # of the file, when it was looked at
    rows: int = 0
    last_step: int = -1
    state: str = ""  # what the file says: running | finished | failed | crashed


class WandbCurve(Base, table=True):
    """One metric of one part, in the order in which it was logged: blobs of equal length."""

    __tablename__: ClassVar[str] = "wandb_curve"

    part_id: int = Field(foreign_key="wandb_part.id", primary_key=True)
    metric: str = Field(primary_key=True)
    steps: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # float64: a step may be a count of images
    runtimes_s: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # float32, since the run started
    points: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # float32
