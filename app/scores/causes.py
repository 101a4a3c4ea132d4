"""Why a CV is fairer than the leaderboard: the usual causes, and which of them the checks of a run rule out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.contract import RunSpec

State = Literal["here", "possible", "ruled out"]  # the likeliest first
ORDER: tuple[State, ...] = ("here", "possible", "ruled out")
UNLIKE = 0.15  # shares of images answered with unknown first that differ by more
MANY_RUNS = 10


@dataclass(frozen=True)
class Cause:
    state: State
    question: str
    answer: str


@dataclass(frozen=True)
class Evidence:
    """What is known of a run. `spec` is None for a run of own code or a blend; `threshold`: what threshold.json says."""

    kind: str
    spec: RunSpec | None = None
    threshold: Mapping[str, Any] = field(default_factory=dict)
    tried: int = 1  # runs with a CV on the same folds


def causes(run: Evidence) -> list[Cause]:
    """The likeliest first. What the engine makes impossible is ruled out for its own runs, for nobody else's."""
    found = [*(_of_engine(run.spec, run) if run.spec is not None else _of_others(run)), *_of_anybody(run)]
    return sorted(found, key=lambda cause: ORDER.index(cause.state))


def _of_engine(spec: RunSpec, run: Evidence) -> list[Cause]:
    found = [
        Cause(
            "ruled out", "copies of validation images in training", "folds are made on source images, copies share one"
        ),
        Cause(
            "ruled out",
            "validation on frequent labels alone",
            "images of every label are scored, also of those left out",
        ),
        Cause("ruled out", "another metric than the leaderboard's", f"{spec.metric} is computed as it is there"),
    ]
    if spec.data.sightings_col is not None:
        known = f"the column {spec.data.sightings_col} keeps a sighting in one fold"
        found.append(Cause("ruled out", "photographs of one sighting in training and validation", known))
    else:
        unknown = (
            "near copies share a fold, but no column says which other photographs are one sighting (data.sightings_col)"
        )
        found.append(Cause("possible", "photographs of one sighting in training and validation", unknown))
    if spec.data.unknown_label is not None:
        found += [
            Cause("ruled out", "the unknown label missing in validation", "its images are always scored"),
            Cause(
                "ruled out", "a threshold chosen on the rows it is scored on", "each fold's comes from the other folds"
            ),
            _unknown_share(spec, run.threshold),
        ]
    return found


def _unknown_share(spec: RunSpec, threshold: Mapping[str, Any]) -> Cause:
    question = "another share of unknown individuals in the test images"
    if spec.expected_unknown_share is not None:
        return Cause("ruled out", question, f"the threshold counts with {spec.expected_unknown_share:.1%} of them")
    test, valid = threshold.get("unknown_first_share"), threshold.get("unknown_first_share_oof")
    if isinstance(test, float) and isinstance(valid, float) and abs(test - valid) > UNLIKE:
        said = (
            f"{spec.data.unknown_label} comes first for {test:.0%} of the test images and for {valid:.0%} in validation"
        )
        return Cause("here", question, f"{said}; say what to expect: --set expected_unknown_share=…")
    return Cause("possible", question, "nobody said what to expect there: --set expected_unknown_share=…")


def _of_others(run: Evidence) -> list[Cause]:
    if run.kind == "blend":
        return [
            Cause(
                "ruled out",
                "weights or a threshold chosen on the rows they are scored on",
                "each fold's come from the others",
            )
        ]
    questions = (
        "copies of validation images in training",
        "photographs of one sighting in training and validation",
        "the unknown label missing in validation",
        "a threshold chosen on the rows it is scored on",
        "another metric than the leaderboard's",
    )
    return [Cause("possible", question, "your own code: nobody here has checked it") for question in questions]


def _of_anybody(run: Evidence) -> list[Cause]:
    found = [
        Cause(
            "possible", "a small public part", "its score has a chance of its own, which the private one does not share"
        )
    ]
    if run.tried >= MANY_RUNS:
        best = f"{run.tried} runs were scored on these folds: the best of many is fairer than it is good"
        found.append(Cause("possible", "the CV chose itself", best))
    return found
