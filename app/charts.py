"""Plotly figures from plain rows, as the JSON that the browser draws: our side needs nothing of plotly for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite
from typing import Any

from app.reports.score_days import ScoreDay, has_days_before
from app.scores.agreement import Line, Scored
from app.scores.run_curves import FoldCurve, band, smoothed
from app.scores.runs import Points

# Okabe–Ito, told apart without seeing red and green; and a dash each, for whoever sees no colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
SHAPES = ("circle", "diamond", "square", "cross", "triangle-up", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HEIGHT = 230
MOST_WITH_NOISE = 60  # points: with more of them their error bars hide everything


def curves(series: Sequence[Points], x_title: str = "epoch", height: int = HEIGHT) -> dict[str, Any]:
    """A line a fold and metric."""
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": f"fold {one.fold} {one.metric}",
            "x": list(one.epochs),
            "y": list(one.values),
            "line": {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place % len(DASHES)], "width": 2},
            "marker": {"size": 5},
        }
        for place, one in enumerate(series)
    ]
    return {
        "data": lines,
        "layout": {**_layout(x_title, "", height), "hovermode": "x unified"},
    }


def overlay(
    runs: Mapping[str, Sequence[FoldCurve]], metric: str, *, by_time: bool, weight: float, as_band: bool
) -> dict[str, Any]:
    """The curves of one metric of several runs, by their names: a colour a run, its folds as lines of one dash each or as a band.

    `weight`: see run_curves.smoothed. A run whose times are not known is left out where time is asked for.
    """
    data: list[dict[str, Any]] = []
    for place, (name, folds) in enumerate(runs.items()):
        colour = COLOURS[place % len(COLOURS)]
        known = [one for one in folds if one.elapsed_s] if by_time else list(folds)
        if as_band and not by_time and len(known) > 1:
            data += _fold_band(name, known, colour, weight)
            continue
        for number, one in enumerate(known):
            data.append(
                {
                    "type": "scatter", "mode": "lines", "name": f"{name} fold {one.fold}" if known[1:] else name,
                    "legendgroup": name,
                    "x": [second / 60 for second in one.elapsed_s] if by_time else list(one.epochs),
                    "y": _numbers(smoothed(one.values, weight)),
                    "line": {"color": colour, "dash": DASHES[number % len(DASHES)], "width": 1.5},
                }
            )  # fmt: skip
    layout = _layout("minutes of training" if by_time else _places(runs), metric, 420)
    return {"data": data, "layout": layout}


def _places(runs: Mapping[str, Sequence[FoldCurve]]) -> str:
    """What the curves are drawn over."""
    kinds = {one.by_epoch for folds in runs.values() for one in folds}
    return "epoch" if kinds <= {True} else "step" if kinds == {False} else "epoch; step where no epoch was logged"


def _fold_band(name: str, folds: Sequence[FoldCurve], colour: str, weight: float) -> list[dict[str, Any]]:
    found = band(folds)
    edge = {
        "type": "scatter",
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "legendgroup": name,
        "showlegend": False,
    }
    shade = f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:7], 16)},0.18)"
    middle = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "line": {"color": colour, "width": 2},
    }
    return [
        {**edge, "x": list(found.at), "y": _numbers(smoothed(found.high, weight))},
        {
            **edge,
            "x": list(found.at),
            "y": _numbers(smoothed(found.low, weight)),
            "fill": "tonexty",
            "fillcolor": shade,
        },
        {**middle, "x": list(found.at), "y": _numbers(smoothed(found.mean, weight))},
    ]


def _numbers(values: Sequence[float]) -> list[float | None]:
    """JSON has no NaN: a gap is drawn."""
    return [value if isfinite(value) else None for value in values]


def cv_against_lb(scored: Sequence[Scored], drawn: Line | None, outside: Sequence[Scored]) -> dict[str, Any]:
    """A point a submission, a colour and shape a family; the line with its band; who falls out of it has a name."""
    families = list(dict.fromkeys(one.family for one in scored))
    named = {one.run_key for one in outside}
    data: list[dict[str, Any]] = _band(scored, drawn) if drawn is not None else []
    for place, family in enumerate(families):
        mine = [one for one in scored if one.family == family]
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": family,
                "x": [one.cv for one in mine],
                "y": [one.lb for one in mine],
                "text": [one.run_key if one.run_key in named else "" for one in mine],
                "textposition": "top center",
                "hovertext": [one.run_key for one in mine],
                "error_x": {
                    "type": "data",
                    "array": [one.noise or 0.0 for one in mine],
                    "thickness": 1,
                    "width": 0,
                    "visible": len(scored) <= MOST_WITH_NOISE,
                },
                "marker": {"size": 9, "symbol": SHAPES[place % len(SHAPES)], "color": COLOURS[place % len(COLOURS)]},
            }
        )
    lines = [min(one.cv for one in scored), max(one.cv for one in scored)] if scored else []
    data.append(
        {
            "type": "scatter", "mode": "lines", "name": "CV = LB", "x": lines, "y": lines,
            "line": {"color": "#999999", "dash": "dot", "width": 1}, "hoverinfo": "skip",
        }
    )  # fmt: skip
    return {"data": data, "layout": _layout("CV", "LB (public)", 420)}


def _band(scored: Sequence[Scored], drawn: Line) -> list[dict[str, Any]]:
    low, high = min(one.cv for one in scored), max(one.cv for one in scored)
    margin = 0.05 * (high - low)
    xs = [low - margin + (high - low + 2 * margin) * step / 40 for step in range(41)]
    above = [drawn.at(x) + drawn.band(x) for x in xs]
    below = [drawn.at(x) - drawn.band(x) for x in xs]
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    return [
        {**edge, "x": xs, "y": above, "showlegend": False},
        {**edge, "x": xs, "y": below, "fill": "tonexty", "fillcolor": "rgba(86,180,233,0.2)", "name": "95 % of further ones"},
        {
            "type": "scatter", "mode": "lines", "name": drawn.words, "x": xs,
            "y": [drawn.at(x) for x in xs], "line": {"color": "#0072B2", "width": 2},
        },
    ]  # fmt: skip


def score_timeline(days: Sequence[ScoreDay], metric: str) -> dict[str, Any]:
    """The whole challenge: the best CV, public and private score of each day, and the best CV so far as a step line."""
    dated = has_days_before(days)

    def place(day: ScoreDay) -> int | str:
        return str(day.local_date) if dated else day.number

    kinds = (
        ("CV", "circle", COLOURS[0], [(day, day.cv) for day in days]),
        ("LB public", "diamond", COLOURS[1], [(day, day.public) for day in days]),
        ("LB private", "square", COLOURS[2], [(day, day.private) for day in days]),
    )
    data: list[dict[str, Any]] = []
    for name, shape, colour, points in kinds:
        known = [(day, score) for day, score in points if score is not None]
        if known:
            data.append(
                {
                    "type": "scatter", "mode": "markers", "name": name, "x": [place(day) for day, _ in known],
                    "y": [score for _, score in known], "hovertext": [str(day.local_date) for day, _ in known],
                    "marker": {"symbol": shape, "color": colour, "size": 8},
                }
            )  # fmt: skip
    best = [(place(day), day.best_cv) for day in days if day.best_cv is not None]
    if best:
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": "best CV so far", "x": [at for at, _ in best],
                "y": [cv for _, cv in best], "line": {"shape": "hv", "color": COLOURS[0], "width": 1},
            }
        )  # fmt: skip
    return {"data": data, "layout": _layout("" if dated else "day", metric, 420)}


def ranks(by_day: Mapping[date, tuple[int, int]]) -> dict[str, Any]:
    """Our rank of each day on which it was seen, the first place on top; `by_day`: rank and number of teams."""
    line = {
        "type": "scatter", "mode": "lines+markers", "name": "rank", "x": [str(on) for on in by_day],
        "y": [rank for rank, _ in by_day.values()], "hovertext": [f"of {teams}" for _, teams in by_day.values()],
        "line": {"color": COLOURS[0], "width": 2}, "marker": {"size": 6},
    }  # fmt: skip
    layout = _layout("", "rank", HEIGHT)
    return {"data": [line], "layout": {**layout, "yaxis": {**layout["yaxis"], "autorange": "reversed"}}}


def _layout(x_title: str, y_title: str, height: int) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 8, "b": 44},
        "xaxis": {"title": {"text": x_title}, "zeroline": False},
        "yaxis": {"title": {"text": y_title}, "zeroline": False},
        "legend": {"orientation": "h", "y": 1.12},
    }
