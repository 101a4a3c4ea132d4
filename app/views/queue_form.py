"""Queue a run: a preset, a hypothesis, what to change, and when it will probably be done."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cache

import streamlit as st

from app.jobs import (
    configured,
    data_checks,
    forecast,
    grid,
    orders,
    sample_challenge,
    specs,
    standing_orders,
    stop_rules,
    submitting,
)
from app.jobs.estimate import Duration
from app.jobs.orders import SecondThought
from app.journal import challenges
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.views.desk import attempt, page_link, plain
from engine.contract import OnehourError, RunSpec, preset_names, preset_path

SURE_OF = "sure_of"
# Streamlit forgets what stands in a page's widgets when another page is opened, and this form sends people to Data.
TYPED = "queue_form"
KEPT = ("preset", "hypothesis", "overrides", "axes", "backend", "submit_if", "stops")
USUAL = "cpu-transfer"  # runs everywhere and needs no download


def show(journal: Journal, at: Sitting) -> None:
    closed = permit(Action.WORK, at.moment) not in (Permit.YES, Permit.OVERTIME)
    reason = refusal(Action.WORK, at.moment, "Queueing a run") if closed else ""
    presets = preset_names()
    preset, hypothesis, changes, more, button = st.columns([1.3, 3, 2, 0.7, 0.9], vertical_alignment="bottom")
    usual = sample_challenge.PRESET if at.challenge.competition == sample_challenge.SLUG else USUAL
    usable = challenges.allowed_backends(at.challenge) or configured.names(journal.home)
    typed = st.session_state.setdefault(TYPED, {})
    for name in typed.keys() - {"preset", "backend"}:
        st.session_state.setdefault(name, typed[name])
    # A choice is begun at its place in the list: one that is set from here would lose to a click that comes before it is drawn.
    chosen = preset.selectbox(
        "Preset", presets, presets.index(typed.get("preset", usual)), key="preset", disabled=closed, on_change=_keep
    )
    hypothesis.text_input(
        "Hypothesis",
        key="hypothesis",
        placeholder="What do you expect, in one sentence",
        disabled=closed,
        on_change=_keep,
    )
    asked = changes.text_input(
        "Changes", key="overrides", placeholder="seed=3 batch_size=32", disabled=closed, on_change=_keep
    )
    with more.popover("More", disabled=closed):
        axes = st.text_input(
            "Compare",
            key="axes",
            placeholder="backbone=resnet18,resnet34",
            help="A run for each value, all of one experiment.",
            on_change=_keep,
        )
        on = typed.get("backend")
        at_first = usable.index(on) if on in usable else 0
        backend = st.selectbox("Runs on", usable, at_first, key="backend", on_change=_keep)
        if submitting.is_possible(at.challenge):
            st.number_input(
                "Submit if its CV is better than",
                value=None,
                format="%.4f",
                key="submit_if",
                help="The worker sends it then, also at night. Runs shows such an order and takes it back.",
                on_change=_keep,
            )
        stops = st.toggle(
            "Stop if behind",
            key="stops",
            help="After each fold it is held against the best run on the same folds; clearly behind, it stops by itself.",
            on_change=_keep,
        )
    wanted = Wanted(chosen, asked, axes, backend, stops)
    sure = st.session_state.get(SURE_OF) == wanted
    button.button(
        "All the same" if sure else "Queue a run", key="queue", disabled=closed, on_click=attempt,
        args=(_queue, journal, at), type="primary",
    )  # fmt: skip
    if reason:
        st.caption(reason)
        return
    expected, unseen = _expected(journal, at, wanted)
    st.caption(f"{when_to_use(chosen)} {expected}")
    if unseen:
        page_link("data", "Look at its augmented pictures", sheet_preset=chosen, sheet_overrides=asked)


def _keep() -> None:
    typed = st.session_state.setdefault(TYPED, {})
    typed.update((name, st.session_state[name]) for name in KEPT if name in st.session_state)


@dataclass(frozen=True)
class Wanted:
    """What the form asks for, but for the hypothesis."""

    preset: str
    changes: str
    axes: str
    backend: str
    stops: bool

    def specs(self, journal: Journal, at: Sitting) -> list[RunSpec]:
        more = grid.combinations(pairs(self.axes))
        asked = [
            _resolved(at.challenge, at.challenge.data_dir, self.preset, (*pairs(self.changes), *each)) for each in more
        ]
        if not self.stops:
            return asked
        with journal.reading() as db:
            return [stop_rules.with_rule(db, at.challenge, spec) for spec in asked]


@cache
def when_to_use(preset: str) -> str:
    """The sentence at the head of the preset's file."""
    head, _, _ = preset_path(preset).read_text(encoding="utf-8").partition("\n")
    return head.removeprefix("#").strip()


def _expected(journal: Journal, at: Sitting, wanted: Wanted) -> tuple[str, bool]:
    """When it would be done, or what is wrong with what is asked; and whether it waits for a look at its pictures."""
    try:
        asked = wanted.specs(journal, at)
        with journal.reading() as db:
            found = forecast.forecast(db, journal.home, at, asked, wanted.backend)
            drawn = [data_checks.augmented(journal.home, at.challenge, spec) for spec in asked[:1]]
            look = data_checks.look(db, at.challenge, drawn[0])
    except OnehourError as error:
        return f":red[✗ {plain(str(error))}]", False
    if look.reason:
        return f":orange[▲] Before its first run: {plain(look.reason)}.", True
    last = found[-1]
    when = last.end_text(at.now, at.challenge.time_zone)
    fits = {True: ", before your next hour ✓", False: ", after your next hour has begun", None: ""}[last.fits]
    runs = "Queued now it ends" if len(found) == 1 else f"{len(found)} runs: queued now the last ends"
    cautions = "".join(
        f" :orange[▲] {plain(caution)}." for caution in dict.fromkeys(c for one in found for c in one.cautions)
    )
    rule = asked[0].stop_if_behind
    stops = "" if rule is None else f" It {plain(stop_rules.rule_words(rule))}."
    return f"{runs} about {when}{fits} ({_guess_words(last.duration)}).{stops}{cautions}", False


def _guess_words(guess: Duration) -> str:
    """How long the work takes, and what that is guessed from."""
    known = {
        "backbone": f"by {guess.runs} similar run{'s' * (guess.runs > 1)}",
        "backend": f"by {guess.runs} run{'s' * (guess.runs > 1)} with other backbones",
        "": "a crude guess: nothing like it has finished there",
    }[guess.like]
    spread = f"{forecast.hours_text(guess.low_s)} to {forecast.hours_text(guess.high_s)}"
    return f"{forecast.hours_text(guess.seconds)} of work, {spread}, {known}"


@st.cache_data(max_entries=50, show_spinner=False)
def _resolved(_challenge: Challenge, data_dir: str, preset: str, changes: tuple[str, ...]) -> RunSpec:
    """Reading a preset takes longer than the rest of the form; `data_dir` stands for the challenge in the key."""
    return specs.resolve(_challenge, preset, changes)


def _queue(journal: Journal, at: Sitting) -> None:
    """What the form holds now: a change that was typed just before the click has not been drawn yet."""
    asked = st.session_state
    wanted = Wanted(asked.preset, asked.overrides, asked.axes, asked.backend, asked.stops)
    sure = asked.pop(SURE_OF, None) == wanted
    try:
        queued = orders.queue_runs(
            journal, wanted.preset, wanted.specs(journal, at), asked.hypothesis, backend=wanted.backend, sure=sure
        )
    except SecondThought:
        asked[SURE_OF] = wanted  # the same form once more means it
        raise
    if asked.get("submit_if") is not None:
        for one in queued:
            standing_orders.give(journal, one.run_key, asked.submit_if)
        asked.submit_if = None
    asked.hypothesis = ""
    _keep()


def pairs(changes: str) -> list[str]:
    """`seed=3 batch_size=32` as a shell would split it: quotes hold a value with spaces together."""
    try:
        return shlex.split(changes)
    except ValueError as error:
        raise OnehourError(f"the changes cannot be read ({error})", fix="Example: seed=3 batch_size=32") from None
