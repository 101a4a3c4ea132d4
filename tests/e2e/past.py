"""A challenge in its middle, so that pages have something to show: lived through with the real functions and the clock turned back."""

from __future__ import annotations

from pathlib import Path

from sqlmodel import select

from app.jobs import attempts, backlog, orders
from app.journal import challenges, days, inbox, notes, sessions, todos
from app.journal.home import Home
from app.journal.steady import system_clock
from app.journal.store import Journal, open_journal
from app.journal.tables import Run
from app.scores import leaderboard, runs
from engine.run_folder import RunFolder, write_text
from tests.app.trainings import small_spec, write_epoch, write_result
from tests.conftest import MovableClock
from tests.e2e.today import look_at_presets

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
ZONE = "UTC"
NOTE = """## Tried

{tried}

## Learnt

A larger crop keeps the notch of the tail.

## Next

- {next_step}
"""


def live_through(home: Home, data_dir: Path, number_of_days: int = 17) -> None:
    """All but the last day are over; the last day's hour runs since 18 minutes, by the real clock."""
    now = system_clock()
    clock = MovableClock(now)
    clock.move(-(number_of_days - 1) * DAY_S - 18 * MINUTE_S)
    # The day turns half a day from now, so that no hour straddles it whenever this is called.
    turns_at = days.local(now + 12 * HOUR_S * 1000, ZONE).strftime("%H:00")
    starts_on = days.logical_date(clock.at, ZONE, turns_at)
    journal = open_journal(home, clock)
    try:
        rules = challenges.Rules("humpback", data_dir, starts_on, 60, 60, 10, ZONE, "daily", turns_at)
        challenges.found(journal, rules, starts_on)
        look_at_presets(journal)
        for number in range(1, number_of_days):
            begun_at = clock.at
            if number % 6:
                _hour(journal, clock, number, data_dir)
            clock.at = begun_at + DAY_S * 1000
        _open_hour(journal, clock, data_dir)
    finally:
        journal.close()


def _hour(journal: Journal, clock: MovableClock, number: int, data_dir: Path) -> None:
    at = sessions.start(journal)
    sides = 128 + 32 * number
    notes.save(journal, at.local_date, NOTE.format(tried=f"{sides} px.", next_step=NEXT_STEP), 0)
    if number % 3 == 1:
        key = orders.queue_run(journal, "cpu-transfer", small_spec(data_dir), f"{sides} px keep the notch").run_key
        clock.move(2 * HOUR_S)
        finish(journal, key, cv=0.58 + 0.016 * number)
        leaderboard.enter_by_hand(journal, key, 0.55 + 0.016 * number, None)


NEXT_STEP = "check crops of the grey images before 384 px"


def _open_hour(journal: Journal, clock: MovableClock, data_dir: Path) -> None:
    at = sessions.start(journal)
    first = todos.add(journal, "look at the worst crops", 15)
    todos.add(journal, "queue 384 px", 10)
    todos.add(journal, "read the 4th place write-up", 20)
    tried = "The crops of grey images cut the **left tip** in 14 of 60.\nA margin of 8 % keeps it."
    notes.save(journal, at.local_date, NOTE.format(tried=tried, next_step="compare both margins on the rare whales"), 0)
    inbox.add(journal, "mirrored flukes as identities of their own?")
    done = orders.queue_run(journal, "sample-quick", small_spec(data_dir), "a margin of 8 % keeps the left tip").run_key
    clock.move(15 * MINUTE_S)
    finish(journal, done, cv=0.842)
    todos.done(journal, first.id)
    orders.queue_run(journal, "cpu-transfer", small_spec(data_dir), "384 px with the wider margin")


def finish(journal: Journal, run_key: str, cv: float) -> None:
    """The run is over, with this CV: its folder as an engine leaves it, taken in as the worker does."""
    folder = RunFolder(journal.home.run_dir(run_key))
    folder.path.mkdir(parents=True)
    for epoch in (1, 2):
        write_epoch(folder, epoch)
    write_text(folder.log_txt, "fold 0 epoch 2/2: valid/map5 0.5\nfold 1 epoch 2/2: valid/map5 0.625\n")
    result = write_result(folder)
    folds = tuple(
        fold.model_copy(update={"score": cv + shift})
        for fold, shift in zip(result.fold_scores, (-0.004, 0.004), strict=True)
    )
    changed = {"cv": cv, "fold_scores": folds, "wandb_mode": "offline"}
    write_text(folder.result_json, result.model_copy(update=changed).model_dump_json())
    with journal.reading() as db:
        run = db.exec(select(Run).where(Run.key == run_key)).one()
    runs.take_in(journal, run, folder)
    with journal.writing() as db:
        job = backlog.job_of(db, run_key)
        job.started_at = job.first_started_at = job.queued_at
        job.attempt, job.slot = 1, "cpu:0"
        attempts.begin(db, job.id, 1, job.backend, "cpu:0", 0, job.queued_at)
        backlog.finish(db, job, backlog.SUCCEEDED, journal.now())
