"""The page of one day as Markdown: the hour, what was done, the runs with CV beside LB, the note."""

from __future__ import annotations

from datetime import date

from sqlmodel import Session

from app.journal import days, notes, sittings, todos, usage
from app.journal.days import DAY
from app.journal.hour import EventKind
from app.journal.tables import Challenge
from app.reports.plain import plain
from app.scores.board import BoardRun, board_runs
from app.scores.run_rows import cv_text, score_text
from app.scores.verdict import Verdict, verdict_text, verdicts


def page(db: Session, challenge: Challenge, on: date, now: int) -> str:
    used = usage.used_ms(db, challenge, on, on, now).get(on)
    # In weekly mode a day has no minutes of its own to be held against.
    of_planned = f" of {challenge.minutes_per_day:g}" if challenge.mode == "daily" else ""
    hour = "no hour was used" if used is None else f"{used / days.MINUTE_MS:.0f}{of_planned} minutes"
    number = days.day_number(on, challenge.starts_on)
    numbered = f"Day {number} of {challenge.days} · {challenge.competition} · {on}"
    heading = numbered if number >= 1 else f"{on}, before day 1 · {challenge.competition}"
    parts = [f"# {heading}\n\n{hour}\n"]
    session = sittings.of_day(db, challenge, on)
    if session is not None:
        reasons = [event.detail for event in sittings.events_of(db, session) if event.kind == EventKind.PAUSE]
        if reasons:
            parts.append("## Pauses\n\n" + "".join(f"- {plain(reason) or 'no reason given'}\n" for reason in reasons))
    done = todos.done_between(db, challenge, ends_at(db, challenge, on - DAY), ends_at(db, challenge, on))
    if done:
        parts.append("## Done\n\n" + "".join(f"- {plain(todo.title)}\n" for todo in done))
    runs = board_runs(db, challenge, on, on)
    if runs:
        found = verdicts(db, challenge, [run.row.run_id for run in runs])
        parts.append("## Runs\n\n" + "".join(f"- {run_line(run, found.get(run.row.run_id))}\n" for run in runs))
    note = notes.of_day(db, challenge, on)
    if note is not None:
        late = "*(written late)*\n\n" if note.late else ""
        parts.append(f"{late}{note.body.strip()}\n")
    return "\n".join(parts)


def ends_at(db: Session, challenge: Challenge, on: date) -> int:
    """When the day is over (milliseconds UTC): at its turn, or with its hour where that runs past the turn."""
    turn = days.day_ends(on, challenge.time_zone, challenge.day_starts_at)
    session = sittings.of_day(db, challenge, on)
    return turn if session is None or session.focus_ends_at is None else max(turn, session.focus_ends_at)


def run_line(run: BoardRun, verdict: Verdict | None) -> str:
    """`humpback_002-r01 "hypothesis": CV 0.842 ± 0.006, helped (+0.021 ± 0.006 against humpback_001-r01), LB …, W&B offline`."""
    row = run.row
    why = f": {plain(row.message)}" if row.state == "stopped" else ""
    said = [f"{row.state}{why}" if row.cv is None else f"CV {cv_text(row)}"]
    if verdict is not None:
        said.append(verdict_text(verdict))
    if run.public is not None or run.private is not None:
        said.append(f"LB {score_text(run.public)} / {score_text(run.private)} ({run.lb_source})")
    if row.wandb_mode:
        said.append(f"W&B {row.wandb_url or row.wandb_mode}")
    return f'{row.run_key} "{plain(row.hypothesis)}": {", ".join(said)}'
