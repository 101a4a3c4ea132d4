"""Points of interest: the same marks are found again, whatever else the picture shows."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.data.cache_room import cache_size
from engine.inference import local_features
from engine.inference.local_features import Landmarks, Matcher, find_points, with_evidence
from engine.training.stop import Stop, Stopped

never = Stop(None, 0.0).soon


def blots(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A picture full of marks that depend on `seed`."""
    random = np.random.default_rng(seed)
    picture = np.full((*size, 3), 128, np.uint8)
    for _ in range(120):
        centre = (int(random.integers(size[1])), int(random.integers(size[0])))
        cv2.circle(picture, centre, int(random.integers(2, 9)), random.integers(0, 255, 3).tolist(), -1)
    return picture


def animal(mark: int, place: int, turn: float) -> np.ndarray:
    """Marks in the middle, turned by `turn` degrees, before a background of other marks."""
    picture, coat = blots(place, (200, 300)), blots(mark, (90, 140))
    turned = cv2.getRotationMatrix2D((70, 45), turn, 1.0)
    picture[55:145, 80:220] = cv2.warpAffine(coat, turned, (140, 90), borderMode=cv2.BORDER_REFLECT)
    return picture


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEHOUR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def landmarks(tmp_path: Path) -> Landmarks:
    """Animal 1 at place 11, animal 2 at place 12; animal 1 at place 12, animal 2 at place 11; and a picture without marks."""
    pictures = [
        animal(1, 11, 0),
        animal(2, 12, 0),
        animal(1, 12, 8),
        animal(2, 11, -8),
        np.zeros((200, 300, 3), np.uint8),
    ]
    paths = [tmp_path / f"{i}.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        assert cv2.imwrite(str(path), picture)
    return Landmarks(paths, [None] * len(paths), 0.0)


KNOWN, TARGETS, ASKED = np.array([0, 1]), np.array([0, 1]), np.array([2, 3, 4])


def test_the_marks_decide_and_not_the_place(landmarks: Landmarks) -> None:
    found = Matcher(landmarks, KNOWN, TARGETS, 3).evidence(ASKED, never)
    assert found.shape == (3, 3)
    assert found[:2].argmax(axis=1).tolist() == [0, 1]
    assert found[2].tolist() == [0, 0, 0]

    even = np.full((3, 3), 1 / 3, np.float32)
    blended = with_evidence(even, found)
    assert blended[:2].argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(blended.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(blended[2], even[2], atol=1e-6)


def test_the_same_marks_count_as_much_among_thousands_of_classes(landmarks: Landmarks) -> None:
    some, thousands = (
        Matcher(landmarks, KNOWN, TARGETS, classes).evidence(ASKED[:2], never)
        for classes in (local_features.MANY, 5000)
    )
    assert thousands.argmax(axis=1).tolist() == some.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(thousands.max(axis=1), some.max(axis=1), rtol=0.02)


def test_a_chance_match_among_thousands_of_classes_does_not_overrule_a_sure_net(
    landmarks: Landmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = np.zeros(5000)
    votes[:800] = 1.0  # for many classes one
    votes[0] = 4.0  # and by chance some more for one
    known = np.flatnonzero(votes)
    places = np.repeat(known, votes[known].astype(int))

    class Index:
        known = local_features.Points(np.zeros((5000, 128), np.float32), np.arange(5000))

        def __init__(self, _: local_features.Points) -> None: ...

        def nearest(self, *_: object) -> tuple[np.ndarray, np.ndarray]:
            found = np.column_stack([places, places, places, places])
            return found, np.tile([0.5, 0.5, 0.5, 1.0], (len(places), 1)).astype(np.float32)

    monkeypatch.setattr(local_features, "_Index", Index)
    monkeypatch.setattr(
        landmarks, "points", lambda _: local_features.Points(np.zeros((len(places), 128), np.float32), places * 0)
    )
    found = Matcher(landmarks, np.arange(5), np.arange(5000), 5000).evidence(np.array([0]), never)
    assert found.argmax() == 0
    sure = np.full((1, 5000), 0.1 / 4999, np.float32)
    sure[0, 4000] = 0.9
    assert with_evidence(sure, found).argmax() == 4000


def test_the_net_decides_where_the_points_are_silent_and_is_less_sure_than_alone() -> None:
    alone = np.array([[0.1, 0.6, 0.3]], np.float32)
    blended = with_evidence(alone, np.zeros((1, 3), np.float32))
    assert blended.argsort().tolist() == alone.argsort().tolist()
    np.testing.assert_allclose(blended.sum(), 1, rtol=1e-6)
    assert 1 / 3 < blended.max() < 0.6


def test_what_was_matched_once_is_not_matched_again(landmarks: Landmarks, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Matcher(landmarks, KNOWN, TARGETS, 3).evidence(ASKED, never)
    looked: list[int] = []

    def counted(paths, boxes, margin, check):  # type: ignore[no-untyped-def]
        looked.append(len(paths))
        return find_points(paths, boxes, margin, check)

    monkeypatch.setattr(local_features, "find_points", counted)
    again = Landmarks(landmarks.paths, landmarks.boxes, 0.0)
    assert np.array_equal(Matcher(again, KNOWN, TARGETS, 3).evidence(ASKED, never), found)
    assert looked == []
    other = Matcher(again, KNOWN, TARGETS[::-1].copy(), 3).evidence(ASKED, never)  # the animals' labels exchanged
    assert np.array_equal(other[:, [1, 0, 2]], found)
    boxes = [(80.0, 55.0, 220.0, 145.0)] * len(landmarks.paths)
    cut = Matcher(Landmarks(landmarks.paths, boxes, 0.0), KNOWN, TARGETS, 3).evidence(ASKED, never)
    assert not np.array_equal(cut, found)
    assert looked == [5, 5]
    assert cache_size()[0] == 3


def test_the_trees_find_most_of_the_nearest_points_and_the_same_each_time() -> None:
    random = np.random.default_rng(0)
    known = random.random((6000, 128), np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    asked = known[:600] + 0.02 * random.standard_normal((600, 128), np.float32)
    points = local_features.Points(known, np.zeros(len(known), int))
    places, distances = local_features._Index(points).nearest(asked, never)
    again = local_features._Index(points).nearest(asked, never)
    assert np.array_equal(places, again[0])
    assert np.array_equal(distances, again[1])
    assert (places[:, 0] == np.arange(600)).mean() > 0.95
    exact = np.linalg.norm(asked - known[places[:, 0]], axis=1)
    np.testing.assert_allclose(distances[:, 0], exact, atol=1e-4)
    assert (np.diff(distances, axis=1) >= 0).all()


def test_points_are_those_of_the_box_that_the_net_sees(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    picture = animal(1, 11, 0)
    assert cv2.imwrite(str(whole), picture)
    assert cv2.imwrite(str(cut), picture[32:168, 45:255])  # the box and a quarter of its sides around it
    boxed = find_points([whole, cut, whole], [(80, 55, 220, 145), None, None], 0.25, never)
    found = [boxed.of(np.array([row])).descriptors for row in range(3)]
    assert len(found[0]) > 10
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_looking_for_points_stops_when_the_time_is_up(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), animal(1, 11, 0))
    with pytest.raises(Stopped, match="time limit"):
        find_points([tmp_path / "a.png"], [None], 0.0, Stop(0.0, 0.0).soon)
