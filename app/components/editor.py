"""The editor of a note: it saves itself through /api/draft and keeps unsaved words in the browser."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.journal import attachments

HERE = Path(__file__).parent
HTML = """<div class="editor">
  <textarea aria-label="Day's note" spellcheck="true"></textarea>
  <p class="status" role="status"></p>
  <section class="conflict" hidden>
    <p></p>
    <textarea aria-label="The other text" readonly></textarea>
    <button class="mine">Keep mine</button> <button class="theirs">Take the other</button>
  </section>
</div>"""

_mount = st.components.v2.component(
    "onehour_editor",
    html=HTML,
    css=(HERE / "editor.css").read_text(encoding="utf-8"),
    js=(HERE / "editor.js").read_text(encoding="utf-8"),
)


def editor(
    key: str,
    *,
    challenge: str,
    body: str,
    revision: int,
    open: bool,
    says: str,
    drawn_at: int,
    day: str | None = None,
    note: int | None = None,
) -> None:
    """Edit the note of `day` (ISO date), or the one outside any day with the number `note`, at `revision` with the text `body`.

    While not `open` it is greyed. `says` stands below it: the reason, or what will be flagged. `drawn_at` (milliseconds UTC)
    tells a later drawing from an earlier one. Runs its fragment again after a save.
    """
    data = {
        "challenge": challenge,
        "day": day,
        "note": note,
        "body": body,
        "revision": revision,
        "open": open,
        "says": says,
        "drawn_at": drawn_at,
        "picture_bytes": attachments.MAX_BYTES,
    }
    _mount(key=key, data=data, on_saved_change=lambda: None)
