"""Where a run comes from: what it repeats or varies, its commit and what was not committed; and running it again, as it was or changed."""

from __future__ import annotations

import streamlit as st

from app.jobs import again
from app.jobs.orders import SecondThought
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import run_record
from app.reports.run_record import RunRecord
from app.views.desk import attempt, plain
from app.views.queue_form import pairs

SURE_OF = "again_sure_of"
SAID = "again_said"


def show(journal: Journal, at: Sitting, record: RunRecord) -> None:
    run_key = record.run.row.run_key
    if record.lineage is not None:
        words = run_record.lineage_words(record)
        st.markdown(plain(words[0].upper() + words[1:]))
    st.markdown(code_words(record))
    if (
        record.code is not None
        and record.code.patch
        and st.toggle("Show what was not committed", key=f"diff_{run_key}")
    ):
        st.code(record.code.patch.decode("utf-8", "replace"), language="diff", height=260)
    _again(journal, at, run_key)


def code_words(record: RunRecord) -> str:
    """The commit, as a link where it has a page, and what is beyond it."""
    if record.code is None:
        return "Its code is not recorded."
    first, *left_out = run_record.code_words(record)
    name = record.code.commit[:10]
    words = plain(first.removeprefix("code: ").rpartition(", ")[0].removeprefix(name).strip(" ,"))
    shown = f"[`{name}`]({record.commit_page})" if record.commit_page else f"`{name}`"
    return " · ".join([f"Code {shown} {words}".strip(), *(plain(line.removeprefix("code: ")) for line in left_out)])


def _again(journal: Journal, at: Sitting, run_key: str) -> None:
    closed = permit(Action.WORK, at.moment) not in (Permit.YES, Permit.OVERTIME)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="again_form"):
        changes = st.text_input(
            "Changes", key=f"again_changes_{run_key}", placeholder="none: exactly as it was", disabled=closed, width=280
        )
        hypothesis = st.text_input(
            "Hypothesis",
            key=f"again_hypothesis_{run_key}",
            placeholder="of a new experiment; else the same",
            disabled=closed,
            width=260,
        )
        present = st.checkbox(
            "With the present code",
            key=f"again_present_{run_key}",
            disabled=closed,
            help="Else the code is as recorded, built again where it was changed since.",
        )
        wanted = (run_key, changes, hypothesis, present)
        sure = st.session_state.get(SURE_OF) == wanted
        st.button(
            "All the same" if sure else "Queue a variation" if changes else "Run again",
            key="again",
            disabled=closed,
            on_click=attempt,
            args=(_queue, journal, run_key),
        )
    said = st.session_state.pop(SAID, None)
    if said:
        st.caption(plain(said))
    elif closed:
        st.caption(refusal(Action.WORK, at.moment, "Queueing a run"))


def _queue(journal: Journal, run_key: str) -> None:
    """What the form holds now: a change that was typed just before the click has not been drawn yet."""
    asked = st.session_state
    changes, hypothesis, present = (asked[f"again_{name}_{run_key}"] for name in ("changes", "hypothesis", "present"))
    sure = asked.pop(SURE_OF, None) == (run_key, changes, hypothesis, present)
    try:
        queued = again.again(journal, run_key, pairs(changes), present_code=present, hypothesis=hypothesis, sure=sure)
    except SecondThought:
        asked[SURE_OF] = (run_key, changes, hypothesis, present)  # the same once more means it
        raise
    asked[SAID] = " ".join([f"{queued.run_key} is queued.", *queued.says])
