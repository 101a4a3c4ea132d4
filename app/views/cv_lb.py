"""Do CV and leaderboard agree? The plot with its band, the gap, the alarm with its causes, and whether the next one is worth sending."""

from __future__ import annotations

import streamlit as st

from app import charts
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import standing
from app.reports.standing import Standing
from app.scores.agreement import gap
from app.views.desk import plain
from engine.contract import METRIC_DIRECTIONS

SHAPES = {"here": ":red[✗] here", "possible": ":orange[?] possible", "ruled out": ":green[✓] ruled out"}
ADVICE = {
    "send": ":green[▲] worth a submission",
    "wait": ":gray[◆] let it wait",
    "no slot": ":red[✗] no submission left",
}
ALARM = {
    True: "The CV is fairer than it should be.",
    False: "CV and leaderboard stand to each other otherwise than before.",
}
LISTED = 100


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        found = standing.read(db, journal.home, at.challenge)
    if not found.scored:
        st.caption(
            "Nothing has both a CV and a leaderboard score yet. Submit a run, or type in what the leaderboard said of it."
        )
    else:
        _gap(at, found)
        if found.alarm is not None:
            st.warning(f"**{ALARM[found.alarm.is_optimistic]}** {'; '.join(map(plain, found.alarm.reasons))}.")
        plot, why = st.columns([1.7, 1], gap="medium")
        with plot:
            figure = charts.cv_against_lb(found.scored, found.line, found.outliers)
            st.plotly_chart(figure, key="cv_lb", config={"displaylogo": False})
            if found.outliers:
                names = ", ".join(one.run_key for one in found.outliers)
                st.caption(f"Outside the band of all the others: {names}.")
        with why:
            st.markdown("**Usual causes of a gap**")
            for cause in found.causes:
                st.markdown(f"{SHAPES[cause.state]}: {plain(cause.question)}  \n:gray[{plain(cause.answer)}]")
    _advise(journal, at, found)


def _gap(at: Sitting, found: Standing) -> None:
    newest = found.scored[-1]
    fairer = gap(newest, METRIC_DIRECTIONS[at.challenge.metric])
    word = "fairer" if fairer >= 0 else "harsher"
    few = "" if found.line is not None else " From the third submission on a line is drawn, and the gap is watched."
    st.markdown(
        f"`{newest.run_key}`: CV {newest.cv:.4f}, LB {newest.lb:.4f}. The CV is {abs(fairer):.4f} {word} than the leaderboard"
        f" (the folds' chance: {'not known' if newest.noise is None else f'{newest.noise:.4f}'}).{few}"
    )


def _advise(journal: Journal, at: Sitting, found: Standing) -> None:
    open_ones = [one.run_key for one in reversed(found.submitted) if not one.sent and one.cv is not None][:LISTED]
    if not open_ones:
        return
    st.markdown("**Is it worth a submission?**")
    chosen = st.selectbox("Run", open_ones, key="advise_run", label_visibility="collapsed", width=260)
    with journal.reading() as db:
        advised = standing.submit_advice(db, at.challenge, found, chosen, at.now)
    st.markdown(f"{ADVICE[advised.word]}: " + "; ".join(plain(reason) for reason in advised.reasons) + ".")
