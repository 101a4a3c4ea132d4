"""How a run is said on every page: the same shape, word and number for the same thing."""

from __future__ import annotations

from app.scores.run_rows import RunRow, cv_text

# A shape and a word each, so that nobody needs the colour.
STATE_WORDS = {
    "queued": ":orange[○] queued",
    "starting": ":blue[◔] starting",
    "running": ":blue[●] running",
    "stopping": ":gray[◌] stopping",
    "succeeded": ":green[✓] succeeded",
    "failed": ":red[✗] failed",
    "cancelled": ":gray[–] cancelled",
}

# What honour mode let through after the hour: seen, and outside the count.
OVERTIME = ":orange[overtime]"


def state_words(run: RunRow) -> str:
    return ":gray[◌] cancelling" if run.cancel_asked and run.is_open else STATE_WORDS[run.state]


def cv_words(run: RunRow) -> str:
    return f"CV {cv_text(run)}" if run.cv is not None else ""


def wandb_words(run: RunRow) -> str:
    """A link where the run is on a server, else what it was tracked with."""
    if run.wandb_url:
        return f"[W&B]({run.wandb_url})"
    return f"W&B {run.wandb_mode}" if run.wandb_mode else ""
