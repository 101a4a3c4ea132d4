"""The transforms of a spec: refused by name and argument, and drawn without hidden state."""

import numpy as np
import pytest

from engine.contract import OnehourError, Transform
from engine.data.augment import compose, draw_seed

SIZE = (32, 48)


def refused(name: str, **args: object) -> str:
    with pytest.raises(OnehourError) as error:
        compose([Transform(name="NoOp"), Transform(name=name, args=args)], SIZE)
    return str(error.value)


def test_an_unknown_transform_is_refused_with_the_nearest_name() -> None:
    assert "augment.1" in refused("HorizontalFlp")
    assert "'HorizontalFlip'" in refused("HorizontalFlp")


@pytest.mark.parametrize(
    ("name", "args", "right"),
    [
        ("Affine", {"mode": 1}, "border_mode"),
        ("CoarseDropout", {"max_holes": 3}, "num_holes_range"),
        ("GaussNoise", {"var_limit": [1, 2]}, "std_range"),
    ],
)
def test_an_argument_that_albumentations_would_drop_is_refused(name: str, args: dict, right: str) -> None:
    sentence = refused(name, **args)
    assert f"unknown argument {next(iter(args))!r}" in sentence
    assert right in sentence


def test_a_value_that_albumentations_refuses_names_the_argument() -> None:
    assert "rotate" in refused("Affine", rotate="a lot")


def test_transforms_that_change_the_size_are_refused() -> None:
    assert "(32, 48, 3)" in refused("Resize", height=8, width=8)


def test_lists_of_yaml_are_taken_as_tuples_and_every_draw_repeats_by_its_seed() -> None:
    transform = compose([Transform(name="Affine", args={"rotate": [-20, 20], "p": 1})], SIZE)
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)

    def draw(*parts: int) -> np.ndarray:
        transform.set_random_seed(draw_seed(*parts))
        return transform(image=image)["image"]

    first, other_epoch, again = draw(0, 1, 5), draw(0, 2, 5), draw(0, 1, 5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other_epoch)


def test_no_transforms_are_no_work() -> None:
    assert compose([], SIZE) is None
