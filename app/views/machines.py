"""The machines that runs may use, on Settings: their slots, what the last look at each found, and a button to look again."""

from __future__ import annotations

import streamlit as st

from app.jobs import installed, probing
from app.jobs.installed import Machine
from app.jobs.probing import Look
from app.journal import days
from app.journal.home import COMMAND
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views.desk import attempt, plain

REFRESH_S = 2


def show(journal: Journal, at: Sitting) -> None:
    st.markdown("**Backends**")
    with journal.reading() as db:
        looks = probing.last_looks(db)
    if any(look.is_under_way for look in looks.values()):
        st.fragment(_watch, run_every=REFRESH_S, key="machines_watch")(journal, at)
    else:
        _machines(journal, at, looks)
    st.caption(f"Another machine behind ssh: `{COMMAND} backend setup NAME --host HOST`")


def _watch(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        looks = probing.last_looks(db)
    if not any(look.is_under_way for look in looks.values()):
        st.rerun()
    _machines(journal, at, looks)


def _machines(journal: Journal, at: Sitting, looks: dict[str, Look]) -> None:
    for machine in installed.machines(journal.home):
        look = looks.get(machine.name, Look())
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(_line(machine, look, at))
            st.button(
                "Looking …" if look.is_under_way else "Look again",
                key=f"look_{machine.name}",
                type="tertiary",
                disabled=look.is_under_way or bool(machine.trouble and not machine.slots),
                help=f"Ask {machine.name} what it has: Python, packages, GPUs, room",
                on_click=attempt,
                args=(probing.ask, journal, machine.name),
            )


def _line(machine: Machine, look: Look, at: Sitting) -> str:
    problems = [*([machine.trouble] if machine.trouble else []), *look.problems]
    slots = f"one run at a time on each of: {', '.join(machine.slots)}" if machine.slots else "no slots known"
    lines = [f"{'–' if problems else '✓'} {machine.name} :gray[{plain(slots)}]"]
    if look.looked_at is not None:
        when = days.local(look.looked_at, at.challenge.time_zone)
        lines.append(f":gray[looked at {when:%Y-%m-%d %H:%M}: {plain(look.words)}]")
    return "  \n".join([*lines, *(f":orange[{plain(problem)}]" for problem in problems)])
