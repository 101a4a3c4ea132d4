"""The note of a day in a line."""

from __future__ import annotations

import pytest

from app.reports.day_notes import short

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("## Tried\n\n384 px.\n\n## Learnt\n\n- Larger images **help**\n- Blur does not\n", "Larger images help"),
        ("## Tried\n\n* 384 px, [as there](https://x.org)\n\n## Learnt\n\n## Next\n\n- more\n", "384 px, as there"),
        ("## Tried\n\n## Learnt\n\n## Next\n", ""),
        ("", ""),
    ],
)
def test_what_was_learnt_goes_before_what_was_written_first(body: str, line: str) -> None:
    assert short(body) == line
