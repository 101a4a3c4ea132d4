"""What --set lays over a spec, down into a stage, and the sentence for each way in which it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.contract import OnehourError, RunSpec, parse_overrides, preset_path, read_spec

pytestmark = pytest.mark.unit


def asked(*pairs: str) -> RunSpec:
    return read_spec(preset_path("identify"), parse_overrides(["data.dir=d", *pairs]))


def test_a_key_of_one_stage_is_set_and_the_rest_of_it_stays() -> None:
    as_it_is, changed = read_spec(preset_path("identify"), {"data.dir": "d"}), asked("stages.1.lr=0.0123")
    assert changed.stages[1] == as_it_is.stages[1].model_copy(update={"lr": 0.0123})
    assert changed.stages[0] == as_it_is.stages[0]


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("stages.9.lr=0.1", r"^--set: '9' is no place in a list of \d entries, so 'stages\.9\.lr' cannot be set\. Use a number below \d\."),
        ("stages.first.lr=0.1", "'first' is no place in a list"),
        ("backbone.x=1", "'backbone' holds no keys, so 'backbone.x' cannot be set"),
        ("tracking.tags.0=a", "there is no list 'tags' here, so 'tracking.tags.0' cannot be set"),
        ("stages.0.lrr=0.1", "unknown key 'stages.0.lrr'. Did you mean 'lr'?"),
        ("image_size=3", r"image_size = 3 is not possible: it should be a list of values, such as \[1, 2\]"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_is_named(pair: str, sentence: str) -> None:
    with pytest.raises(OnehourError, match=sentence):
        asked(pair)


def test_a_sentence_that_asks_ends_with_its_question_mark() -> None:
    assert str(OnehourError("did you mean this?", fix="Say so.")) == "did you mean this? Say so."
    assert str(OnehourError("there is no such file.", where=str(Path("a.csv")))) == "a.csv: there is no such file."
