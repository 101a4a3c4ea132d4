"""The coming 24 hours, a lane a slot: what runs and waits where, what passes tomorrow's hour."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import streamlit as st

from app.jobs.night import AHEAD_MS, Bar
from app.journal import days
from app.reports.night import NightReport, bar_words, lane_name

HERE = Path(__file__).parent
MOST_BARS = 60  # a lane; what waits behind them would be too narrow to see

_mount = st.components.v2.component(
    "onehour_night",
    html='<div class="night"></div>',
    css=(HERE / "night_timeline.css").read_text(encoding="utf-8"),
    js=(HERE / "night_timeline.js").read_text(encoding="utf-8"),
)


def night_timeline(report: NightReport, key: str = "night_timeline") -> None:
    """Each bar leads to its run; shares are of the 24 hours from now on."""
    now = report.night.now
    lanes = [
        {
            "name": lane_name(lane),
            "works": lane.works,
            "bars": [_bar(report, bar) for bar in lane.bars[:MOST_BARS] if bar.starts_at < now + AHEAD_MS],
        }
        for lane in report.night.lanes
    ]
    data = {"lanes": lanes, "ticks": _ticks(report), "hour": _share(report.night.next_hour_at, now)}
    _mount(key=key, data=data)


def _bar(report: NightReport, bar: Bar) -> dict[str, Any]:
    now = report.night.now
    return {
        "run": bar.load.run_key,
        "says": f"{bar_words(report, bar)}. {bar.load.hypothesis}",
        "state": bar.load.state,
        "from": _share(bar.starts_at, now),
        "to": _share(bar.ends_at, now),
        "longest": _share(bar.high_ends_at, now),
        "late": report.fits(bar) is False,
        "restarts": bar.restarts,
    }


def _ticks(report: NightReport) -> list[tuple[float, str]]:
    """Every third hour of the wall clock."""
    now, zone = report.night.now, report.time_zone
    first = days.local(now, zone).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    hours = [first + timedelta(hours=ahead) for ahead in range(24)]
    return [(_share(days.to_ms(at), now) or 0.0, f"{at:%H:%M}") for at in hours if at.hour % 3 == 0]


def _share(at: int | None, now: int) -> float | None:
    return None if at is None else round(min(1.0, max(0.0, (at - now) / AHEAD_MS)), 5)
