"""What every test stands on: its own home folder, an open journal with a clock that moves only when told, a challenge on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from app.journal import challenges
from app.journal.home import Home
from app.journal.store import Journal, open_journal
from app.journal.tables import Challenge
from tests.doubles.kaggle_server import KaggleServer
from tests.doubles.wandb_server import WandbServer

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = CHECKOUT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in item.keywords and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="needs ../shared"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make check` must not wait for torch: with `-m unit`, a module that never speaks of the marker is not even imported."""
    if config.option.markexpr == "unit" and collection_path.suffix == ".py":
        return "pytest.mark.unit" not in collection_path.read_text(encoding="utf-8") or None
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skip is a failure, but for what needs a GPU or the shared data folder."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    allowed = "gpu" in item.keywords or "shared" in item.keywords
    if report.skipped and not allowed and os.environ.get("ONEHOUR_FORBID_SKIPS"):
        report.outcome, report.longrepr = "failed", f"skipped where nothing may be: {report.longrepr}"


def ms(text: str) -> int:
    """`"2026-03-02 20:00"` UTC as milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def competition_folder(path: Path, rows: int = 0) -> Path:
    """A folder laid out as a competition, with `rows` labels and without an image."""
    for name in ("train", "test"):
        (path / name).mkdir(parents=True)
    for name in ("train.csv", "sample_submission.csv"):
        (path / name).write_text("Image,Id\n" + "a.jpg,w\n" * rows, encoding="utf-8")
    return path


@dataclass
class MovableClock:
    """Stands still until moved; seconds in, milliseconds out."""

    at: int

    def __call__(self) -> int:
        return self.at

    def move(self, seconds: float) -> int:
        self.at += round(seconds * 1000)
        return self.at


@pytest.fixture(autouse=True, scope="session")
def image_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images of the tests stay out of the cache of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONEHOUR_CACHE", str(tmp_path_factory.mktemp("pixels")))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Home:
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ONEHOUR_HOME", str(path))
    # A key or mode in the surrounding shell must not reach a test.
    for name in [name for name in os.environ if name.startswith(("WANDB_", "KAGGLE_"))]:
        monkeypatch.delenv(name)
    # Nor a key in the home folder of whoever runs the tests: their workers would ask Kaggle with it.
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(path / "no-kaggle"))
    return Home(path)


@pytest.fixture
def clock() -> MovableClock:
    """Monday, 2 March 2026, 20:00 UTC."""
    return MovableClock(ms("2026-03-02 20:00"))


@pytest.fixture(scope="session")
def blank_journal_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty journal to copy: migrating one for each test would take most of the time."""
    made = Home(tmp_path_factory.mktemp("blank"))
    opened = open_journal(made)
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    opened.close()
    return made.journal_db


@pytest.fixture
def migrated_home(home: Home, blank_journal_db: Path) -> Home:
    """A home whose journal need not be migrated by the first command."""
    shutil.copy(blank_journal_db, home.journal_db)
    return home


@pytest.fixture
def journal(migrated_home: Home, clock: MovableClock) -> Iterator[Journal]:
    opened = open_journal(migrated_home, clock)
    yield opened
    opened.close()


@pytest.fixture
def rules(tmp_path: Path) -> challenges.Rules:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    return challenges.Rules(
        competition="humpback",
        data_dir=data_dir,
        starts_on=date(2026, 3, 2),
        days=60,
        minutes_per_day=60,
        reflection_minutes=10,
        time_zone="UTC",
        mode="daily",
    )


@pytest.fixture
def challenge(journal: Journal, rules: challenges.Rules) -> Challenge:
    return challenges.found(journal, rules, date(2026, 3, 2))


@pytest.fixture
def kaggle(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A Kaggle on loopback; the real client, here and in children, speaks to it and to nobody else."""
    server = KaggleServer(tmp_path / "kaggle")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


@pytest.fixture
def wandb_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """A W&B server on loopback; the real client, here and in children, speaks to it and to nobody else."""
    server = WandbServer()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("NETRC", "WANDB_CONFIG_DIR"):  # of whoever runs the tests
        monkeypatch.setenv(name, str(tmp_path / "nobody" / name))
    yield server
    server.close()
