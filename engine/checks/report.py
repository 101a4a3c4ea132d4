"""A whole check: every image looked at, what was found in sentences, the worst first, and sheets to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.check_folder import Check, CheckFolder, Checks, Verdict
from engine.checks import copies, sheets
from engine.checks.facts import look_at_all
from engine.checks.findings import checks_of, folder_checks, unreadable
from engine.checks.label_findings import OF_LABELS, histogram
from engine.checks.listing import list_folder
from engine.checks.survey import Survey
from engine.contract import DataSpec
from engine.data.measured import measured
from engine.run_folder import write_json

_ORDER: tuple[Verdict, ...] = ("error", "warning", "note", "ok")


def check(data: DataSpec, folder: CheckFolder) -> Checks:
    """Look at everything in the competition's folder and write facts, sheets and checks.json into `folder`.

    Raises OnehourError only when there is nothing to look at or `folder` cannot be written.
    """
    listing = list_folder(data)
    seen = look_at_all(listing.entries, folder)
    numbers = measured([label for label in listing.labels if label])
    test = len(seen) - len(listing.labels)
    readable = [(entry, one) for entry, one in seen if not one.unreadable]
    near = copies.near_pairs([one for _, one in readable])
    found = [
        *folder_checks(listing, data),
        unreadable([(entry, one.unreadable) for entry, one in seen if one.unreadable], len(listing.labels), test),
        *checks_of(readable, near, listing.labels, data.unknown_label, numbers),
    ]
    if not any(listing.labels):  # nothing can be said of labels that could not be read
        found = [one for one in found if one.name not in OF_LABELS]
    sheets.draw(readable, near, data.unknown_label, folder, numbers)
    checks = _gathered(str(data.dir), listing.labels, test, data.unknown_label, numbers, found)
    write_json(folder.checks_json, checks.model_dump(mode="json"))
    return checks


def checks_of_run(survey: Survey, notes: Sequence[str], numbers: bool = False) -> Checks:
    """What a run's checks.json says: the checks of the images it uses, and its notes. `numbers`: it predicts such."""
    competition = survey.competition
    broken_train = sum(entry.part == "train" for entry, _ in survey.quarantined)
    found = [
        unreadable(survey.quarantined, len(competition.images) + broken_train, len(survey.test)),
        *checks_of(survey.seen, survey.near, competition.labels, competition.unknown_label, numbers),
    ]
    unknown, test = competition.unknown_label, len(survey.test)
    checks = _gathered(str(competition.root), competition.labels, test, unknown, numbers, found)
    return checks.model_copy(update={"notes": tuple(notes)})


def _gathered(
    data_dir: str, labels: Sequence[str], test_images: int, unknown: str | None, numbers: bool, found: Sequence[Check]
) -> Checks:
    known = Counter(label for label in labels if label and label != unknown and not numbers)
    return Checks(
        data_dir=data_dir,
        train_images=len(labels),
        test_images=test_images,
        labels=len(known),
        unknown_images=sum(label == unknown for label in labels),
        images_per_label=dict(sorted(Counter(known.values()).items())),
        numbers=histogram(labels) if numbers else (),
        checks=tuple(sorted(found, key=lambda one: _ORDER.index(one.verdict))),
    )
