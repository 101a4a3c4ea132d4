"""What Slurm's commands print and complain of, as it was seen of Slurm 22.05."""

from __future__ import annotations

import pytest

from app.jobs.slurm_commands import _elapsed_s, words

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (
            "sbatch: error: invalid partition specified: nope\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
            "invalid partition specified: nope; Invalid partition name specified",
        ),
        (
            "allocation failure: Requested node configuration is not available\n",
            "Requested node configuration is not available",
        ),
        (
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
            "Unable to contact slurm controller (connect failure)",
        ),
        (
            "sbatch: unrecognized option '--nonsense'\nTry \"sbatch --help\" for more information\n",
            "unrecognized option '--nonsense'",
        ),
        (
            "scancel: error: Kill job error on job id 9: Invalid job id specified\n" * 2,
            "Kill job error on job id 9: Invalid job id specified",
        ),
        ("", ""),
    ],
)
def test_a_complaint_is_told_without_who_complains(stderr: str, said: str) -> None:
    assert words(stderr) == said


def test_times_are_read_as_squeue_writes_them() -> None:
    texts = ("0:09", "3:04", "02:03:04", "1-02:03:04", "INVALID")
    assert [_elapsed_s(text) for text in texts] == [9, 184, 7384, 93784, 0]
