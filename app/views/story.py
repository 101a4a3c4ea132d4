"""The story: the whole challenge as an article. The person's own words before and after it, a preview, and the files."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.components.editor import editor
from app.journal import challenges, reviews, sittings
from app.journal.home import COMMAND
from app.journal.rules import Action, Permit, permit
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.reports import story_page
from app.views.desk import attempt, plain


def show(journal: Journal, at: Sitting) -> None:
    with journal.reading() as db:
        note = reviews.of_story(db, at.challenge)
    own = story_page.template_path(journal.home)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for kind, mime in (("HTML", "text/html"), ("Markdown", "text/markdown")):
            st.download_button(
                f"{kind} file",
                _file(journal, kind),
                file_name=f"{at.challenge.slug}-story.{'html' if kind == 'HTML' else 'md'}",
                mime=mime,
                on_click="ignore",
            )
        if own.is_file():
            st.caption(f"By your own template: {plain(str(own))}", width="content")
        else:
            st.button("Change the template", on_click=attempt, args=(story_page.begin_template, journal.home))
            st.caption(f"or `{COMMAND} story export FILE` with its drawings beside", width="content")
    if note is None:
        st.button("Write what stands before and after it", on_click=attempt, args=(reviews.begin_story, journal))
    else:
        st.fragment(_own_words)(journal, at)
    # Told when it is asked for: a challenge of thousands of runs takes a while.
    if st.toggle("Preview", key="story_preview"):
        with journal.reading() as db:
            text, drawings = story_page.markdown(db, journal.home, at)
        for name, svg in drawings.items():
            st.image(svg, caption=story_page.CAPTIONS[name])
        st.markdown("\n".join(line for line in text.splitlines() if "](figure:" not in line))


def _own_words(journal: Journal, at: Sitting) -> None:
    """A fragment of its own: a save draws only this again."""
    with journal.reading() as db:
        note = reviews.of_story(db, at.challenge)
    if note is None:  # the journal was set back meanwhile
        st.rerun()
    flagged = permit(Action.INBOX, at.moment) is Permit.FLAGGED
    editor(
        "story", challenge=at.challenge.slug, note=note.id, body=note.body, revision=note.revision, open=True,
        says="What you write now is flagged: outside the hour" if flagged else "",
        drawn_at=journal.now(),
    )  # fmt: skip


def _file(journal: Journal, kind: str) -> Callable[[], str]:
    """Made when it is asked for."""

    def made() -> str:
        with journal.reading() as db:
            at = sittings.sitting(db, challenges.active(db), journal.now())
            if kind == "HTML":
                return story_page.html(db, journal.home, at)
            return story_page.markdown(db, journal.home, at)[0]

    return made
