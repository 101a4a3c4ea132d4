"""The sample challenge: drawn data and a challenge on it, in one step. The engine draws in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.journal import challenges
from app.journal.days import logical_date
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge
from engine.contract import OnehourError

SLUG = "sample"
PRESET = "sample-quick"
DAYS = 60


@dataclass(frozen=True)
class SampleData:
    dir: Path
    truth_path: Path


def draw(home: Home) -> SampleData:
    """Draw the sample competition into the home folder, a few seconds; what was drawn before is used again."""
    folder = home.data_dir / SLUG
    data = SampleData(folder, folder / "truth.csv")
    if not data.truth_path.is_file():
        # The engine moves the drawn folder into place whole, so a killed draw leaves nothing behind.
        drawing = subprocess.run(
            [sys.executable, "-m", "engine", "sample", str(folder)], capture_output=True, text=True, check=False
        )
        if drawing.returncode != 0:
            reason = drawing.stderr.strip().splitlines()[-1:] or [f"exit code {drawing.returncode}"]
            raise OnehourError(f"the sample data could not be drawn ({reason[0]})", where=str(folder))
    return data


def draw_and_found(journal: Journal, time_zone: str) -> Challenge:
    """Draw the sample data and take on a challenge of 60 days on it, starting today. Its truth file makes a leaderboard at home."""
    today = logical_date(journal.now(), time_zone, challenges.DAY_STARTS_AT)
    data = draw(journal.home)
    rules = challenges.Rules(
        competition=SLUG,
        data_dir=data.dir,
        starts_on=today,
        days=DAYS,
        minutes_per_day=60,
        reflection_minutes=10,
        time_zone=time_zone,
        mode="daily",
        day_starts_at=challenges.DAY_STARTS_AT,
        truth_path=data.truth_path,
    )
    return challenges.found(journal, rules, today)
