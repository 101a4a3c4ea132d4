"""What was found among the images, as checks: a verdict, a count, a sentence and examples each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from engine.check_folder import Check, Verdict
from engine.checks import copies
from engine.checks.copies import NearPairs
from engine.checks.facts import Entry
from engine.checks.label_findings import OF_NAMES, name_checks, number_checks
from engine.checks.listing import Listing
from engine.checks.picture import Picture
from engine.checks.survey import named, too_many
from engine.checks.wording import are, check_of
from engine.contract import DataSpec
from engine.data.csv_table import counted

GREY, DARK, TINY, HUGE = 4.0, 25.0, 32, 40_000_000
Seen = Sequence[tuple[Entry, Picture]]


def checks_of(
    seen: Seen, near: NearPairs, labels: Sequence[str], unknown: str | None, numbers: bool
) -> Iterator[Check]:  # fmt: skip
    """The checks of readable images `seen`; `near` holds places in it. `numbers`: the labels are no names but measured."""
    yield from _kind_checks(seen)
    of_copies = _copy_checks(seen, near, unknown)
    yield from (one for one in of_copies if one.name not in OF_NAMES) if numbers else of_copies
    yield from _look_checks(seen)
    yield from number_checks(labels) if numbers else name_checks(labels, unknown)


def folder_checks(listing: Listing, data: DataSpec) -> Iterator[Check]:
    if listing.refusal:
        yield Check(
            name="folder", verdict="error", count=1, sentence=f"A run would refuse this data: {listing.refusal}"
        )
    else:
        yield Check(name="folder", verdict="ok", count=0, sentence="A run would take this data.")
    labels = data.labels or "the folders"
    yield check_of(
        "absent images", "error", listing.absent,
        f"{are(listing.absent, 'image')} named in {labels} and not in {data.train_images}/.",
        f"Every image of {labels} is there.",
    )  # fmt: skip
    yield check_of(
        "images without a label", "note", listing.unlabelled,
        f"{are(listing.unlabelled, 'image')} in {data.train_images}/ without a row in {labels}: not used.",
        "Every training image has a label.",
    )  # fmt: skip
    yield check_of(
        "foreign files", "note", listing.foreign,
        f"{are(listing.foreign, 'file')} no image by the ending of the name: not used.",
        "Nothing but images lies in the folders.",
    )  # fmt: skip
    unfit = [f"{name}: no such file" for name in listing.test_absent]
    unfit += [f"{name}: no row" for name in listing.test_unnamed]
    yield check_of(
        "sample submission", "error", unfit,
        f"{data.sample_submission} and {data.test_images}/ do not fit: {counted(len(listing.test_absent), 'row')} without "
        f"an image, {counted(len(listing.test_unnamed), 'image')} without a row.",
        "The sample submission names exactly the test images.",
    )  # fmt: skip


def unreadable(broken: Sequence[tuple[Entry, str]], train: int, test: int) -> Check:
    """`train` and `test`: all images of the parts, the broken ones among them."""
    refused = too_many(broken, train, test)
    then = (
        "a run refuses so many" if refused else "a run trains on none of them, answers test images unseen and says so"
    )
    broken_train = sum(entry.part == "train" for entry, _ in broken)
    return check_of(
        "unreadable images", "error" if refused else "warning", named(broken),
        f"{counted(len(broken), 'image')} cannot be decoded to the end ({broken_train} of training); {then}. "
        "All stand in quarantine.csv.",
        "Every image can be decoded to its last pixel.",
    )  # fmt: skip


def _kind_checks(seen: Seen) -> Iterator[Check]:
    kinds: tuple[tuple[str, Verdict, str, Callable[[Picture], bool]], ...] = (
        ("tiny images", "warning", f"with a side below {TINY} pixels", lambda one: min(one.width, one.height) < TINY),
        ("huge images", "note", "of 40 megapixels and more", lambda one: one.width * one.height >= HUGE),
        ("rotated by EXIF", "note", "turned by EXIF: used as shown", lambda one: one.orientation in range(2, 9)),
        ("16-bit images", "note", "of 16 bits a channel: the upper 8 are used", lambda one: one.bits == 16),
        ("CMYK images", "note", "in CMYK: turned into RGB", lambda one: one.mode == "CMYK"),
        ("palette images", "note", "with a palette: turned into RGB", lambda one: one.mode in ("P", "PA")),
        ("transparent images", "note", "with transparency: laid over grey", lambda one: one.transparent),
        ("animated images", "note", "of several frames: the first is used", lambda one: one.frames > 1),
        ("images of one colour", "warning", "with nothing to see", lambda one: one.contrast < 2.0),
    )
    for name, verdict, words, belongs in kinds:
        examples = [_name(entry) for entry, one in seen if belongs(one)]
        yield check_of(
            name,
            verdict,
            examples,
            f"{counted(len(examples), 'image')} {words}.",
            f"No image {words.partition(':')[0]}.",
        )


def _copy_checks(seen: Seen, near: NearPairs, unknown: str | None) -> Iterator[Check]:
    names = [_name(entry) for entry, _ in seen]
    labels = [entry.label for entry, _ in seen]
    in_train = [entry.part == "train" for entry, _ in seen]
    groups = copies.exact_copies([one for _, one in seen])
    pairs = near.pairs()
    mirror = dict(zip(pairs, near.mirrored.tolist(), strict=True))

    def joined(group: Sequence[int], sign: str) -> str:
        return sign.join(f"{names[i]} ({labels[i]})" if labels[i] else names[i] for i in group[:4])

    torn = [g for g in groups if len({labels[i] for i in g if labels[i]}) > 1]
    yield check_of(
        "label conflicts", "warning", [joined(g, " = ") for g in torn],
        f"{counted(len(torn), 'picture stands', 'pictures stand')} there under different labels.",
        "No picture stands there under two labels.", "conflicts",
    )  # fmt: skip
    near_torn = [p for p in pairs if labels[p[0]] and labels[p[1]] and labels[p[0]] != labels[p[1]]]
    yield check_of(
        "near copies under different labels", "warning", [joined(p, " ~ ") for p in near_torn],
        f"{counted(len(near_torn), 'pair')} of nearly equal pictures{_mirrors(near_torn, mirror)} with different labels.",
        "Nearly equal pictures have the same label.", "conflicts",
    )  # fmt: skip
    across = [g for g in groups if len({in_train[i] for i in g}) == 2]
    yield check_of(
        "test images in training", "warning", [joined(g, " = ") for g in across],
        f"{counted(len(across), 'test picture is', 'test pictures are')} in training too: a free answer, and a CV that "
        "means something else than the leaderboard.",
        "No test picture is in training.", "copies",
    )  # fmt: skip
    near_across = [p for p in pairs if in_train[p[0]] != in_train[p[1]]]
    yield check_of(
        "near copies across training and test", "note", [joined(p, " ~ ") for p in near_across],
        f"{counted(len(near_across), 'pair')} of nearly equal pictures{_mirrors(near_across, mirror)} in training and test.",
        "No nearly equal pictures in training and test.", "copies",
    )  # fmt: skip
    for part, wanted in (("training", True), ("test", False)):
        inside = [[i for i in g if in_train[i] is wanted] for g in groups]
        inside = [g for g in inside if len(g) > 1]
        then = "; copies share a fold" if wanted else ""
        yield check_of(
            f"copies in {part}", "note", [joined(g, " = ") for g in inside],
            f"{counted(len(inside), 'picture is', 'pictures are')} there more than once, "
            f"{counted(sum(map(len, inside)), 'file')} together{then}.",
            f"No picture is in {part} twice.", "copies",
        )  # fmt: skip
        near_inside = [p for p in pairs if in_train[p[0]] is in_train[p[1]] is wanted]
        yield check_of(
            f"near copies in {part}", "note", [joined(p, " ~ ") for p in near_inside],
            f"{counted(len(near_inside), 'pair')} of nearly equal pictures{_mirrors(near_inside, mirror)}{then}.",
            f"No nearly equal pictures in {part}.", "copies",
        )  # fmt: skip
    alike = copies.alike_labels([*pairs, *((g[0], i) for g in groups for i in g[1:])], labels, unknown)
    yield check_of(
        "labels that look the same", "warning", [f"{one} ~ {other}: {len(found)} pairs" for one, other, found in alike],
        f"{counted(len(alike), 'pair')} of labels with two and more nearly equal pictures between them: perhaps the same "
        "individual under two names.",
        "No two labels look the same.", "alike",
    )  # fmt: skip


def _look_checks(seen: Seen) -> Iterator[Check]:
    if not seen:
        return
    widths, heights = np.array([(one.width, one.height) for _, one in seen]).T
    aspects = widths / heights
    low, middle, high = np.quantile(aspects, [0.01, 0.5, 0.99])
    yield Check(
        name="sizes", verdict="ok", count=len({(one.width, one.height) for _, one in seen}), sheet="smallest",
        sentence=f"Width {widths.min()} to {widths.max()}, median {np.median(widths):.0f}; height {heights.min()} to "
        f"{heights.max()}, median {np.median(heights):.0f}; width to height {middle:.2f}, 98 of 100 between {low:.2f} and "
        f"{high:.2f}.",
    )  # fmt: skip
    grey = [_name(entry) for entry, one in seen if one.colour < GREY]
    train = [one.colour < GREY for entry, one in seen if entry.part == "train"]
    test = [one.colour < GREY for entry, one in seen if entry.part == "test"]
    yield check_of(
        "grey images", "note", grey,
        f"{are(grey, 'image')} without colour: {_share(train)} of training, {_share(test)} of test.",
        "Every image has colour.", "greyest",
    )  # fmt: skip
    dark = sorted(((one.brightness, _name(entry)) for entry, one in seen if one.brightness < DARK))
    yield check_of(
        "dark images", "note", [name for _, name in dark],
        f"{are(dark, 'image')} nearly black.", "No image is nearly black.", "darkest",
    )  # fmt: skip
    limit = float(np.median([one.sharpness for _, one in seen])) / 10
    blurred = sorted((one.sharpness, _name(entry)) for entry, one in seen if one.sharpness < limit)
    yield check_of(
        "blurred images", "note", [name for _, name in blurred],
        f"{are(blurred, 'image')} less than a tenth as sharp as the median image.",
        "No image is much less sharp than the others.", "blurriest",
    )  # fmt: skip
    text = sorted(((-one.text_like, _name(entry)) for entry, one in seen if one.text_like > 0))
    sentence = f"{counted(len(text), 'image has', 'images have')} rows of small sharp strokes near an edge, as burnt-in text has; a guess."
    if len(text) > len(seen) / 3:
        sentence += " So many mean that grass, waves or the like look the same to it: it says nothing here."
    yield check_of(
        "text-like strokes", "note", [name for _, name in text], sentence, "No rows of text-like strokes.", "text_like"
    )


def _name(entry: Entry) -> str:
    return f"{entry.part}/{entry.image}"


def _share(flags: Sequence[bool]) -> str:
    return f"{np.mean(flags):.0%}" if flags else "none"


def _mirrors(pairs: Sequence[tuple[int, int]], mirror: dict[tuple[int, int], bool]) -> str:
    number = sum(mirror[pair] for pair in pairs)
    return f" ({number} mirrored)" if number else ""
