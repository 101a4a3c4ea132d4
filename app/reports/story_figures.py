"""The drawings of the story as SVG: the scores over the days, and the calendar. Plain shapes and words, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

from app.journal.days import DAY
from app.reports.day_calendar import CalendarDay
from app.reports.score_days import ScoreDay, has_days_before

WIDTH, HEIGHT = 900, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 34, 34
SQUARE, GAP = 24, 5
# Okabe–Ito; a shape each beside the colour.
KINDS = (
    ("cv", "CV", "#0072B2", "circle"),
    ("public", "LB public", "#E69F00", "diamond"),
    ("private", "LB private", "#009E73", "square"),
)
MARKS = {"full": "■", "part": "◧", "lost": "✕", "free": "–", "rest": "☾", "today": "○", "to come": "·"}
MARK_COLOURS = {"full": "#009E73", "part": "#56B4E9", "lost": "#D55E00", "rest": "#999999"}


def scores(days: Sequence[ScoreDay], metric: str) -> str:
    """The best CV, public and private score of each day, and the best CV so far; empty where there is no score."""
    values = [value for day in days for value in (day.cv, day.public, day.private) if value is not None]
    if not values:
        return ""
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    dated = has_days_before(days)
    first, last = days[0].number, max(days[-1].number, days[0].number + 1)

    def x(number: float) -> float:
        return LEFT + (number - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in ticks:
        parts.append(f'<line x1="{LEFT}" y1="{y(tick):.1f}" x2="{WIDTH - RIGHT}" y2="{y(tick):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for number in _day_ticks(first, last):
        words = f"{days[0].local_date + DAY * (number - first)}" if dated else f"{number}"
        parts.append(f'<text x="{x(number):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{words}</text>')
    best = [(x(day.number), y(day.best_cv)) for day in days if day.best_cv is not None]
    if best:
        steps = f"M{best[0][0]:.1f} {best[0][1]:.1f}" + "".join(f"H{at:.1f}V{score:.1f}" for at, score in best[1:])
        parts.append(f'<path d="{steps}" fill="none" stroke="#0072B2"/>')
    legend = LEFT
    for name, words, colour, shape in KINDS:
        known = [(day, getattr(day, name)) for day in days if getattr(day, name) is not None]
        if known:
            parts += [
                _point(
                    shape,
                    x(day.number),
                    y(value),
                    colour,
                    f"{day.local_date if dated else f'day {day.number}'}: {words} {value:.4f}",
                )
                for day, value in known
            ]
            parts.append(_point(shape, legend + 6, 14, colour, words))
            parts.append(f'<text x="{legend + 16}" y="18">{words}</text>')
            legend += 110
    parts.append(f'<text x="{WIDTH - RIGHT}" y="18" text-anchor="end">{escape(metric)} by day</text>')
    return _svg(WIDTH, HEIGHT, f"{metric} over the days of the challenge", parts)


def calendar(days: Sequence[CalendarDay]) -> str:
    """A square a day, a column a week: what became of its hour."""
    weeks = ceil(len(days) / 7)
    columns = min(weeks, 26)
    bands = ceil(weeks / columns)
    parts = []
    for place, day in enumerate(days):
        week, weekday = divmod(place, 7)
        band, column = divmod(week, columns)
        left = column * (SQUARE + GAP)
        top = (band * 8 + weekday) * (SQUARE + GAP)
        colour = MARK_COLOURS.get(day.mark, "none")
        parts.append(
            f'<g><title>{escape(day.in_words)}</title><rect x="{left}" y="{top}" width="{SQUARE}" height="{SQUARE}" rx="2"'
            f' fill="{colour}" fill-opacity="0.35" stroke="#666"/><text x="{left + SQUARE / 2}" y="{top + SQUARE * 0.7:.1f}"'
            f' text-anchor="middle">{MARKS[day.mark]}</text></g>'
        )
    found = [mark for mark in MARKS if any(day.mark == mark for day in days)]
    bottom = bands * 8 * (SQUARE + GAP)
    words = " · ".join(f"{MARKS[mark]} {mark} {sum(day.mark == mark for day in days)}" for mark in found)
    parts.append(f'<text x="0" y="{bottom + 4}">{words}</text>')
    width = max(columns * (SQUARE + GAP), 8 * len(words))
    return _svg(width, bottom + 14, "What became of the hour of each day", parts)


def _point(shape: str, x: float, y: float, colour: str, says: str) -> str:
    title = f"<title>{escape(says)}</title>"
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{title}</circle>'
    if shape == "square":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{colour}">{title}</rect>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" fill="{colour}">{title}</path>'


def _ticks(low: float, high: float) -> list[float]:
    """Round values from below `low` to above `high`, about five of them."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** floor(log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = floor(low / step), ceil(high / step)
    if first == last:
        last += 1
    return [round(number * step, 10) for number in range(first, last + 1)]


def _day_ticks(first: int, last: int) -> list[int]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if (last - first) / step <= 12)
    return [number for number in range(first, last + 1) if number % step == 0 or number == first]


def _svg(width: float, height: float, says: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        f' role="img" aria-label="{escape(says)}" font-family="system-ui,sans-serif" font-size="12"><rect width="100%"'
        f' height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
