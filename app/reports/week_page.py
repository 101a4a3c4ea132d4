"""The page of a week as Markdown, and as one HTML file that holds its figures and needs no network."""

from __future__ import annotations

from html import escape

from markdown_it import MarkdownIt
from sqlmodel import Session

from app.journal.activities import shares
from app.journal.days import MINUTE_MS
from app.journal.tables import Challenge
from app.reports.day import run_line
from app.reports.week import BestScore, Week
from app.scores.run_rows import score_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #ddd; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } pre { overflow-x: auto; }
"""


def page(challenge: Challenge, week: Week) -> str:
    """The week as Markdown; the review's own words stand last."""
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
        parts.append("## Machines\n\n" + "".join(f"- {line}\n" for line in machine_lines(week)))
    if week.collected:
        parts.append("## References collected\n\n" + "".join(f"- [{r.title}](<{r.url}>)\n" for r in week.collected))
    if week.open_todos:
        parts.append("## Still open\n\n" + "".join(f"- {todo.title}\n" for todo in week.open_todos))
    if week.next_week is not None:
        parts.append("## Next week\n\n" + _next(week))
    if week.note is not None:
        parts.append(f"---\n\n{week.note.body.strip()}\n")
    return "\n".join(parts)


def html(db: Session, challenge: Challenge, week: Week) -> str:
    """The page and its figures as one file. What a person wrote as HTML or as a script's address is shown as text."""
    from app.reports import week_figures  # Plotly takes a second to load: only this pays for it

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(page(challenge, week))
    title = escape(f"Week {week.number} · {challenge.competition}")
    figures = week_figures.as_html(db, challenge, week)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n{figures}</body></html>\n"
    )


def machine_lines(week: Week) -> list[str]:
    """`local: 12.3 h of training, 11.0 h of it on a GPU`."""
    return [
        f"{each.backend}: {each.trained_s / 3600:.1f} h of training, "
        + (f"{each.gpu_s / 3600:.1f} h of it on a GPU" if each.gpu_s else "none of it on a GPU")
        for each in week.machines
    ]


def an_hour(week: Week, found: BestScore) -> str:
    """`+0.004 an hour`; empty where there is no gain to tell."""
    gain = week.gain_an_hour(found)
    return "" if gain is None else f"{gain:+.4f} an hour"


def _hours(week: Week) -> str:
    used, planned, lost = (ms / MINUTE_MS / 60 for ms in (week.used_ms, week.planned_ms, week.lost_ms))
    rows = "".join(f"| {day:%a} {day} | {state} | {used_ms / MINUTE_MS:.0f} |\n" for day, state, used_ms in week.marks)
    days = f" ({week.lost_days} days without an hour)" if week.lost_days else ""
    return (
        f"{used:.1f} of {planned:.1f} hours used, {lost:.1f} lost{days}.\n\n| Day | | Minutes |\n|---|---|---|\n{rows}"
    )


def _split(week: Week) -> str:
    share = shares(week.split)
    rows = "".join(
        f"| {each.value} | {ms / MINUTE_MS:.0f} | {share[each]:.0%} |"
        + (f" {week.target.get(each, 0):.0%} |" if week.target else " – |")
        + "\n"
        for each, ms in week.split.items()
    )
    return f"| Activity | Minutes | Share | Target |\n|---|---|---|---|\n{rows}"


def _score(name: str, week: Week, found: BestScore) -> str:
    if found.score is None:
        return f"- {name}: none yet\n"
    change = "" if found.gain is None else f", {found.gain:+.3f} against all weeks before"
    return f"- {name}: {score_text(found.score)}{change}{', ' * bool(an_hour(week, found))}{an_hour(week, found)}\n"


def _next(week: Week) -> str:
    ahead = week.next_week
    assert ahead is not None
    rest = f", rest on {', '.join(map(str, ahead.rest_days))}" if ahead.rest_days else ""
    planned = "".join(
        f"- {todo.planned_on}: {todo.title}" + (f" ({todo.minutes:g} min)\n" if todo.minutes else "\n")
        for todo in ahead.todos
    )
    return (
        f"{ahead.first} to {ahead.last}: {ahead.planned_ms / MINUTE_MS / 60:.1f} hours{rest}, "
        f"{ahead.minutes:g} minutes of them planned.\n\n{planned}"
    )
