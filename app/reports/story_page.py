"""The story as an article, by a template that a person may change: Markdown with its drawings beside, or one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from sqlmodel import Session

from app.jobs.forecast import hours_text
from app.journal.home import Home
from app.journal.sittings import Sitting
from app.reports import credits, final_rank, standalone, story, story_figures, week_page
from app.reports.plain import plain
from app.reports.story import Story
from app.reports.story_weeks import StoryWeek
from app.reports.what_helped import Idea
from app.scores.run_rows import score_text
from app.scores.verdict import verdict_text
from engine.contract import OnehourError
from engine.run_folder import write_text

BUILT_IN = Path(__file__).parent / "templates" / "story.md.j2"
CAPTIONS = {"scores": "The scores over the days", "calendar": "What became of the hour of each day"}
MOST_VERDICTS = 5  # a week


def template_path(home: Home) -> Path:
    """Where a person's own template lies, if there is one."""
    return home.path / "templates" / "story.md.j2"


def begin_template(home: Home) -> Path:
    """Put the built-in template where a person can change it. Raises OnehourError when one is there."""
    path = template_path(home)
    if path.exists():
        raise OnehourError(
            "your template is there already", where=str(path), fix="Change it, or remove it to begin anew."
        )
    write_text(path, BUILT_IN.read_text(encoding="utf-8"))
    return path


def markdown(db: Session, home: Home, at: Sitting, figure_path: str = standalone.FIGURE) -> tuple[str, dict[str, str]]:
    """The article and its drawings (SVG) by name; a drawing stands at `figure_path` + its name.

    Raises OnehourError naming the line of a template that cannot be used.
    """
    told = story.read(db, at)
    drawn = {
        "scores": story_figures.scores(told.days, told.challenge.metric),
        "calendar": story_figures.calendar(told.calendar),
    }
    drawings = {name: svg for name, svg in drawn.items() if svg}

    def figure(name: str) -> str:
        return f"![{CAPTIONS.get(name, name)}]({figure_path}{name})" if name in drawings else ""

    own = template_path(home)
    path = own if own.is_file() else BUILT_IN
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.filters |= {
        "plain": plain,
        "hours": week_page.hours,
        "minutes": lambda minutes: f"{minutes:g} minutes",
        "score": score_text,
        "gain": gain_words,
    }
    try:
        template = environment.from_string(path.read_text(encoding="utf-8"))
        return template.render(figure=figure, **values(db, told)), drawings
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else str(path)
        raise OnehourError(f"the template cannot be used ({error})", where=where) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OnehourError(f"the template cannot be read ({error})", where=str(path)) from None


def html(db: Session, home: Home, at: Sitting) -> str:
    """The article as one file with its drawings inside."""
    text, drawings = markdown(db, home, at)
    title = f"{at.challenge.competition}: {at.challenge.days} days"
    return standalone.html(home, title, text, drawings=drawings)


def write(db: Session, home: Home, at: Sitting, file: Path) -> list[Path]:
    """Write the article to `file` (.html, or .md with its drawings beside it). Nothing is overwritten. Returns what was written."""
    if file.suffix == ".html":
        made = {file: html(db, home, at)}
    elif file.suffix == ".md":
        text, drawings = markdown(db, home, at, figure_path=f"{file.stem}-")
        text = text.replace(f"({file.stem}-scores)", f"({file.stem}-scores.svg)")
        text = text.replace(f"({file.stem}-calendar)", f"({file.stem}-calendar.svg)")
        made = {file.with_name(f"{file.stem}-{name}.svg"): svg for name, svg in drawings.items()} | {file: text}
    else:
        raise OnehourError(f"{file.name!r} ends neither in .md nor in .html", fix="The ending says which is written.")
    there = next((path for path in made if path.exists()), None)
    if there is not None:
        raise OnehourError("this file is there already", where=str(there), fix="Name a new one.")
    try:
        for path, text in made.items():
            write_text(path, text)
    except OSError as error:
        raise OnehourError(f"the file cannot be written ({error.strerror or error})", where=str(file)) from None
    return list(made)


def values(db: Session, told: Story) -> dict[str, Any]:
    """What a template can name."""
    with_verdict = [idea for idea in told.ideas if idea.verdict is not None]

    def of(word: str) -> list[Idea]:
        found = [idea for idea in with_verdict if idea.verdict is not None and idea.verdict.word == word]
        return sorted(found, key=lambda idea: -abs(idea.verdict.gain if idea.verdict is not None else 0.0))

    gpu_s = sum(each.gpu_s for each in told.machines)
    machines = ", ".join(f"{each.backend} {hours_text(each.held_s)}" for each in told.machines) or "none"
    return {
        "challenge": told.challenge,
        "preface": standalone.links_in_words(told.preface),
        "afterword": standalone.links_in_words(told.afterword),
        "rules": told.rules,
        "counts": {mark: told.counts()[mark] for mark in ("full", "part", "lost", "rest", "free")},
        "used_ms": sum(week.used_ms for week in told.weeks),
        "planned_ms": sum(week.planned_ms for week in told.weeks),
        "runs": told.runs,
        "ideas": told.ideas,
        "machines": machines + (f"; {hours_text(gpu_s)} of GPU" if gpu_s else ""),
        "submissions": told.submissions,
        "best_cv": told.days[-1].best_cv if told.days else None,
        "best_public": told.best_public,
        "best_private": told.best_private,
        "rank": final_rank.short(told.position, told.challenge),
        "rank_sentence": final_rank.sentence(told.position, told.challenge),
        "steps": told.steps,
        "weeks": [_week(week) for week in told.weeks],
        "helped": of("helped"),
        "hurt": of("hurt"),
        "unclear": of("unclear"),
        "credits": credits.page(db, told.challenge).replace("# Credits", "## Credits", 1).replace("\n## ", "\n### "),
    }


def _week(week: StoryWeek) -> dict[str, Any]:
    told_apart = [(idea, idea.verdict) for idea in week.ideas if idea.verdict and idea.verdict.word != "unclear"]
    verdicts = [
        f"{plain(idea.hypothesis)}: {verdict_text(verdict)}"
        for idea, verdict in sorted(told_apart, key=lambda each: -abs(each[1].gain))
    ]
    lost = week_page.lost_days(week)
    scores = [f"best CV {score_text(week.cv)}" if week.cv is not None else ""]
    scores += [f"best LB {score_text(week.public)}" if week.public is not None else ""]
    words = ", ".join(part for part in scores if part)
    return {
        "number": week.number,
        "first": week.first,
        "last": week.last,
        "used_ms": week.used_ms,
        "planned_ms": week.planned_ms,
        "lost_words": f", {lost}" if lost else "",
        "score_words": f"{words[0].upper()}{words[1:]}." if words else "No score yet.",
        "verdicts": verdicts[:MOST_VERDICTS],
        "learnt": [plain(line) for line in week.learnt],
        "review": standalone.links_in_words(week.review).replace("\n## ", "\n### ").removeprefix("## ").strip(),
    }


def gain_words(idea: Idea) -> str:
    """`helped (+0.021 ± 0.006 against h_009-r01), +0.014 for each hour of work`."""
    if idea.verdict is None:
        return idea.why_none
    an_hour = "" if idea.gain_an_hour is None else f", {idea.gain_an_hour:+.3f} for each hour of work"
    return f"{verdict_text(idea.verdict)}{an_hour}"
