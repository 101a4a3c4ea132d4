"""References: what was learnt from, with author and licence, which runs used it, and the credits they make."""

from __future__ import annotations

import streamlit as st

from app.journal import links, references
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Reference
from app.reports import credits, record
from app.views.desk import attempt, plain
from engine.contract import OnehourError

MOST_WARNINGS = 5


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        known = references.every(db, at.challenge)
        used = references.users(db, at.challenge)
        lacking = references.uncredited(db, at.challenge, at.challenge.starts_on, at.local_date)
    may = permit(Action.WORK, at.moment) in (Permit.YES, Permit.OVERTIME)
    _add(journal, at, may)
    for run_key, keys in list(lacking.items())[:MOST_WARNINGS]:
        _lacking(journal, run_key, keys, may)
    if not known:
        st.caption("No reference yet. Paste the address of a kernel, discussion, paper, repository or post.")
        return
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        chosen = _table(known, used)
    with right:
        _details(journal, at, chosen, used.get(chosen.id, []), may)
    if st.toggle("Credits", key="credits"):
        with journal.reading() as db:
            text = credits.page(db, at.challenge)
        st.markdown(text)
        st.download_button("Save as Markdown", text, file_name="credits.md", mime="text/markdown", on_click="ignore")


def _add(journal: Journal, at: Sitting, may: bool) -> None:
    with st.form("reference", clear_on_submit=False, border=False):
        address, taken, add = st.columns([2, 2, 0.6], gap="small", vertical_alignment="bottom")
        address.text_input("Address", key="reference_url", placeholder="https://", disabled=not may)
        taken.text_input("What was taken from it", key="reference_taken", disabled=not may)
        add.form_submit_button("Add", disabled=not may, on_click=attempt, args=(_take_on, journal))
    if not may:
        st.caption(refusal(Action.WORK, at.moment, "Taking on a reference"))


def _lacking(journal: Journal, run_key: str, keys: list[str], may: bool) -> None:
    """A run that lists no reference although its day's note names some: one click credits each."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":orange[▲] {plain(run_key)} lists no reference; its day's note names some.", width="content")
        for key in keys[:MOST_WARNINGS]:
            st.button(
                f"It used &{key}",
                key=f"credit_{run_key}_{key}",
                disabled=not may,
                on_click=attempt,
                args=(references.use, journal, run_key, key),
            )


def _take_on(journal: Journal) -> None:
    asked = st.session_state
    reference = references.add(journal, asked.reference_url, taken=asked.reference_taken)
    asked.reference_url = asked.reference_taken = ""
    st.query_params["reference"] = reference.key


def _table(known: list[Reference], used: dict[int, list[str]]) -> Reference:
    """The list; returns the selected reference, or the one in the address, or the newest."""
    table = st.dataframe(
        [
            {
                "Key": row.key,
                "Title": row.title,
                "Author": row.author,
                "Kind": row.kind,
                "Licence": row.licence,
                "Runs": len(used.get(row.id, [])),
            }
            for row in known
        ],
        key="references",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
    )
    rows = table.selection.rows
    if rows and rows[0] < len(known):
        return known[rows[0]]
    asked = st.query_params.get("reference")
    return next((row for row in known if row.key == asked), known[0])


def _details(journal: Journal, at: Sitting, row: Reference, used_by: list[str], may: bool) -> None:
    st.markdown(f"**{plain(row.title)}** · `&{row.key}`  \n[{plain(row.url)}](<{row.url}>)")
    with journal.reading() as db:
        named_in = record.backlinks(db, at.challenge, links.LinkKind.REFERENCE, row.key)
    for run_key in used_by:
        st.markdown(f"Used by [{plain(run_key)}]({links.run_address(run_key)})")
    if named_in:
        st.markdown("Named in " + " · ".join(f"[{plain(link.words)}]({link.address})" for link in named_in))
    with st.form(f"reference_{row.id}", border=False):
        for field in ("title", "author", "licence"):
            st.text_input(field.capitalize(), getattr(row, field), key=f"{field}_{row.id}", disabled=not may)
        st.selectbox("Kind", references.KINDS, references.KINDS.index(row.kind), key=f"kind_{row.id}", disabled=not may)
        st.text_area("Taken", row.taken, key=f"taken_{row.id}", height=80, disabled=not may)
        st.text_input("Used by another run", key=f"run_{row.id}", placeholder="@run", disabled=not may)
        st.form_submit_button("Save", disabled=not may, on_click=attempt, args=(_save, journal, row))


def _save(journal: Journal, row: Reference) -> None:
    asked = {name: st.session_state[f"{name}_{row.id}"] for name in ("title", "author", "licence", "kind", "taken")}
    changed = {name: value for name, value in asked.items() if value != getattr(row, name)}
    if changed:
        references.change(journal, row.key, **changed)
    run_key = st.session_state[f"run_{row.id}"].strip()
    if run_key:
        references.use(journal, run_key, row.key)
    if not changed and not run_key:
        raise OnehourError("nothing was changed")
