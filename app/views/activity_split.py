"""How the hour was really divided: the counted minutes of each activity beside the target, to be put right once it is over."""

from __future__ import annotations

import streamlit as st

from app.journal import activities, corrections
from app.journal.activities import Activity, Split
from app.journal.days import MINUTE_MS
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views.desk import attempt


def show(journal: Journal, at: Sitting) -> None:
    counted = at.split
    shares, target = activities.shares(counted), at.target
    used = sum(counted.values()) / MINUTE_MS
    if not used:
        return
    with st.form("split", border=True):
        st.markdown(f"**How {used:.0f} min were spent** :gray[put it right where the count is wrong]")
        places = st.columns([1, 1, 1, 1, 0.6], gap="medium", vertical_alignment="bottom")
        keys = {each: f"split_{each.value}_{len(at.marks)}" for each in Activity}
        for place, each in zip(places, Activity, strict=False):
            aim = f" · target {target[each]:.0%}" if each in target else ""
            place.slider(
                f"{each.value} {shares[each]:.0%}{aim}",
                0,
                max(1, round(used)),
                round(counted[each] / MINUTE_MS),
                format="%d min",
                key=keys[each],
            )
        places[-1].form_submit_button("Keep", on_click=attempt, args=(_divide, journal, keys, counted))


def _divide(journal: Journal, keys: dict[Activity, str], counted: Split) -> None:
    """A slider left alone keeps its seconds. Four sliders rarely add up to the minute: what they say is kept as shares."""
    said = {
        each: ms / MINUTE_MS if st.session_state[keys[each]] == round(ms / MINUTE_MS) else st.session_state[keys[each]]
        for each, ms in counted.items()
    }
    used, together = sum(counted.values()) / MINUTE_MS, sum(said.values())
    if said != {each: ms / MINUTE_MS for each, ms in counted.items()}:
        corrections.divide(
            journal, {each: used * minutes / together if together else 0 for each, minutes in said.items()}
        )
