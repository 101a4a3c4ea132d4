"""Data: can I trust what I train on? The checks, worst first, the sheets, and what augmentation makes of the pictures."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.jobs import data_checks, specs
from app.journal.sittings import Sitting
from app.journal.store import Journal
from app.views.desk import attempt, page_link, plain
from app.views.queue_form import USUAL, pairs
from engine.check_folder import Check, CheckFolder, Checks, least_certain
from engine.contract import OnehourError, RunSpec, preset_names

# A shape and a word each, so that nobody needs the colour.
VERDICTS = {
    "error": ":red[✗] error",
    "warning": ":orange[▲] warning",
    "note": ":blue[●] note",
    "ok": ":green[✓] fine",
}
REFRESH_S = 2
SHOWN_EXAMPLES = 6


def show(journal: Journal, at: Sitting) -> None:
    place = data_checks.folder(journal.home, at.challenge)
    try:
        checks = place.read_checks()
    except OnehourError as error:
        st.error(plain(str(error)))
        checks = None
    if data_checks.is_checking(place):
        st.fragment(_progress, run_every=REFRESH_S, key="data_progress")(place)
    else:
        label = "Check the data" if checks is None else "Check again"
        st.button(label, key="check_data", on_click=attempt, args=(data_checks.begin, journal))
    if checks is None:
        _nothing_yet(place)
    else:
        _checks(checks)
    _augmented(journal, at, place)
    _least_certain(at)
    _sheets(place)


def _nothing_yet(place: CheckFolder) -> None:
    words = data_checks.refusal(place)
    if words and not data_checks.is_checking(place):
        st.warning(plain(words))
    st.caption(
        "Nobody has looked at these pictures yet. The check decodes each of them once and finds what cannot be read, copies, "
        "pictures with two labels, and what differs between training and test. Each run checks before it trains, too."
    )


def _progress(place: CheckFolder) -> None:
    if not data_checks.is_checking(place):
        st.rerun()
    st.caption(f"● checking: {data_checks.progress(place) or 'reading the list of pictures'}")


def _checks(checks: Checks) -> None:
    of = "with a number each" if checks.numbers else f"of **{checks.labels}** labels"
    st.markdown(
        f"**{checks.train_images}** training pictures {of}"
        + (f" and {checks.unknown_images} of the unknown one" if checks.unknown_images else "")
        + f", **{checks.test_images}** test pictures"
    )
    for check in checks.checks:
        if check.name == "sizes":
            st.caption(plain(check.sentence))
    listed, histogram = st.columns([1.8, 1], gap="medium")
    with listed:
        odd = [check for check in checks.checks if check.verdict != "ok"]
        fine = [check for check in checks.checks if check.verdict == "ok" and check.name != "sizes"]
        st.markdown("\n\n".join(_line(check) for check in odd) or ":green[✓] Nothing is odd.")
        with st.expander(f"{len(fine)} checks found nothing odd"):
            st.markdown("\n\n".join(_line(check) for check in fine))
    with histogram:
        _histogram(checks)


def _histogram(checks: Checks) -> None:
    if checks.numbers:
        st.markdown("**Pictures a number**")
        bars = {"from": [edge for edge, _ in checks.numbers], "pictures": [many for _, many in checks.numbers]}
        st.bar_chart(bars, x="from", y="pictures", height=220)
        return
    st.markdown("**Pictures a label**")
    counted = sorted(checks.images_per_label.items())
    bars = {"pictures": [n for n, _ in counted], "labels": [many for _, many in counted]}
    st.bar_chart(bars, x="pictures", y="labels", height=220)


def _line(check: Check) -> str:
    """The verdict, the sentence, and the worst examples by name."""
    shown = check.examples[:SHOWN_EXAMPLES]
    examples = ", ".join(f"`{one.replace('`', '')}`" for one in shown)
    more = check.count - len(shown)
    return f"{VERDICTS[check.verdict]} · {plain(check.sentence)}" + (
        f"  \n:gray[{examples}{f' and {more} more' if more > 0 else ''}]" if examples else ""
    )


def _augmented(journal: Journal, at: Sitting, place: CheckFolder) -> None:
    """What a spec's augmentation makes of the pictures, and the one click that says it was looked at."""
    st.markdown("**What augmentation makes of them**")
    preset, changes, button = st.columns([1.3, 3, 1], vertical_alignment="bottom")
    presets = preset_names()
    chosen = preset.selectbox("Preset", presets, presets.index(USUAL), key="sheet_preset", bind="query-params")
    asked = changes.text_input(
        "Changes", key="sheet_overrides", bind="query-params", placeholder="image_size=[192,384]"
    )
    try:
        spec = specs.resolve(at.challenge, chosen, pairs(asked))
        with journal.reading() as db:
            found = data_checks.look(db, at.challenge, data_checks.augmented(journal.home, at.challenge, spec))
    except OnehourError as error:
        st.caption(f":red[✗ {plain(str(error))}]")
        return
    button.button("Draw the sheet", key="draw_sheet", on_click=attempt, args=(data_checks.make_sheet, journal, spec))
    if found.sheet is None:
        st.caption(
            "No sheet of this augmentation yet: draw it and look."
            if found.reason
            else "It moves and cuts nothing, or was looked at."
        )
    else:
        _sheet(journal, place, spec, found)


def _sheet(journal: Journal, place: CheckFolder, spec: RunSpec, found: data_checks.Look) -> None:
    sheet = found.sheet
    assert sheet is not None
    height, width = sheet.image_size
    st.markdown(
        f"Invented beyond the border: mean **{sheet.border_share_mean:.1%}**, most **{sheet.border_share_max:.1%}** of a picture "
        f":gray[{sheet.draws} draws of {sheet.images} pictures at {height}×{width}: {', '.join(sheet.geometric)}]"
    )
    if found.other_data:
        st.markdown(":orange[▲] The data was changed since: this sheet and its shares are of what was there before.")
    if found.reason:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":orange[▲] Before its first run: {plain(found.reason)}.", width="content")
            st.button(
                "I have looked at it",
                key="looked_at",
                type="primary",
                on_click=attempt,
                args=(data_checks.looked_at, journal, spec),
            )
    else:
        st.markdown(":green[✓] looked at")
        page_link("today", "Back to Today, to queue it")
    st.image(str(place.augmented_jpg))


def _least_certain(at: Sitting) -> None:
    """The crops that a box model is least sure of, and pairs that are hardly one sighting: are they right?"""
    try:
        shown = least_certain(Path(at.challenge.data_dir))
    except OnehourError as error:
        st.caption(f":red[✗ {plain(str(error))}]")
        return
    for caption, note, path in shown:
        st.markdown(f"**{plain(caption)}**")
        if note:
            st.caption(plain(f"{note[0].upper()}{note[1:]}."))
        st.image(str(path))


def _sheets(place: CheckFolder) -> None:
    for caption, path in place.sheets():
        st.markdown(f"**{caption}**")
        st.image(str(path))
