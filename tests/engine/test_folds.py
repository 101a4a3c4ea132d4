"""Folds: stratified, grouped, the same for the same seed, and as balanced as scikit-learn's."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.folds import humpback_labels
from engine.contract import OnehourError, spec_from_mapping
from engine.data.competition import Competition
from engine.data.folds import (
    Folds,
    assign_folds,
    counted_labels,
    fold_notes,
    folds_of,
    make_folds,
    notes_of,
    read_folds,
    reuse_folds,
    unanswerable_labels,
    write_folds,
)
from engine.data.groups import group

pytestmark = pytest.mark.unit


def imbalance(labels: list[str], folds: list[int], count: int) -> float:
    """Root mean square, over labels and folds, of the images away from an even split."""
    table = Counter(zip(labels, folds, strict=True))
    total = Counter(labels)
    return float(
        np.sqrt(np.mean([(table[label, k] - n / count) ** 2 for label, n in total.items() for k in range(count)]))
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 25)), min_size=1, max_size=80),
    folds=st.integers(2, 6),
    seed=st.integers(0, 5),
)
def test_a_group_never_crosses_folds_and_the_same_seed_gives_the_same_folds(rows, folds, seed) -> None:
    labels, groups = [label for label, _ in rows], [group for _, group in rows]
    if len(set(groups)) < folds:
        with pytest.raises(
            OnehourError, match=f"{folds} folds cannot be made of .*{len(set(groups))} (different|group)"
        ):
            assign_folds(labels, groups, folds, seed)
        return
    assigned = assign_folds(labels, groups, folds, seed)
    assert assigned == assign_folds(labels, groups, folds, seed)
    assert len(set(zip(groups, assigned, strict=True))) == len(set(groups))
    assert set(assigned) == set(range(folds))


def test_without_copies_every_label_and_every_fold_is_even_to_one_image() -> None:
    labels = humpback_labels()
    assigned = assign_folds(labels, range(len(labels)), 5, seed=3)
    # Verdicts pair runs of different versions by their folds: those of a seed stay what they were.
    assert (
        hashlib.sha256(bytes(assigned)).hexdigest()
        == "cab8638c8fe8ae654e5ecd1dfa7072379d1999fc920e4ab7f2e7af85e23d61eb"
    )
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


def test_an_id_that_its_fold_cannot_know_counts_as_unknown_and_is_noted() -> None:
    labels = ["once", "a", "a", "b", "b", "new_whale"]
    folds = make_folds([f"{i}.jpg" for i in range(6)], labels, list("uvwxyz"), 2, seed=0)
    assert unanswerable_labels(labels, folds.fold, "new_whale") == {"once"}
    assert counted_labels(folds, "new_whale") == ("new_whale", "a", "a", "b", "b", "new_whale")
    assert fold_notes(folds, "new_whale") == (
        "1 id has all images in one fold (once): 1 image counts as 'new_whale' in the CV, since the model of that fold "
        "never saw the id; the models of the other folds did.",
    )


def test_where_there_is_no_unknown_label_such_an_id_keeps_its_own_and_is_missed() -> None:
    labels = ["once", "a", "a", "b", "b"]
    folds = make_folds([f"{i}.jpg" for i in range(5)], labels, range(5), 2, seed=0)
    for unknown in (None, "new_whale"):
        assert counted_labels(folds, unknown) == tuple(labels)
        assert fold_notes(folds, unknown) == (
            "1 id has all images in one fold (once): 1 image is scored in validation though the model of that fold "
            "never saw the id.",
        )


def test_a_label_left_out_of_training_is_not_made_easy_by_counting_as_unknown() -> None:
    labels = ["once", "a", "a", "new_whale"]
    folds = make_folds([f"{i}.jpg" for i in range(4)], labels, range(4), 2, seed=0)
    assert counted_labels(folds, "new_whale", left_out={"once"}) == tuple(labels)


def test_a_group_that_makes_the_folds_uneven_is_noted() -> None:
    labels = ["a", "b"] * 10
    folds = make_folds([f"{i}.jpg" for i in range(20)], labels, [0] * 12 + list(range(1, 9)), 4, seed=0)
    assert fold_notes(folds, None) == ("The folds have 2 to 12 images: one group of 12 images cannot be parted.",)


EARLIER = [f"{i}.jpg" for i in range(6)], ["a", "a", "b", "b", "c", "c"]


def test_folds_of_an_earlier_run_are_taken_whole_so_that_their_hash_is_equal(tmp_path: Path) -> None:
    images, labels = EARLIER
    earlier = make_folds(images, labels, range(6), 2, seed=7)
    sha256 = write_folds(tmp_path / "folds.csv", earlier)
    reused = reuse_folds(tmp_path / "folds.csv", images, labels, range(6), 2)
    assert reused == earlier
    assert write_folds(tmp_path / "again.csv", reused) == sha256
    backwards = reuse_folds(tmp_path / "folds.csv", images[::-1], labels[::-1], range(6), 2)
    assert dict(zip(backwards.image, backwards.fold, strict=True)) == dict(
        zip(earlier.image, earlier.fold, strict=True)
    )


def competition(labels: list[str]) -> Competition:
    """What folds look at; nothing of it is on disk."""
    here = Path(".")
    images = tuple(f"{i}.jpg" for i in range(len(labels)))
    known = tuple(sorted(set(labels) - {"new_whale"}))
    return Competition(
        here, here, here, here, here, images, tuple(labels), known, "new_whale", (), (), ("Image", "Id"), ()
    )


def test_another_seed_and_other_settings_give_the_same_folds_and_only_a_fold_seed_draws_new_ones(
    tmp_path: Path,
) -> None:
    data = competition(["a", "a", "b", "b", "c", "new_whale"] * 3)
    groups = group(data.images, data.labels, data.images)

    def folds(**keys: object) -> Folds:
        return folds_of(spec_from_mapping({"data": {"dir": "."}, "folds": 3, **keys}, "test"), data, groups)

    first = folds()
    assert folds(seed=1, balance_to=9, backbone="vgg16", grey="all", minimum_images=4) == first
    others = folds(fold_seed=1)
    assert others.fold != first.fold
    write_folds(tmp_path / "folds.csv", others)
    assert folds(seed=1, folds_from=str(tmp_path / "folds.csv")) == others
    with pytest.raises(OnehourError, match="leave one out"):
        folds(fold_seed=1, folds_from=str(tmp_path / "folds.csv"))


def test_one_label_alone_is_refused_unless_it_is_told_from_the_unknown() -> None:
    data = competition(["a", "a", "a", "b", "b", "c", "new_whale"])
    groups = group(data.images, data.labels, data.images)

    def folds(**keys: object) -> Folds:
        return folds_of(spec_from_mapping({"data": {"dir": "."}, "folds": 2, **keys}, "test"), data, groups)

    with pytest.raises(OnehourError, match=r"'a' is the only label to train on.*Lower minimum_images"):
        folds(minimum_images=3)
    with pytest.raises(OnehourError, match="minimum_images = 4 leaves no label to train on"):
        folds(minimum_images=4)
    assert folds(minimum_images=3, unknown_in_training="class") == folds(minimum_images=2)


def test_labels_left_out_of_training_and_folds_taken_from_a_run_are_noted() -> None:
    data = competition(["a", "a", "a", "b", "b", "c", "new_whale"])
    spec = spec_from_mapping(
        {"data": {"dir": "."}, "folds": 2, "minimum_images": 3, "folds_from": "runs/w_001-r01/folds.csv"}, "test"
    )
    folds = make_folds(data.images, data.labels, range(7), 2, seed=0)
    assert notes_of(spec, folds) == (
        "The folds are those of runs/w_001-r01/folds.csv.",
        "2 ids have fewer than 3 images (b, c) and are left out of training: 3 images are scored in validation and "
        "missed, as on the leaderboard.",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, la, g: (i[:5], la[:5], g[:5], 2), ("the images are not those of this run: 5.jpg", "same data")),
        (lambda i, la, g: ([*i[:5], "x.jpg"], la, g, 2), ("not those of this run: 5.jpg, x.jpg",)),
        (lambda i, la, g: (i, ["b", *la[1:]], g, 2), ("labels changed", "0.jpg was 'a' and is 'b'")),
        (lambda i, la, g: (i, la, g, 3), ("holds the folds 0, 1, and the spec asks for 3 folds", "Set folds to 2")),
        (lambda i, la, g: (i, la, [0, 0, *g[2:]], 2), ("belong together", "0.jpg and 1.jpg", "Leave folds_from out")),
    ],
)
def test_folds_of_other_images_or_that_part_a_group_are_refused(tmp_path: Path, change, words) -> None:
    images, labels = EARLIER
    write_folds(tmp_path / "folds.csv", Folds(tuple(images), tuple(labels), (0, 1) * 3, tuple(range(6))))
    with pytest.raises(OnehourError) as caught:
        reuse_folds(tmp_path / "folds.csv", *change(images, labels, list(range(6))))
    assert all(word in str(caught.value) for word in ("folds.csv", *words)), str(caught.value)


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
