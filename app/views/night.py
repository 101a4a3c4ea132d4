"""Night: what will the machines do until tomorrow, and what have they taken so far? The queue, slot by slot, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.components.night_timeline import night_timeline
from app.jobs import backlog, configured, ledger, orders
from app.jobs.forecast import hours_text
from app.jobs.orders import SecondThought
from app.journal.home import COMMAND
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import night as night_report
from app.reports.night import NightReport
from app.views import long_list
from app.views.desk import attempt, plain

ROWS = 100
DEAREST = 20
# Sentences below the queue, and runs named before each.
SAYINGS, NAMED = 8, 3
SURE_OF = "move_sure_of"


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        report = night_report.read(db, journal.home, at)
        dear = ledger.by_experiment(db, at.challenge, at.now)[:DEAREST]
    night_timeline(report)
    said = [night_report.gpu_words(gpu, report.time_zone) for gpu in report.gpus]
    if said:
        st.caption(" · ".join(plain(one) for one in said))
    for warning in report.warnings:
        st.markdown(f":orange[▲] {plain(warning)}")
    if report.rows:
        _queue(journal, report)
    else:
        st.caption(f"Nothing waits. Queue the night's runs on Today while the hour runs, or with `{COMMAND} queue`.")
    if dear:
        st.markdown("**What the experiments took**")
        st.dataframe(
            [
                {
                    "Experiment": each.experiment_key,
                    "Hypothesis": each.hypothesis,
                    "Runs": each.runs,
                    "GPU": hours_text(each.gpu_s) if each.gpu_s else "–",
                    "Machine": hours_text(each.held_s),
                    "Where": ", ".join(machine.backend for machine in each.machines),
                }
                for each in dear
            ],
            hide_index=True,
            width="stretch",
            column_config={"Hypothesis": st.column_config.TextColumn(width="large")},
        )


def _queue(journal: Journal, report: NightReport) -> None:
    rows = report.rows
    bars = {bar.load.run_key: bar for lane in report.night.lanes for bar in lane.bars}
    st.markdown(f"**Queue** :gray[{len(rows)} open; select rows to move or cancel them]")
    table = st.dataframe(
        [
            {
                "Run": row.run_key,
                "State": row.says,
                "On": row.slot or row.backend,
                "When": night_report.bar_words(report, bars[row.run_key]).partition(": ")[2]
                if row.run_key in bars
                else "",
                "Hypothesis": row.hypothesis,
            }
            for row in rows[:ROWS]
        ],
        key=long_list.table_key("queue", (row.run_key for row in rows[:ROWS])),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="multi-row",
        column_config={
            "When": st.column_config.TextColumn(width="large"),
            "Hypothesis": st.column_config.TextColumn(width="medium"),
        },
    )
    if len(rows) > ROWS:
        st.caption(f"The first {ROWS} are shown.")
    _what_they_say(rows[:ROWS])
    chosen = [rows[place] for place in table.selection.rows if place < len(rows)]
    waiting = [row for row in chosen if row.state == backlog.QUEUED]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _button("Run first", not waiting, _first, journal, waiting)
        _button("Run last", not waiting, _last, journal, waiting)
        _button("Cancel", not chosen, _cancel, journal, chosen)
        others = configured.names(journal.home)
        if len(others) > 1:
            st.selectbox("Go on on", others, key="move_to_backend", width=180, disabled=not chosen)
            backend = st.session_state.move_to_backend
            sure = st.session_state.get(SURE_OF) == (backend, [row.run_key for row in chosen])
            label = "All the same" if sure else "Move there"
            st.button(
                label, key="queue_Move there", disabled=not chosen, on_click=attempt, args=(_move, journal, chosen, backend)
            )  # fmt: skip


def _what_they_say(rows: Sequence[backlog.QueueRow]) -> None:
    """Whole sentences, which no cell of a table has room for; one that several say stands once."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.message:
            said.setdefault(row.message, []).append(row.run_key)
    for message, keys in list(said.items())[:SAYINGS]:
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        st.caption(f"{', '.join(keys[:NAMED])}{more}: {plain(message)}")


def _button(label: str, disabled: bool, act: object, journal: Journal, rows: list[backlog.QueueRow]) -> None:
    st.button(label, key=f"queue_{label}", disabled=disabled, on_click=attempt, args=(act, journal, rows))


def _first(journal: Journal, rows: list[backlog.QueueRow]) -> None:
    for row in reversed(rows):  # the first of those selected stays before the others
        backlog.move(journal, row.run_key, "first")


def _last(journal: Journal, rows: list[backlog.QueueRow]) -> None:
    for row in rows:
        backlog.move(journal, row.run_key, "last")


def _cancel(journal: Journal, rows: list[backlog.QueueRow]) -> None:
    for row in rows:
        backlog.cancel(journal, row.run_key)


def _move(journal: Journal, rows: list[backlog.QueueRow], backend: str) -> None:
    """One that would pass a limit or a quota stops it; the same once more means it."""
    wanted = backend, [row.run_key for row in rows]
    sure = st.session_state.pop(SURE_OF, None) == wanted
    for row in rows:
        try:
            orders.move_to(journal, row.run_key, backend, sure=sure)
        except SecondThought:
            st.session_state[SURE_OF] = wanted
            raise
