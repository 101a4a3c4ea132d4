"""Folds: stratified, grouped, the same for the same seed, and as balanced as scikit-learn's."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.contract import OnehourError
from engine.data.folds import assign_folds, fold_notes, make_folds, read_folds, unanswerable_labels, write_folds

pytestmark = pytest.mark.unit


def imbalance(labels: list[str], folds: list[int], count: int) -> float:
    """Root mean square, over labels and folds, of the images away from an even split."""
    table = Counter(zip(labels, folds, strict=True))
    total = Counter(labels)
    return float(
        np.sqrt(np.mean([(table[label, k] - n / count) ** 2 for label, n in total.items() for k in range(count)]))
    )


def humpback_labels() -> list[str]:
    """The label histogram of the humpback competition: 25,361 images, 5004 ids and new_whale."""
    sizes = [1] * 2073 + [2] * 1285 + [3] * 568 + [4] * 273 + [5] * 172 + [73, 65, 62, 61]
    rest, ids = 15_697 - sum(sizes), 5004 - len(sizes)
    sizes += [rest // ids + (i < rest % ids) for i in range(ids)]
    labels = [f"w_{i}" for i, size in enumerate(sizes) for _ in range(size)] + ["new_whale"] * 9664
    random.Random(0).shuffle(labels)
    return labels


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 25)), min_size=1, max_size=80),
    folds=st.integers(2, 6),
    seed=st.integers(0, 5),
)
def test_a_group_never_crosses_folds_and_the_same_seed_gives_the_same_folds(rows, folds, seed) -> None:
    labels, groups = [label for label, _ in rows], [group for _, group in rows]
    if len(set(groups)) < folds:
        with pytest.raises(OnehourError, match=f"{folds} folds cannot be made of {len(set(groups))} different images"):
            assign_folds(labels, groups, folds, seed)
        return
    assigned = assign_folds(labels, groups, folds, seed)
    assert assigned == assign_folds(labels, groups, folds, seed)
    assert len(set(zip(groups, assigned, strict=True))) == len(set(groups))
    assert set(assigned) == set(range(folds)) or max(Counter(groups).values()) > 1


def test_without_copies_every_label_and_every_fold_is_even_to_one_image() -> None:
    labels = humpback_labels()
    assigned = assign_folds(labels, range(len(labels)), 5, seed=3)
    table, total = Counter(zip(labels, assigned, strict=True)), Counter(labels)
    for label, n in total.items():
        shares = [table[label, fold] for fold in range(5)]
        assert max(shares) - min(shares) <= 1, (label, n)
    sizes = Counter(assigned).values()
    assert max(sizes) - min(sizes) <= 5
    assert {table["new_whale", fold] for fold in range(5)} == {1932, 1933}


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_balance_is_at_least_that_of_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    rng = random.Random(1)
    labels = [f"w_{min(int(rng.expovariate(0.12)), 40)}" for _ in range(800)] + ["new_whale"] * 200
    groups = list(range(1000))
    for copy in range(0, 240, 3):  # copies, some of them under another label
        groups[copy + 1] = copy
    ours = assign_folds(labels, groups, 5, seed=0)
    oracle = [0] * len(labels)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for fold, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
        for row in rows:
            oracle[row] = fold
    assert imbalance(labels, list(ours), 5) <= imbalance(labels, oracle, 5) * 1.02
    assert max(Counter(ours).values()) - min(Counter(ours).values()) <= 3


def test_another_seed_gives_another_split() -> None:
    labels = ["a", "b"] * 20
    assert assign_folds(labels, range(40), 4, seed=0) != assign_folds(labels, range(40), 4, seed=1)


def test_one_fold_is_refused() -> None:
    with pytest.raises(OnehourError, match="nothing to train on"):
        assign_folds(["a", "b"], [0, 1], 1, seed=0)


def test_images_of_equal_content_share_a_fold_even_with_different_labels() -> None:
    images = [f"{i}.jpg" for i in range(8)]
    labels = ["a", "a", "a", "b", "b", "b", "new_whale", "new_whale"]
    content = ["p", "p", "q", "p", "r", "s", "t", "u"]
    folds = make_folds(images, labels, content, 2, seed=0)
    assert folds.group == (0, 0, 1, 0, 2, 3, 4, 5)
    assert folds.fold[0] == folds.fold[1] == folds.fold[3]
    copies, torn = fold_notes(folds, "new_whale")[-2:]
    assert copies == "1 picture is there more than once (0.jpg = 1.jpg = 3.jpg); copies share a fold."
    assert torn == "1 picture carries different labels: 0.jpg (a) = 1.jpg (a) = 3.jpg (b)."


def test_ids_that_training_never_saw_are_counted_as_unanswerable() -> None:
    labels = ["once", "a", "a", "b", "b", "new_whale"]
    folds = make_folds([f"{i}.jpg" for i in range(6)], labels, list("uvwxyz"), 2, seed=0)
    assert unanswerable_labels(labels, folds.fold, "new_whale") == {"once"}
    assert fold_notes(folds, "new_whale") == (
        "1 id has all images in one fold (once): 1 image is scored in validation though the model of that fold "
        "never saw the id.",
    )


def test_folds_are_read_as_they_were_written(tmp_path: Path) -> None:
    folds = make_folds(["a,b.jpg", "c.jpg", "ü.jpg"], ["x", "x", "y"], ["1", "2", "3"], 2, seed=0)
    path = tmp_path / "folds.csv"
    sha256 = write_folds(path, folds)
    assert read_folds(path) == folds
    assert path.read_text(encoding="utf-8").splitlines()[0] == "image,label,fold,group"
    assert write_folds(tmp_path / "again.csv", folds) == sha256


def test_a_fold_that_is_no_number_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("image,label,fold,group\na.jpg,x,0,0\nb.jpg,x,one,1\n")
    with pytest.raises(OnehourError, match=r"folds\.csv, line 3: the fold 'one' is no number"):
        read_folds(path)
