"""The figures of a week's page: minutes a day against the plan, their division, CV beside LB since the beginning."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import plotly.graph_objects as go
from sqlmodel import Session

from app.journal.activities import shares
from app.journal.days import DAY, MINUTE_MS
from app.journal.tables import Challenge
from app.reports.week import Week
from app.scores.board import board_runs, sent_elsewhere

# The Okabe–Ito colours, told apart by everybody; names and marker shapes say the same.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
VERMILION, SKY = "#D55E00", "#56B4E9"

MOST_TICKS = 14


def as_html(db: Session, challenge: Challenge, week: Week) -> str:
    """The figures as HTML parts that hold Plotly's script themselves, once."""
    figures = [_minutes(challenge, week)]
    if sum(week.split.values()):
        figures.append(_split(week))
    scores = _scores(db, challenge, week)
    if scores is not None:
        figures.append(scores)
    return "\n".join(
        figure.to_html(full_html=False, include_plotlyjs=number == 0, config={"displaylogo": False})
        for number, figure in enumerate(figures)
    )


def _minutes(challenge: Challenge, week: Week) -> go.Figure:
    days = [f"{day:%a %d}" for day, _, _ in week.marks]
    bars = go.Bar(
        x=days,
        y=[used / MINUTE_MS for _, _, used in week.marks],
        marker_color=BLUE,
        text=[state for _, state, _ in week.marks],
        name="used",
    )
    figure = go.Figure(bars)
    if challenge.mode == "daily":  # a weekly budget is used in as few or many days as a person likes
        plan = challenge.minutes_per_day
        figure.add_hline(plan, line_dash="dot", line_color=GREY, annotation_text="an hour as planned")
    return _titled(figure, "Minutes a day", "minutes")


def _split(week: Week) -> go.Figure:
    names, share = [each.value for each in week.split], shares(week.split)
    figure = go.Figure(go.Bar(x=names, y=[100 * share[each] for each in week.split], name="spent", marker_color=BLUE))
    if week.target:
        aims = [100 * week.target.get(each, 0) for each in week.split]
        figure.add_bar(x=names, y=aims, name="target", marker_color=GREY)
    return _titled(figure, "How the hours were spent", "% of the focus time")


def _scores(db: Session, challenge: Challenge, week: Week) -> go.Figure | None:
    """The scores of every run from the challenge's first day to the week's last, and of what was sent elsewhere until then.

    None before the first score.
    """
    runs = board_runs(db, challenge, challenge.starts_on, week.last)
    elsewhere = [(on, one) for on, sent in sent_elsewhere(db, challenge).items() for one in sent if on <= week.last]
    figure = go.Figure()
    first = week.last
    kinds = (
        ("CV", BLUE, "circle", [(run.row.local_date, run.row.cv, run.row.run_key) for run in runs]),
        ("LB public", ORANGE, "diamond", [(run.row.local_date, run.public, run.row.run_key) for run in runs]),
        ("LB private", GREEN, "square", [(run.row.local_date, run.private, run.row.run_key) for run in runs]),
        ("LB public, imported", VERMILION, "diamond-open", [(on, one.public, one.name) for on, one in elsewhere]),
        ("LB private, imported", SKY, "square-open", [(on, one.private, one.name) for on, one in elsewhere]),
    )
    for name, colour, shape, points in kinds:
        known = [(on, score, key) for on, score, key in points if score is not None]
        if known:
            on, score, key = zip(*known, strict=True)
            first = min(first, *on)
            marker = {"color": colour, "symbol": shape, "size": 9}
            figure.add_scatter(x=on, y=score, text=key, name=name, mode="markers", marker=marker)
    if not figure.data:
        return None
    _by_day(figure, first, week.last)
    return _titled(figure, f"Scores so far ({challenge.metric})", challenge.metric)


def _by_day(figure: go.Figure, first: date, last: date) -> None:
    """An axis of whole days with half a day on either side: left alone, Plotly parts a single day into milliseconds."""
    step = -(-((last - first).days + 1) // MOST_TICKS)
    midnights = [datetime.combine(on, time()) for on in (first, last)]
    figure.update_xaxes(
        type="date",
        range=[midnights[0] - DAY / 2, midnights[1] + DAY / 2],
        tick0=midnights[0],
        dtick=step * (DAY // timedelta(milliseconds=1)),
        tickformat="%d %b" if first.year == last.year else "%Y-%m-%d",
    )


def _titled(figure: go.Figure, title: str, unit: str) -> go.Figure:
    return figure.update_layout(title=title, yaxis_title=unit, template="plotly_white", height=360, showlegend=True)
