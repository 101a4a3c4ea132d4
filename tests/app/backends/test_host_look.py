"""What is said of a machine that was looked at."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs.backends.host_look import problems
from app.jobs.backends.interface import Probe

pytestmark = pytest.mark.unit

GOOD: dict[str, Any] = {
    "python": "3.11.2",
    "versions": {"torch": "2.14.1"},
    "gpus": ("0: NVIDIA H100, 81559 MiB", "1: NVIDIA H100, 81559 MiB"),
    "free_bytes": 80_000_000_000,
    "clock_ahead_s": 0.4,
}


def said(slots: tuple[str, ...] = ("box/cuda:0", "box/cuda:1"), **found: Any) -> tuple[str, ...]:
    return problems("box", "/x/python", Probe(**{**GOOD, **found}), slots)


def test_a_machine_that_has_everything_has_no_problem() -> None:
    assert said() == ()
    assert said(("box/cpu:0",), gpus=()) == ()


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"python": ""}, "There is no Python for the engine at /x/python. Set it up with: "),
        ({"python": "3.9.18"}, "/x/python is Python 3.9.18; the engine needs 3.11 or newer."),
        ({"versions": {"torch": "", "timm": "1", "fastai": ""}}, "Not installed there: torch, fastai."),
        ({"gpus": ("0: NVIDIA H100, 81559 MiB",)}, "The slot cuda:1 has no GPU: it has 0: NVIDIA H100"),
        ({"free_bytes": 1_200_000_000}, "Only 1.2 GB are free there."),
        ({"clock_ahead_s": 3600.0}, "Its clock is 3600 s ahead of this computer's"),
        ({"clock_ahead_s": -90.0}, "Its clock is 90 s behind this computer's"),
    ],
)
def test_what_is_missing_is_one_sentence(found: dict[str, Any], sentence: str) -> None:
    (only,) = said(**found)
    assert only.startswith(sentence)


def test_a_machine_without_any_gpu_is_told_for_each_slot() -> None:
    first, second = said(gpus=())
    assert first.startswith("The slot cuda:0 has no GPU: nvidia-smi finds no GPU there.")
    assert second.startswith("The slot cuda:1 has no GPU")
