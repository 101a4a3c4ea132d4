"""References: what was learnt from, with author and licence, which runs used it, and the credits they make."""

from __future__ import annotations

import streamlit as st
from sqlmodel import Session

from app.journal import crediting, links, references
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Reference
from app.reports import credits, record
from app.views import long_list
from app.views.desk import attempt, plain
from engine.contract import OnehourError

MOST_WARNINGS = 5
MOST_USERS = 12


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        lacking = crediting.uncredited(db, at.challenge, at.challenge.starts_on, at.local_date, most=MOST_WARNINGS)
    may = permit(Action.WORK, at.moment) in (Permit.YES, Permit.OVERTIME)
    _add(journal, at, may)
    for run_key, keys in lacking.items():
        _lacking(journal, run_key, keys, may)
    with journal.reading() as db:
        part = long_list.stretch("references", lambda words: references.count(db, at.challenge, words))
        known = references.found(db, at.challenge, part.words, part.start, long_list.ROWS)
        asked = _in_address(db, at)
        used = references.users(db, at.challenge, [*known, *asked])
    if not known:
        if not part.words:
            st.caption("No reference yet. Paste the address of a kernel, discussion, paper, repository or post.")
        return
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        chosen = _table(known, used) or next(iter(asked), known[0])
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
                args=(crediting.use, journal, run_key, key),
            )


def _take_on(journal: Journal) -> None:
    asked = st.session_state
    reference = references.add(journal, asked.reference_url, taken=asked.reference_taken)
    asked.reference_url = asked.reference_taken = ""
    st.query_params["reference"] = reference.key


def _in_address(db: Session, at: Sitting) -> list[Reference]:
    """The reference that the page's address names, as far as there is one."""
    try:
        return [references.named(db, at.challenge, st.query_params["reference"])]
    except (KeyError, OnehourError):
        return []


def _table(known: list[Reference], used: dict[int, list[str]]) -> Reference | None:
    """The list; returns the selected reference."""
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
        key=long_list.table_key("references", (row.key for row in known)),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
    )
    rows = table.selection.rows
    return known[rows[0]] if rows and rows[0] < len(known) else None


def _details(journal: Journal, at: Sitting, row: Reference, used_by: list[str], may: bool) -> None:
    st.markdown(f"**{plain(row.title)}** · `&{row.key}`  \n[{plain(row.url)}](<{row.url}>)")
    with journal.reading() as db:
        named_in = record.backlinks(db, at.challenge, links.LinkKind.REFERENCE, row.key)
    if used_by:
        shown = " · ".join(f"[{plain(run_key)}]({links.run_address(run_key)})" for run_key in used_by[:MOST_USERS])
        more = f" and {len(used_by) - MOST_USERS} more" if len(used_by) > MOST_USERS else ""
        st.markdown(f"Used by {shown}{more}")
    if named_in:
        st.markdown("Named in " + " · ".join(f"[{plain(link.words)}]({link.address})" for link in named_in))
    with st.form(f"reference_{row.id}", border=False):
        for field in ("title", "author", "licence"):
            st.text_input(field.capitalize(), getattr(row, field), key=f"{field}_{row.id}", disabled=not may)
        st.selectbox("Kind", references.KINDS, references.KINDS.index(row.kind), key=f"kind_{row.id}", disabled=not may)
        st.text_area("Taken", row.taken, key=f"taken_{row.id}", height=80, disabled=not may)
        st.text_input("Used by another run", key=f"run_{row.id}", placeholder="@run", disabled=not may)
        st.form_submit_button("Save", disabled=not may, on_click=attempt, args=(_save, journal, row))
    if may:
        _remove(journal, at, row)


def _remove(journal: Journal, at: Sitting, row: Reference) -> None:
    """Who names it stands beside the button: a click there is the person's word that it goes all the same."""
    with journal.reading() as db:
        needed = references.needed_by(db, at.challenge, row)
    with st.popover("Remove"):
        if needed:
            shown = ", ".join(needed[:MOST_USERS]) + (
                f" and {len(needed) - MOST_USERS} more" * (len(needed) > MOST_USERS)
            )
            st.caption(f"Named by {plain(shown)}. Runs and todos lose the link; in notes &{row.key} stays as text.")
        label = "Remove it all the same" if needed else "Remove it"
        st.button(label, key=f"remove_{row.id}", on_click=attempt, args=(_removed, journal, row.key, bool(needed)))


def _removed(journal: Journal, key: str, was_named: bool) -> None:
    references.remove(journal, key, force=was_named)
    st.query_params.pop("reference", None)


def _save(journal: Journal, row: Reference) -> None:
    asked = {name: st.session_state[f"{name}_{row.id}"] for name in ("title", "author", "licence", "kind", "taken")}
    changed = {name: value for name, value in asked.items() if value != getattr(row, name)}
    if changed:
        references.change(journal, row.key, **changed)
    run_key = st.session_state[f"run_{row.id}"].strip()
    if run_key:
        crediting.use(journal, run_key, row.key)
    if not changed and not run_key:
        raise OnehourError("nothing was changed")
