"""The competition's leaderboard: where we stand, how far the medals are, what was sent and whose it is."""

from __future__ import annotations

import streamlit as st

from app import charts
from app.jobs import kaggle_looks, submitting
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.scores import medals, position, sent_intake
from app.scores.board import SentElsewhere, sent_elsewhere
from app.scores.run_rows import score_text
from app.views import submit_form
from app.views.account_words import account_words
from app.views.desk import attempt, plain

NOWHERE = (
    "There is no leaderboard: the challenge is none at Kaggle, or there is no key (Settings tells where one belongs)."
)
AT_HOME = "The leaderboard is a truth file at home: its scores stand beside each run under Days. It ranks nobody."


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        found = position.newest(db, at.challenge)
        ranks = position.rank_by_day(db, at.challenge)
        account = kaggle_looks.account_status(db)
        unsent = submitting.unsent_runs(db, at.challenge)
        elsewhere = [sent for sents in sent_elsewhere(db, at.challenge).values() for sent in sents]
    possible = submitting.is_possible(at.challenge)
    if not possible and found is None:
        st.caption(AT_HOME if at.challenge.truth_path is not None else NOWHERE)
    _position(found)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Ask Kaggle now", disabled=not possible, on_click=attempt, args=(_ask, journal))
        st.caption(account_words(account, at.challenge.time_zone))
    if unsent and possible:
        st.markdown("**Submit**")
        chosen = st.selectbox("Run", unsent, key="submit_run", label_visibility="collapsed")
        submit_form.show(journal, at, chosen)
    if len(ranks) > 1:
        st.markdown("**Rank by day**")
        st.plotly_chart(charts.ranks(ranks), key="ranks", config={"displaylogo": False})
    _without_run(journal, [sent for sent in elsewhere if sent.ref is not None], unsent)


def _ask(journal: Journal) -> None:
    kaggle_looks.ask_now(journal)
    st.toast("Asked; the answer appears with the next look at the page")


def _position(found: position.Position | None) -> None:
    if found is None:
        return
    said = position.words(found)
    st.markdown(f"**{plain(said[0].upper() + said[1:])}**")
    if found.lines:
        last = dict(medals.ranks(found.teams).lines())
        st.table(
            [
                {
                    "medal": line.medal,
                    "to rank": last[line.medal],
                    "last score": score_text(line.score),
                    "missing": "" if line.missing is None else f"{line.missing:.4f}" if line.missing > 0 else "reached",
                }
                for line in found.lines
            ]
        )
    elif not found.is_over:
        st.caption("No medals: the competition awards none, or has too few teams.")


def _without_run(journal: Journal, sent: list[SentElsewhere], runs: list[str]) -> None:
    """Those whose run is not known, to be told by hand."""
    if not sent:
        return
    st.markdown("**Sent elsewhere**")
    st.dataframe(
        [
            {
                "Number": one.ref,
                "File": one.name,
                "Message": one.description,
                "LB": f"{score_text(one.public)} / {score_text(one.private)}",
                "State": one.state,
            }
            for one in reversed(sent)
        ],
        hide_index=True,
        width="stretch",
    )
    if runs:
        with st.form("link", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            st.selectbox("Number", [one.ref for one in reversed(sent)], key="link_ref")
            st.selectbox("is the submission of", runs, key="link_run")
            st.form_submit_button("Link", on_click=attempt, args=(_link, journal))


def _link(journal: Journal) -> None:
    sent_intake.link(journal, st.session_state.link_ref, st.session_state.link_run)
