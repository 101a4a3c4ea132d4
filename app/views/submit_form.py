"""Send a run's submission: the button and what stands beside it. Greyed out with the reason when it cannot be."""

from __future__ import annotations

import streamlit as st

from app.jobs import errands, submitting
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Errand, Submission
from app.scores.submissions import Slots
from app.views.desk import attempt, plain
from app.views.run_words import slots_words


def reason_not(at: Sitting, left: Slots | None) -> str:
    """Why nothing can be sent now; empty when it can."""
    if permit(Action.WORK, at.moment) not in (Permit.YES, Permit.OVERTIME):
        return refusal(Action.WORK, at.moment, "Submitting")
    if left is not None and left.left == 0:
        return f"None of today's {left.a_day} submissions is left."
    return ""


def show(journal: Journal, at: Sitting, run_key: str) -> None:
    """Of one run: words, button, and what became of it. Nothing where the challenge is none at Kaggle."""
    if not submitting.is_possible(at.challenge):
        return
    with journal.reading() as db:
        submission = submitting.submission(db, run_key)
        last = submitting.newest(db, run_key)
        left = submitting.slots_left(db, at.challenge, at.now)
    if submission is None:
        return
    said = sent_words(submission, last)
    why_not = reason_not(at, left)
    if said and not (last is not None and last.state == errands.FAILED):
        st.caption(said)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = f"say_{run_key}"
        st.text_input("Words beside it", key=key, placeholder="else the hypothesis", disabled=bool(why_not))
        st.button(
            "Submit",
            key=f"submit_{run_key}",
            disabled=bool(why_not),
            on_click=attempt,
            args=(_send, journal, run_key, key),
        )
    st.caption(" ".join(part for part in (said, why_not, "" if left is None else slots_words(left)) if part))


def _send(journal: Journal, run_key: str, key: str) -> None:
    submitting.ask(journal, run_key, st.session_state.get(key, ""))
    st.toast("On its way to Kaggle; the score appears by itself")


def sent_words(submission: Submission, last: Errand | None) -> str:
    """`number 1000 at Kaggle, its score is still to come`; empty for what nobody has sent."""
    if submission.kaggle_ref is not None:
        told = {"pending": ", its score is still to come", "error": f": {submission.kaggle_error or 'it was refused'}"}
        return plain(f"Sent: number {submission.kaggle_ref} at Kaggle{told.get(submission.kaggle_status or '', '')}")
    if last is None:
        return ""
    if last.state == errands.FAILED:
        return f":red[✗] {plain(last.message)}"
    return f"On its way to Kaggle. {plain(last.message)}".strip()
