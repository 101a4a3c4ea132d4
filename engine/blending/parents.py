"""The finished runs that a blend is made of: read, held against each other, and which of them are of one family."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.contract import BlendSpec, OnehourError, RunResult, RunSpec
from engine.data.csv_table import first_few
from engine.inference.answers import Predicted, Ranked
from engine.inference.metric import METRICS
from engine.inference.record import OnTest, Oof, read_oof, read_test
from engine.run_folder import RunFolder


@dataclass(frozen=True)
class Parent:
    """A finished run. Scores lie in 0…1. `thresholds` (N,): that of each training image's fold."""

    folder: RunFolder
    spec: RunSpec
    result: RunResult
    oof: Oof
    test: OnTest

    @property
    def thresholds(self) -> np.ndarray:
        of_fold = {one.fold: one.threshold for one in self.result.fold_scores}
        return np.array([np.nan if of_fold[fold] is None else of_fold[fold] for fold in self.oof.fold.tolist()])

    @property
    def is_by_rank(self) -> bool:
        """Whether it is a blend by rank: the unknown label has its place among the others already."""
        best = self.oof.best
        return isinstance(best, Ranked) and bool((best.labels == self.spec.data.unknown_label).any())

    @property
    def submission_header(self) -> list[str]:
        with self.folder.submission_csv.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file))

    def family(self, kind: str) -> str:
        """The name of its family (see BlendSpec.families); a blend is one of its own."""
        if self.result.parents:
            return self.result.run_id
        experiment = self.result.run_id.rpartition("-r")[0] or self.result.run_id
        return {"backbone": self.spec.backbone, "head": self.spec.head, "experiment": experiment, "none": ""}[kind]


def ranked(best: Predicted) -> Ranked:
    """The best labels of a run that scores labels."""
    assert isinstance(best, Ranked)
    return best


def read_parent(folder: RunFolder) -> Parent:
    """Raises OnehourError for a run that is not there, not finished, or whose predictions cannot be read."""
    if not folder.exists():
        raise OnehourError("there is no run in this folder", str(folder.path), "Name the folder of a finished run.")
    result = folder.read_result()
    if result is None:
        raise OnehourError("this run is not finished", str(folder.path), "Blend runs that have a result.json.")
    oof = read_oof(folder.oof_npz)
    test = read_test(folder.test_npz)
    if oof.against_unknown:
        oof = Oof(oof.image, oof.label, oof.scored_as, oof.fold, _as_shares(ranked(oof.best)))
        test = OnTest(test.image, _as_shares(ranked(test.best)), [_as_shares(one) for one in test.by_fold])
    return Parent(folder, folder.read_spec(), result, oof, test)


def refuse_unlike(parents: Sequence[Parent], spec: BlendSpec) -> None:
    """Raise OnehourError unless there are several runs on the same images, folds and truths, with the same metric."""
    first = parents[0]
    if len(parents) < 2:
        raise OnehourError("a blend needs two runs or more", str(first.folder.path))
    names = [parent.result.run_id for parent in parents]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OnehourError(f"the run {twice[0]} is named twice", fix="Name each once; its weight is fitted.")
    if spec.by == "rank" and METRICS[first.result.metric].answer != "labels":
        raise OnehourError(f"{first.result.metric} is not about ranks", "by: rank", "Use by: score.")
    ranks = next((one for one in parents if one.is_by_rank), None)
    if ranks is not None:
        raise OnehourError("a blend by rank cannot be blended again", str(ranks.folder.path), "Name its own runs.")
    for other in parents[1:]:
        differs = [what for what, same in _compared(first, other) if not same]
        if differs:
            raise OnehourError(
                f"it differs from {first.result.run_id} in {first_few(differs)}",
                str(other.folder.path),
                "Only runs with the same metric on the same data and folds can be blended.",
            )


def _as_shares(ranked: Ranked) -> Ranked:
    """Logarithms of how many times likelier than unknown a label is, as its share p / (p + p of unknown)."""
    return Ranked(ranked.labels, np.where(ranked.labels == "", -np.inf, 1 / (1 + np.exp(-ranked.scores))))


def _compared(one: Parent, other: Parent) -> list[tuple[str, bool]]:
    """What two runs must share, and whether they do."""
    return [
        ("metric", one.result.metric == other.result.metric),
        ("data", one.result.data_sha256 == other.result.data_sha256),
        ("folds.csv", one.result.folds_sha256 == other.result.folds_sha256),
        ("the images that count as unknown", np.array_equal(one.oof.scored_as, other.oof.scored_as)),
        ("test images", np.array_equal(one.test.image, other.test.image)),
        ("the test images that can be decoded", np.array_equal(one.test.best.seen, other.test.best.seen)),
        ("unknown label", one.spec.data.unknown_label == other.spec.data.unknown_label),
    ]
