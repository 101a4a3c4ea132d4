"""The page of a week as Markdown, and as one HTML file that holds its figures and pictures and needs no network.

The lines that the Week page shows as well are gathered here, as plain text: each place escapes them for itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session

from app.journal.activities import shares
from app.journal.days import MINUTE_MS
from app.journal.home import Home
from app.journal.tables import Challenge, Todo
from app.reports import standalone
from app.reports.day import run_line
from app.reports.plain import plain
from app.reports.story_weeks import StoryWeek
from app.reports.week import BestScore, NextWeek, Week
from app.scores.run_rows import score_text


def page(challenge: Challenge, week: Week) -> str:
    """The week as Markdown; the review's own words stand last."""
    return _page(challenge, week, week.note.body if week.note else "")


def html(db: Session, home: Home, challenge: Challenge, week: Week) -> str:
    """The page and its figures as one file. What a person wrote as HTML or as a script's address is shown as text.

    Pictures of the journal lie inside it; links between pages of the journal, which lead nowhere from a file, become words.
    """
    from app.reports import week_figures  # Plotly takes a second to load: only this pays for it

    body = _page(challenge, week, standalone.links_in_words(week.note.body) if week.note else "")
    figures = week_figures.as_html(db, challenge, week)
    return standalone.html(home, f"Week {week.number} · {challenge.competition}", body, end=figures)


def hours(ms: int) -> str:
    """`0.5`"""
    return f"{ms / MINUTE_MS / 60:.1f}"


def lost_days(week: Week | StoryWeek) -> str:
    """`1 day without an hour`; empty when there was none."""
    return f"{week.lost_days} day{'s' * (week.lost_days > 1)} without an hour" if week.lost_days else ""


def change(week: Week, found: BestScore) -> list[str]:
    """`+0.030` over all weeks before, then `+0.0600 an hour`, as far as they are known; positive is better for any metric."""
    an_hour = week.gain_an_hour(found)
    said = [] if found.gain is None else [f"{found.gain:+.3f}"]
    return said if an_hour is None else [*said, f"{an_hour:+.4f} an hour"]


def split_rows(week: Week) -> list[tuple[str, str, str, str]]:
    """Activity, minutes, share, target share: `("plan", "10", "33%", "25%")`; the target is empty when none is set."""
    share = shares(week.split)
    return [
        (
            each.value,
            f"{ms / MINUTE_MS:.0f}",
            f"{share[each]:.0%}",
            f"{week.target.get(each, 0):.0%}" * bool(week.target),
        )
        for each, ms in week.split.items()
    ]


def machine_lines(week: Week) -> list[str]:
    """`local: 12.3 h of this week's runs, 11.0 h of it on a GPU`: what was queued in the week, whenever it ran."""
    return [
        f"{each.backend}: {each.held_s / 3600:.1f} h of this week's runs, "
        + (f"{each.gpu_s / 3600:.1f} h of it on a GPU" if each.gpu_s else "none of it on a GPU")
        for each in week.machines
    ]


def todo_line(todo: Todo) -> str:
    """`blend both (20 min)`"""
    return todo.title + (f" ({todo.minutes:g} min)" if todo.minutes else "")


def room(ahead: NextWeek) -> str:
    """`6.0 hours, rest on Wed 18, 20 minutes of them planned`"""
    rest = f", rest on {', '.join(f'{day:%a %d}' for day in ahead.rest_days)}" if ahead.rest_days else ""
    return f"{hours(ahead.planned_ms)} hours{rest}, {ahead.minutes:g} minutes of them planned"


def planned_lines(ahead: NextWeek) -> list[str]:
    """`Tue 17: blend both (20 min)`"""
    return [f"{todo.planned_on:%a %d}: {todo_line(todo)}" for todo in ahead.todos]


def _page(challenge: Challenge, week: Week, review: str) -> str:
    count = (challenge.days + 6) // 7
    parts = [f"# Week {week.number} of {count} · {challenge.competition} · {week.first} to {week.last}\n"]
    parts.append("## Hours\n\n" + _hours(week))
    if sum(week.split.values()):
        parts.append("## How they were spent\n\n" + _split(week))
    parts.append("## Scores\n\n" + _score("Best CV", week, week.cv) + _score("Best LB (public)", week, week.public))
    if week.runs:
        lines = [f"- {run_line(run, week.verdicts.get(run.row.run_id))}\n" for run in week.runs]
        parts.append("## Runs\n\n" + "".join(lines))
    if week.machines:
        parts.append("## Machines\n\n" + _list(machine_lines(week)))
    if week.collected:
        lines = [f"- [{plain(row.title)}](<{row.url}>)\n" for row in week.collected]
        parts.append("## References collected\n\n" + "".join(lines))
    if week.open_todos:
        parts.append("## Still open\n\n" + _list(map(todo_line, week.open_todos)))
    if week.next_week is not None:
        ahead = week.next_week
        parts.append(f"## Next week\n\n{ahead.first} to {ahead.last}: {room(ahead)}.\n\n" + _list(planned_lines(ahead)))
    if review:
        parts.append(f"---\n\n{review.strip()}\n")
    return "\n".join(parts)


def _list(lines: Iterable[str]) -> str:
    return "".join(f"- {plain(line)}\n" for line in lines)


def _hours(week: Week) -> str:
    rows = "".join(f"| {day:%a} {day} | {state} | {used_ms / MINUTE_MS:.0f} |\n" for day, state, used_ms in week.marks)
    days = f" ({lost_days(week)})" if week.lost_days else ""
    used = f"{hours(week.used_ms)} of {hours(week.planned_ms)} hours used, {hours(week.lost_ms)} lost{days}."
    return f"{used}\n\n| Day | | Minutes |\n|---|---|---|\n{rows}"


def _split(week: Week) -> str:
    rows = "".join(
        f"| {name} | {minutes} | {share} | {aim or '–'} |\n" for name, minutes, share, aim in split_rows(week)
    )
    return f"| Activity | Minutes | Share | Target |\n|---|---|---|---|\n{rows}"


def _score(name: str, week: Week, found: BestScore) -> str:
    if found.score is None:
        return f"- {name}: none yet\n"
    gain, *an_hour = change(week, found) or [""]
    against = [f"{gain} against all weeks before"] if gain else []
    return f"- {name}: {', '.join([score_text(found.score), *against, *an_hour])}\n"
