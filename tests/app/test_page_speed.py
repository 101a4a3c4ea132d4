"""What keeps the pages quick however long the record is: as many statements and elements as for a short one, nothing heavy loaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from streamlit.testing.v1 import AppTest

from app.journal.home import CHECKOUT, Home
from app.journal.store import Journal, open_journal
from app.views import desk
from tests.app.test_views import SHOW, ran
from tests.e2e.year import Size, write_year

PAGES = ("today", "journal", "week", "scores", "references", "runs", "night")
DAILY_PAGES = ("today", "journal", "week")
# As full a day as in a year with 10,000 runs; the second is seven times as long. Both have lists longer than a stretch.
TWO_WEEKS = Size(days=15, runs=378, todos=192, references=120)
FOURTEEN_WEEKS = Size(days=99, runs=2_646, todos=1_344, references=840)


def opened(home: Path, size: Size) -> Journal:
    (home / "data").mkdir()
    write_year(Home(home), home / "data", size)
    return open_journal(Home(home))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    journal = opened(tmp_path_factory.mktemp("short"), TWO_WEEKS)
    yield journal
    journal.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    journal = opened(tmp_path_factory.mktemp("long"), FOURTEEN_WEEKS)
    yield journal
    journal.close()


def drawn(journal: Journal, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """The statements that a rerun of the page asks of the journal, and how many elements it draws."""
    monkeypatch.setattr(desk, "_journal_of", lambda _home: journal)
    page = ran(AppTest.from_string(f"from app.views import {name} as view\n{SHOW}"))
    asked: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(re.sub(r"IN \([?, ]+\)", "IN (…)", statement))

    event.listen(journal.engine, "before_cursor_execute", keep)
    try:
        ran(page)
    finally:
        event.remove(journal.engine, "before_cursor_execute", keep)
    return asked, sum(1 for _ in page.main)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_as_much_of_a_long_record_as_of_a_short_one(
    name: str, short: Journal, long: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_short, of_long = drawn(short, name, monkeypatch), drawn(long, name, monkeypatch)
    assert of_long[0] == of_short[0]
    assert of_long[1] <= of_short[1] + 3  # who used a thing, and where it is named, are lines of their own


IMPORTED = """
import sys
from streamlit.testing.v1 import AppTest
for name in sys.argv[1:]:
    page = AppTest.from_string(f"from app.views import {name} as view\\n{SHOW}").run(timeout=60)
    assert not page.exception, page.exception
print(*sorted({"torch", "fastai", "wandb", "alembic", "app.reports.week_figures"} & set(sys.modules)))
"""


def imported_by(home: Home, *names: str) -> str:
    """Which of the heavy modules a new process has loaded when it has drawn these pages.

    Streamlit itself loads plotly's Python half where it is installed; ours that makes figures with it is week_figures.
    """
    script = f"SHOW = {SHOW!r}\n{IMPORTED}"
    done = subprocess.run(
        [sys.executable, "-c", script, *names],
        cwd=CHECKOUT,
        env={**os.environ, "ONEHOUR_HOME": str(home.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_pages_of_every_day_load_nothing_heavy(short: Journal) -> None:
    assert imported_by(short.home, *DAILY_PAGES) == ""
