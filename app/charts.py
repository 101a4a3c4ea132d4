"""Plotly figures from plain rows, as the JSON that the browser draws: our side needs nothing of plotly for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.scores.runs import Points

# Okabe–Ito, told apart without seeing red and green; and a dash each, for whoever sees no colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HEIGHT = 230


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
        "layout": {
            "height": height,
            "margin": {"l": 48, "r": 12, "t": 8, "b": 36},
            "xaxis": {"title": {"text": x_title}},
            "yaxis": {"zeroline": False},
            "hovermode": "x unified",
            "legend": {"orientation": "h", "y": 1.15},
        },
    }
