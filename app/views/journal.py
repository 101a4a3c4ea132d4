"""Journal: the days as a book, and the notes outside them. The address says what is open: day, note, or a search."""

from __future__ import annotations

from datetime import date

import streamlit as st

from app.components.editor import editor
from app.journal import challenges, days, links, notes, revisions
from app.journal.rules import Action, Permit, permit, refusal
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.journal.tables import Note
from app.reports import record
from app.scores.board import BoardRun
from app.views import journal_calendar, journal_search
from app.views.desk import attempt, plain
from app.views.note_text import note_text
from app.views.run_words import cv_words, lb_words, state_words
from engine.contract import OnehourError


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        earlier = record.earlier_days(db, at.challenge)
    chosen = _chosen_day(at, earlier)
    journal_calendar.show(journal, at, None if "note" in st.query_params else chosen)
    page, aside = st.columns([4, 1.25], gap="medium")
    with aside:
        looking_for = journal_search.form()
        _outside(journal, at)
    with page:
        if not looking_for.is_empty:
            journal_search.results(journal, at, looking_for)
        elif "note" in st.query_params:
            _outside_page(journal, at, st.query_params["note"])
        else:
            _day_page(journal, at, chosen, earlier)


def _chosen_day(at: Sitting, earlier: list[date]) -> date:
    """The day in the address, kept inside what can be read: `earlier` ones that hold something, the challenge's days up to today."""
    first, last = at.challenge.starts_on, min(at.local_date, challenges.last_day(at.challenge))
    try:
        asked = date.fromisoformat(st.query_params.get("day", ""))
    except ValueError:
        asked = max(first, last)
    if asked < first:
        return next((day for day in earlier if day >= asked), first)
    return max(first, min(asked, last))


def _day_page(journal: Journal, at: Sitting, on: date, earlier: list[date]) -> None:
    with journal.reading() as db:
        shown = record.day_record(db, at.challenge, on)
    editing = _head(at, shown, earlier)
    action = notes.action_for(on, at)
    reason = refusal(action, at.moment, "Writing the day's note") if permit(action, at.moment) is Permit.NO else ""
    st.fragment(_day_note)(journal, at, on, editing, reason)
    _runs(shown)
    _todos(at, shown)
    for item in shown.thoughts:
        flag = " :orange[outside the hour]" if item.outside_hour else ""
        st.caption(f"Inbox: {plain(item.body)}{flag}")
    _backlinks(shown.backlinks)
    if shown.note is not None:
        _revisions(journal, at, shown.note)


def _head(at: Sitting, shown: record.DayRecord, earlier: list[date]) -> bool:
    """The day between its neighbours. Returns whether it is to be edited."""
    on, starts_on = shown.local_date, at.challenge.starts_on
    before, after = record.neighbours(at.challenge, on, at.local_date, earlier)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="journal_head"):
        if before is not None:
            _leaf(f"‹ {days.day_name(before, starts_on)}", before, "Left")
        late = " :orange[late]" if shown.note is not None and shown.note.late else ""
        when = f"{on:%a} {on}" if on >= starts_on else f"{on:%A}, before day 1"
        st.markdown(f"**{days.day_name(on, starts_on)}** · {when}{late}", width="content")
        if after is not None:
            _leaf(f"{days.day_name(after, starts_on)} ›", after, "Right")
        if on < starts_on and shown.note is None:
            return False
        return st.toggle("Edit", value=on == at.local_date, key=f"edit_{on}")


def _leaf(label: str, to: date, shortcut: str) -> None:
    st.button(label, key=f"leaf_{shortcut}", shortcut=shortcut, on_click=_open_day, args=(to,))


def _open_day(on: date) -> None:
    st.query_params.from_dict({"day": on.isoformat()})


def _day_note(journal: Journal, at: Sitting, on: date, editing: bool, reason: str) -> None:
    """A fragment of its own: a save draws only this again."""
    with journal.reading() as db:
        note = notes.of_day(db, at.challenge, on)
        body, revision = (note.body, note.revision) if note else (notes.template(at.challenge), 0)
        if not editing:
            if (
                note is None and on < at.challenge.starts_on
            ):  # an imported note can be gone on with, late; none is begun
                st.caption("Nothing was written on this day. It lies before day 1: no note is begun on it.")
            elif note is None:
                st.caption("Nothing was written on this day. Edit takes late words too; they are flagged.")
            else:
                note_text(db, at.challenge, body)
            return
        write, preview = st.columns([1.3, 1], gap="medium")
        with write:
            past = "What you write now is flagged late"
            late = permit(notes.action_for(on, at), at.moment) is Permit.LATE
            editor(
                f"journal_{on}",
                challenge=at.challenge.slug,
                day=on.isoformat(),
                body=body,
                revision=revision,
                open=not reason,
                says=reason or (past if late else ""),
                drawn_at=journal.now(),
            )
        with preview, st.container(height=380, border=False):
            note_text(db, at.challenge, body)


def _runs(shown: record.DayRecord) -> None:
    """The runs of the day and those its note names: state and scores as they are now."""
    if shown.runs:
        st.markdown("**Runs**")
    _cards(shown.runs, shown.local_date)
    if shown.uncredited:
        st.warning(
            "The day's note names "
            + ", ".join(sorted({f"&{key}" for keys in shown.uncredited.values() for key in keys}))
            + f", but {', '.join(plain(run_key) for run_key in shown.uncredited)} lists no reference. "
            "If one was used, say so on the [References](/references) page."
        )


def _cards(runs: list[BoardRun], on: date) -> None:
    """One element for all: a day may have dozens."""
    if runs:
        st.markdown("  \n".join(" · ".join(part for part in _card(run, on) if part) for run in runs))


def _card(run: BoardRun, on: date) -> tuple[str, ...]:
    row = run.row
    lb = lb_words(run)
    submitted = "submission kept" if run.submission_path and not lb else ""
    other_day = f"of {row.local_date}" if row.local_date != on else ""
    link = f"[{plain(row.run_key)}]({links.run_address(row.run_key)})"
    return (
        link,
        plain(row.hypothesis),
        state_words(row),
        f"**{cv_words(row)}**" * bool(row.cv),
        lb,
        submitted,
        other_day,
    )


def _todos(at: Sitting, shown: record.DayRecord) -> None:
    if not shown.todos:
        return
    st.markdown("**Planned for this day**")
    lines = []
    for todo in shown.todos:
        mark = "✓" if todo.done_at is not None else "○"
        minutes = f" · {todo.minutes:g} min" if todo.minutes else ""
        lines.append(f"{mark} {plain(todo.title)}{minutes}")
    st.markdown("  \n".join(lines))


def _backlinks(found: list[record.Backlink]) -> None:
    if found:
        st.markdown("**Linked from** " + " · ".join(f"[{plain(link.words)}]({link.address})" for link in found))


def _revisions(journal: Journal, at: Sitting, note: Note) -> None:
    with journal.reading() as db:
        kept = revisions.history(db, note)
    if not kept:
        return
    with st.expander(f"{len(kept)} earlier {'revision' if len(kept) == 1 else 'revisions'}"):
        zone = at.challenge.time_zone
        chosen = st.selectbox(
            "Revision",
            kept,
            format_func=lambda row: (
                f"{row.revision} · {days.local(row.saved_at, zone):%Y-%m-%d %H:%M:%S}{' · late' if row.late else ''}"
            ),
            key=f"revision_{note.id}",
        )
        st.code(chosen.body, language="markdown", wrap_lines=True, height=260)
        st.button(
            "Restore it",
            key=f"restore_{note.id}",
            on_click=attempt,
            args=(notes.restore, journal, note.id, chosen.revision),
            help="What stands there now is kept as a revision.",
        )


def _outside(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        rows = notes.outside_days(db, at.challenge)
    st.markdown("**Notes outside the days**")
    lines = []
    for row in rows:
        late = " :orange[outside the hour]" if row.late else ""
        lines.append(f"[{plain(row.title or '')}]({links.note_address(row.id)}) :gray[{row.kind}]{late}")
    if lines:
        st.markdown("  \n".join(lines))
    else:
        st.caption("Ideas and notes on the data live here.")
    with st.popover("New note"), st.form("new_note", clear_on_submit=True, border=False):
        st.text_input("Title", key="note_title")
        st.selectbox("Kind", notes.KINDS, key="note_kind")
        if permit(Action.INBOX, at.moment) is Permit.FLAGGED:
            st.caption("It is flagged: outside the hour.")
        st.form_submit_button("Make it", on_click=attempt, args=(_create, journal))


def _create(journal: Journal) -> None:
    note = notes.create(journal, st.session_state.note_title, st.session_state.note_kind)
    st.query_params.from_dict({"note": str(note.id)})


def _outside_page(journal: Journal, at: Sitting, asked: str) -> None:
    with journal.reading() as db:
        try:
            note = notes.outside(db, at.challenge, int(asked) if asked.isdecimal() and len(asked) < 10 else 0)
        except OnehourError as error:
            st.warning(str(error))
            return
        linked_from = record.backlinks(db, at.challenge, links.LinkKind.NOTE, note.title or "", besides=note)
        runs = record.named_runs(db, at.challenge, note)
    flag = " :orange[outside the hour]" if note.late else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{plain(note.title or '')}** :gray[{note.kind}]{flag}", width="content")
        if note.kind != notes.WEEK_KIND:
            _rename(journal, note, linked_from)
    editing = st.toggle("Edit", value=not note.body.strip(), key=f"edit_note_{note.id}")
    st.fragment(_outside_note)(journal, at, note.id, editing)
    _cards(runs, at.local_date)
    _backlinks(linked_from)
    _revisions(journal, at, note)


def _rename(journal: Journal, note: Note, linked_from: list[record.Backlink]) -> None:
    key = f"rename_{note.id}"
    with st.popover("Rename"), st.form(f"form_{key}", border=False):
        st.text_input("Title", note.title or "", key=key)
        if linked_from:
            places = ", ".join(link.words for link in linked_from)
            st.caption(plain(f"[[{note.title}]] in {places} leads nowhere then."))
        st.form_submit_button(
            "Rename it", on_click=attempt, args=(lambda: notes.rename(journal, note.id, st.session_state[key]),)
        )


def _outside_note(journal: Journal, at: Sitting, note_id: int, editing: bool) -> None:
    with journal.reading() as db:
        note = notes.outside(db, at.challenge, note_id)
        if not editing:
            note_text(db, at.challenge, note.body)
            return
        write, preview = st.columns([1.3, 1], gap="medium")
        with write:
            flagged = permit(Action.INBOX, at.moment) is Permit.FLAGGED
            editor(
                f"journal_note_{note_id}",
                challenge=at.challenge.slug,
                note=note_id,
                body=note.body,
                revision=note.revision,
                open=True,
                says="What you write now is flagged: outside the hour" if flagged else "",
                drawn_at=journal.now(),
            )
        with preview, st.container(height=380, border=False):
            note_text(db, at.challenge, note.body)
