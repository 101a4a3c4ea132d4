"""Settings: what of the challenge may be changed, at any time, and why the rest may not."""

from __future__ import annotations

import os
from functools import partial

import streamlit as st

from app.jobs import installed, kaggle_looks, signals
from app.journal import challenge_settings, challenges, checklist, notes, rest_days
from app.journal.activities import Activity
from app.journal.home import COMMAND
from app.journal.rules import STRICTNESSES
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views import machines, wandb_sources
from app.views.account_words import account_words
from app.views.desk import attempt, plain

STRICTNESS_WORDS = {
    "strict": "strict: after the hour nothing but the note",
    "honour": "honour: overtime is let through, flagged and not counted",
}


def show(journal: Journal, at: Sitting) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _hour(journal, at)
        _template(journal, at)
        _data(journal, at)
        _settled(journal, at)
    with right:
        _rest_days(journal, at)
        _checklist(journal, at)
        _notifications()
        machines.show(journal, at)
        wandb_sources.show(journal, at)
        _keys(journal, at)


def _hour(journal: Journal, at: Sitting) -> None:
    challenge, target = at.challenge, at.target
    st.markdown("**The hour**")
    with st.form("hour_settings", border=False):
        habit, reflection, zone = st.columns(3)
        habit.text_input("Usually begins at", challenge.habit_at or "", placeholder="20:00", key="set_habit_at")
        reflection.number_input(
            "Minutes of reflection",
            0.0,
            720.0,
            challenge.reflection_minutes,
            step=5.0,
            format="%g",
            key="set_reflection_minutes",
            help="An hour that has begun keeps its own.",
        )
        zone.text_input(
            "Time zone", challenge.time_zone, key="set_time_zone", help="A change never moves a day that is past."
        )
        st.radio(
            "Strictness",
            STRICTNESSES,
            STRICTNESSES.index(challenge.strictness),
            format_func=STRICTNESS_WORDS.get,
            key="set_strictness",
        )
        st.caption("Target split of the hour in percent; all 0: none")
        for place, each in zip(st.columns(4), Activity, strict=True):
            place.number_input(
                each.value,
                0.0,
                100.0,
                round(100 * target.get(each, 0.0), 1),
                step=5.0,
                format="%g",
                key=f"set_{each.value}",
            )
        st.form_submit_button("Keep", on_click=attempt, args=(_keep_hour, journal))


def _keep_hour(journal: Journal) -> None:
    asked = st.session_state
    percent = {each.value: asked[f"set_{each.value}"] for each in Activity}
    challenge_settings.change(
        journal,
        habit_at=asked.set_habit_at,
        reflection_minutes=asked.set_reflection_minutes,
        time_zone=asked.set_time_zone,
        strictness=asked.set_strictness,
        target_split=" ".join(f"{name}={share:g}" for name, share in percent.items()) if any(percent.values()) else "",
    )
    st.toast("Kept")


def _template(journal: Journal, at: Sitting) -> None:
    with st.form("template", border=False):
        st.text_area("A new day's note begins with", notes.template(at.challenge), height=190, key="set_note_template")
        with st.container(horizontal=True):
            st.form_submit_button("Keep the template", on_click=attempt, args=(_keep_template, journal))
            if at.challenge.note_template is not None:
                st.form_submit_button("Back to the built-in one", on_click=attempt, args=(_built_in, journal))


def _keep_template(journal: Journal) -> None:
    challenge_settings.change(journal, note_template=st.session_state.set_note_template)
    st.toast("Kept")


def _built_in(journal: Journal) -> None:
    challenge_settings.change(journal, note_template=None)
    st.session_state.set_note_template = notes.TEMPLATE


def _data(journal: Journal, at: Sitting) -> None:
    st.markdown("**The competition**")
    allowed = challenges.allowed_backends(at.challenge) or []
    with st.form("data", border=False):
        st.text_input(
            "Folder of the competition's data",
            at.challenge.data_dir,
            key="set_data_dir",
            help="For the runs to come. A run that is queued keeps the folder it was queued with.",
        )
        st.number_input(
            "Submissions a day (UTC); 0: not known",
            0,
            100,
            at.challenge.submissions_per_day or 0,
            key="set_submissions_per_day",
            help="Today then says how many are left, as far as this journal knows of those sent.",
        )
        st.multiselect(
            "Backends that its rules allow",
            list(dict.fromkeys([*(machine.name for machine in installed.machines(journal.home)), *allowed])),
            allowed,
            key="set_backends",
            placeholder="all",
            help="For the runs to come. Some competitions, and some persons, allow themselves Kaggle and Colab only.",
        )
        st.form_submit_button("Keep these", on_click=attempt, args=(_keep_data, journal, at))


def _keep_data(journal: Journal, at: Sitting) -> None:
    asked = st.session_state
    # A folder that is away just now, a disk that is not plugged in, is in nobody's way who changes something else.
    moved = {} if asked.set_data_dir == at.challenge.data_dir else {"data_dir": asked.set_data_dir}
    challenge_settings.change(
        journal, submissions_per_day=asked.set_submissions_per_day, backends=asked.set_backends, **moved
    )
    st.toast("Kept")


def _rest_days(journal: Journal, at: Sitting) -> None:
    st.markdown("**Days of rest**")
    with journal.reading() as db:
        every = rest_days.of(db, at.challenge)
    first, last = max(at.local_date, at.challenge.starts_on), challenges.last_day(at.challenge)
    if first <= last:
        with st.form("rest", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            st.date_input("Plan a day off", None, first, last, format="YYYY-MM-DD", key="rest_on", width=180)
            st.form_submit_button("Plan it", on_click=attempt, args=(_plan_rest, journal))
    coming = [on for on in every if on >= at.local_date]
    with st.container(horizontal=True, gap="small"):
        for on in coming:
            act = partial(rest_days.cancel, journal, on)
            st.button(f"☾ {on:%a} {on} · take back", key=f"rest_{on}", on_click=attempt, args=(act,))
    if not coming:
        st.caption("None is planned. A day off is planned ahead: its hour is lost too, but it is no failure.")


def _plan_rest(journal: Journal) -> None:
    if st.session_state.rest_on is not None:
        rest_days.plan(journal, st.session_state.rest_on)


def _checklist(journal: Journal, at: Sitting) -> None:
    rules = checklist.of(at.challenge)
    st.markdown(f"**Rules of the competition** :gray[{sum(rule.kept for rule in rules)} of {len(rules)} checked]")
    for number, rule in enumerate(rules, start=1):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            key = f"rule_{number}_{rule.text}"
            st.checkbox(plain(rule.text), rule.kept, key=key, on_change=attempt, args=(_mark, journal, at, number, key))
            drop = partial(challenge_settings.change, journal, checklist=checklist.dropped(rules, number))
            st.button(
                "Drop",
                key=f"drop_{key}",
                type="tertiary",
                help=f"Take rule {number} off the list",
                on_click=attempt,
                args=(drop,),
            )
    with (
        st.form("add_rule", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        st.text_input(
            "Another rule", key="rule_text", placeholder="two final submissions", label_visibility="collapsed"
        )
        st.form_submit_button("Add", on_click=attempt, args=(_add_rule, journal, at))


def _mark(journal: Journal, at: Sitting, number: int, key: str) -> None:
    rules = checklist.marked(checklist.of(at.challenge), number, st.session_state[key])
    challenge_settings.change(journal, checklist=rules)


def _add_rule(journal: Journal, at: Sitting) -> None:
    challenge_settings.change(
        journal, checklist=checklist.added(checklist.of(at.challenge), st.session_state.rule_text)
    )


def _notifications() -> None:
    count = len(os.environ.get(signals.ADDRESSES, "").split())
    st.markdown("**Notifications to desktop or phone**")
    if count:
        st.markdown(f"✓ on: {signals.ADDRESSES} holds {count} address{'es' * (count > 1)}, which are never shown.")
    else:
        st.markdown(
            f"– off. Set {signals.ADDRESSES} to one or more apprise addresses with spaces between them, and start again:"
        )
        st.code(f'{signals.ADDRESSES}="ntfy://my-topic dbus://" {COMMAND} up', language="bash")
    st.caption("Sent: the usual time to begin, five minutes left, time is up; a run has finished, failed or goes on.")


def _keys(journal: Journal, at: Sitting) -> None:
    st.markdown("**Keys**")
    lines = [f"{'✓' if key.where else '–'} {key.name} :gray[{plain(key.words)}]" for key in installed.known_keys()]
    st.markdown("  \n".join(lines))
    if installed.kaggle_key():
        with journal.reading() as db:
            st.caption(f"Kaggle: {account_words(kaggle_looks.account_status(db), at.challenge.time_zone)}")


def _settled(journal: Journal, at: Sitting) -> None:
    st.markdown("**Settled**")
    for name, why in challenge_settings.FIXED.items():
        value = getattr(at.challenge, name)
        said = f"{value:g}" if isinstance(value, float) else str(value)
        st.markdown(f"{name.replace('_', ' ')} **{plain(said)}** :gray[{plain(why)}]")
    st.markdown(f"home folder `{journal.home.path}` :gray[Set ONEHOUR_HOME to use another.]")
