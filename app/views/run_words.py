"""How a run is said on every page: the same shape, word and number for the same thing."""

from __future__ import annotations

from app.jobs.backends.interface import Quota
from app.journal.days import MINUTE_MS
from app.scores.board import BoardRun
from app.scores.run_rows import RunRow, cv_text, score_text
from app.scores.submissions import Slots
from app.scores.verdict import Verdict, verdict_text
from app.views.desk import link, plain

# A shape and a word each, so that nobody needs the colour.
STATE_SHAPES = {
    "queued": ":orange[○]",
    "starting": ":blue[◔]",
    "running": ":blue[●]",
    "stopping": ":gray[◌]",
    "succeeded": ":green[✓]",
    "failed": ":red[✗]",
    "cancelled": ":gray[–]",
    "stopped": ":orange[■]",
}

VERDICT_SHAPES = {"helped": ("green", "▲"), "hurt": ("red", "▼"), "unclear": ("gray", "◆")}

# What honour mode let through after the hour: seen, and outside the count.
OVERTIME = ":orange[overtime]"


def state_words(run: RunRow) -> str:
    shape, word = _state(run)
    return f"{shape} {word}"


def state_cell(run: RunRow) -> str:
    """The word alone: in a table no Markdown is read."""
    return _state(run)[1]


def _state(run: RunRow) -> tuple[str, str]:
    return (":gray[◌]", "cancelling") if run.cancel_asked and run.is_open else (STATE_SHAPES[run.state], run.state)


def result_words(run: RunRow) -> str:
    """The CV; of a run without one its state, and why it stopped by itself."""
    if run.cv is not None:
        return f"**{cv_words(run)}**"
    return f"{state_words(run)}: {plain(run.message)}" if run.state == "stopped" else state_words(run)


def cv_words(run: RunRow) -> str:
    return f"CV {cv_text(run)}" if run.cv is not None else ""


def lb_words(run: BoardRun) -> str:
    """`LB 0.812 / 0.801 (local)`: public, private, and who says so; empty without a score."""
    if run.public is None and run.private is None:
        return ""
    return f"LB {score_text(run.public)} / {score_text(run.private)} ({run.lb_source})"


def verdict_words(verdict: Verdict | None) -> str:
    """Shape, word and difference; empty where there was nothing to compare with."""
    if verdict is None:
        return ""
    colour, shape = VERDICT_SHAPES[verdict.word]
    return f":{colour}[{shape}] {verdict_text(verdict)}"


def verdict_cell(verdict: Verdict | None) -> str | None:
    """The same in a table."""
    return None if verdict is None else f"{VERDICT_SHAPES[verdict.word][1]} {verdict_text(verdict)}"


def slots_words(slots: Slots) -> str:
    """`3 of 5 submissions left today (UTC, for another 5 h 12 min)`, as far as the journal knows of those sent."""
    minutes = slots.resets_in_ms // MINUTE_MS
    return f"{slots.left} of {slots.a_day} submissions left today (UTC, for another {minutes // 60:.0f} h {minutes % 60:.0f} min)"


def quota_words(backend: str, quota: Quota) -> str:
    """`GPU 18.5 of 30 h left on kaggle`."""
    left_s = max(0.0, quota.allowed_s - quota.used_s)
    return f"GPU {left_s / 3600:.1f} of {quota.allowed_s / 3600:.0f} h left on {backend}"


def wandb_words(run: RunRow) -> str:
    """A link where the run is on a server, else what it was tracked with."""
    if run.wandb_url:
        return link("W&B", run.wandb_url)
    return f"W&B {run.wandb_mode}" if run.wandb_mode else ""
