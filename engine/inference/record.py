"""What a run and a blend leave of their predictions: oof.npz and test.npz, written and read back."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract import FoldScore, OnehourError
from engine.inference.answers import Numbers, Predicted, Ranked
from engine.run_folder import atomic_file

KEPT = 10  # labels a row in oof.npz and test.npz; all of them where probabilities or numbers are asked


@dataclass(frozen=True)
class Oof:
    """The training images (N,) with their labels, the label that counts as right in the CV, their folds, and predictions.

    `against_unknown`: the scores are logarithms of how many times likelier than unknown a label is, else 0…1.
    """

    image: np.ndarray
    label: np.ndarray
    scored_as: np.ndarray
    fold: np.ndarray
    best: Predicted
    against_unknown: bool = False


@dataclass(frozen=True)
class OnTest:
    """The test images (M,), their best labels or numbers, and labels by the net of each fold (none where no labels are asked).

    An image that cannot be decoded has neither label nor number.
    """

    image: np.ndarray
    best: Predicted
    by_fold: Sequence[Ranked]


def save_oof(path: Path, oof: Oof) -> None:
    _save(path, image=oof.image, label=oof.label, scored_as=oof.scored_as, fold=oof.fold,
          against_unknown=np.array(oof.against_unknown), **_arrays(oof.best))  # fmt: skip


def save_test(path: Path, test: OnTest) -> None:
    arrays: dict[str, np.ndarray] = {}
    for fold, ranked in enumerate(test.by_fold):
        arrays |= {f"fold{fold}_labels": ranked.labels, f"fold{fold}_scores": ranked.scores}
    _save(path, image=test.image, **_arrays(test.best), **arrays)


def read_oof(path: Path) -> Oof:
    """Raises OnehourError for a file that is absent or was not written by `save_oof`."""
    found = _read(path, ("image", "label", "scored_as", "fold", "against_unknown"))
    return Oof(
        found["image"], found["label"], found["scored_as"], found["fold"], _predicted(found, path),
        bool(found["against_unknown"]),
    )  # fmt: skip


def read_test(path: Path) -> OnTest:
    """Raises OnehourError as `read_oof` does."""
    found = _read(path, ("image",))
    folds = range(sum(name.endswith("_labels") and name.startswith("fold") for name in found))
    by_fold = [Ranked(found[f"fold{fold}_labels"], found[f"fold{fold}_scores"]) for fold in folds]
    return OnTest(found["image"], _predicted(found, path), by_fold)


def fold_scores(
    scores: Sequence[float], fold_of: np.ndarray, thresholds: Mapping[int, float], train_s: Sequence[float]
) -> tuple[FoldScore, ...]:
    """One for each fold 0…F-1, whose `scores` and seconds of training are given."""
    return tuple(
        FoldScore(
            fold=fold,
            score=score,
            images=int((fold_of == fold).sum()),
            threshold=thresholds.get(fold),
            train_s=train_s[fold],
        )
        for fold, score in enumerate(scores)
    )


def _arrays(best: Predicted) -> dict[str, np.ndarray]:
    if isinstance(best, Numbers):
        return {"numbers": best.values}
    return {"top_labels": best.labels, "top_scores": best.scores}


def _predicted(found: Mapping[str, np.ndarray], path: Path) -> Predicted:
    if "numbers" in found:
        return Numbers(found["numbers"])
    _refuse_missing(found, ("top_labels", "top_scores"), path)
    return Ranked(found["top_labels"], found["top_scores"])


def _save(path: Path, **arrays: Any) -> None:
    with atomic_file(path) as file:
        np.savez_compressed(file, **arrays)


def _read(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """All arrays of the file, `names` among them."""
    try:
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise OnehourError("there is no such file", str(path), "Is the run finished?") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise OnehourError(f"the predictions cannot be read ({error})", str(path)) from None
    _refuse_missing(found, names, path)
    return found


def _refuse_missing(found: Mapping[str, np.ndarray], names: Sequence[str], path: Path) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        raise OnehourError(f"it holds no {missing[0]!r}", str(path), "Train the run again with this version.")
