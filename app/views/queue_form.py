"""Queue a run: a preset, a hypothesis, what to change, and when it will probably be done."""

from __future__ import annotations

import shlex
from functools import cache
from urllib.parse import urlencode

import streamlit as st

from app.jobs import data_checks, forecast, orders, sample_challenge, specs
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views.desk import attempt, plain
from engine.contract import OnehourError, RunSpec, preset_names, preset_path

USUAL = "cpu-transfer"  # runs everywhere and needs no download


def show(journal: Journal, at: Sitting) -> None:
    closed = permit(Action.WORK, at.moment) not in (Permit.YES, Permit.OVERTIME)
    reason = refusal(Action.WORK, at.moment, "Queueing a run") if closed else ""
    presets = preset_names()
    preset, hypothesis, changes, button = st.columns([1.3, 3, 2, 0.9], vertical_alignment="bottom")
    usual = sample_challenge.PRESET if at.challenge.competition == sample_challenge.SLUG else USUAL
    chosen = preset.selectbox("Preset", presets, presets.index(usual), key="preset", disabled=closed)
    hypothesis.text_input(
        "Hypothesis", key="hypothesis", placeholder="What do you expect, in one sentence", disabled=closed
    )
    asked = changes.text_input("Changes", key="overrides", placeholder="seed=3 folds=5", disabled=closed)
    button.button(
        "Queue a run", key="queue", disabled=closed, on_click=attempt, args=(_queue, journal, at), type="primary"
    )
    st.caption(reason or f"{when_to_use(chosen)} {_expected(journal, at, chosen, asked)}")


@cache
def when_to_use(preset: str) -> str:
    """The sentence at the head of the preset's file."""
    head, _, _ = preset_path(preset).read_text(encoding="utf-8").partition("\n")
    return head.removeprefix("#").strip()


def _expected(journal: Journal, at: Sitting, preset: str, changes: str) -> str:
    """When it would be done, or what is wrong with what is asked."""
    try:
        spec = _resolved(at.challenge, at.challenge.data_dir, preset, changes)
        with journal.reading() as db:
            (found,) = forecast.forecast(db, journal.home, at, [spec])
            look = data_checks.look(db, at.challenge, data_checks.augmented(journal.home, at.challenge, spec))
    except OnehourError as error:
        return f":red[✗ {plain(str(error))}]"
    if look.reason:
        address = urlencode({"sheet_preset": preset, "sheet_overrides": changes})
        return (
            f":orange[▲] Before its first run [look at its augmented pictures](/data?{address}): {plain(look.reason)}."
        )
    when = found.end_text(at.now, at.challenge.time_zone)
    fits = {True: ", before your next hour ✓", False: ", after your next hour has begun", None: ""}[found.fits]
    return f"Queued now it ends about {when}{fits} (a crude guess: {max(1, round(found.duration.seconds / 60))} min of work)."


@st.cache_data(max_entries=50, show_spinner=False)
def _resolved(_challenge: Challenge, data_dir: str, preset: str, changes: str) -> RunSpec:
    """Reading a preset takes longer than the rest of the form; `data_dir` stands for the challenge in the key."""
    return specs.resolve(_challenge, preset, pairs(changes))


def _queue(journal: Journal, at: Sitting) -> None:
    asked = st.session_state
    spec = specs.resolve(at.challenge, asked.preset, pairs(asked.overrides))
    orders.queue_run(journal, asked.preset, spec, asked.hypothesis)
    asked.hypothesis = ""


def pairs(changes: str) -> list[str]:
    """`seed=3 folds=5` as a shell would split it: quotes hold a value with spaces together."""
    try:
        return shlex.split(changes)
    except ValueError as error:
        raise OnehourError(f"the changes cannot be read ({error})", fix="Example: seed=3 folds=5") from None
