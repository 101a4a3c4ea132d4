"""How quick search is on a year's record: 365 notes, 10,000 runs, 5,000 todos, 2,000 references: `python bench/search.py`.

Median and worst milliseconds of each query, and what the index costs a note's autosave: at its usual size and at the limit.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from sqlmodel import Session  # noqa: E402

from app.journal import challenges, notes, sessions  # noqa: E402
from app.journal.days import day_starts  # noqa: E402
from app.journal.home import Home  # noqa: E402
from app.journal.search import Asked, search  # noqa: E402
from app.journal.store import Journal, open_journal  # noqa: E402
from app.journal.tables import Challenge, Experiment, Note, Reference, Run, Todo  # noqa: E402

FIRST = date(2025, 1, 1)
DAYS, RUNS, TODOS, REFERENCES = 365, 10_000, 5_000, 2_000
REPEATS = 15
WORDS = [
    "crop",
    "crops",
    "fluke",
    "margin",
    "threshold",
    "fold",
    "folds",
    "loss",
    "focal",
    "arcface",
    "embedding",
    "rare",
    "whale",
    "grey",
    "image",
    "images",
    "rotate",
    "flip",
    "mirror",
    "blur",
    "learning",
    "rate",
    "warm",
    "cosine",
    "schedule",
    "stage",
    "stages",
    "backbone",
    "resnet",
    "efficientnet",
    "batch",
    "epoch",
    "public",
    "private",
    "leaderboard",
    "score",
    "画像",
    "前処理",
    "学習",
    "損失",
    "the",
    "of",
    "and",
    "with",
    "without",
    "before",
    "after",
    "worse",
    "better",
    "unclear",
    "because",
    "looks",
    "like",
    "notch",
    "tail",
    "tip",
    "left",
    "right",
]
ASKED = {
    "rare word": Asked("needle"),
    "frequent word": Asked("crop"),
    "two words": Asked("focal margin"),
    "in quotes": Asked('"grey image"'),
    "two characters": Asked("画像"),
    "one character": Asked("画"),
    "nothing found": Asked("zzzzzz"),
    "tag": Asked(tag="tta"),
    "kind and days": Asked("crop", FIRST + timedelta(days=100), FIRST + timedelta(days=130), kind="todo"),
    "days alone": Asked(first=FIRST + timedelta(days=100), last=FIRST + timedelta(days=107)),
}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        home = Home(Path(folder))
        at = day_starts(FIRST + timedelta(days=DAYS - 1), "UTC", "04:00") + 16 * 3_600_000
        journal = open_journal(home, lambda: at)
        (home.path / "data").mkdir()
        rules = challenges.Rules("bench", home.path / "data", FIRST, DAYS, 60, 10, "UTC", "daily")
        challenge = challenges.found(journal, rules, FIRST)
        fill(journal, challenge)
        print(f"{'search':<18}{'median ms':>10}{'worst ms':>10}{'found':>8}")
        for name, asked in ASKED.items():
            with journal.reading() as db:
                times = timed(lambda asked=asked, db=db: search(db, challenge, asked))  # type: ignore[misc]
                found = len(search(db, challenge, asked))
            print(f"{name:<18}{statistics.median(times):>10.1f}{max(times):>10.1f}{found:>8}")
        sessions.start(journal)
        on, revision = FIRST + timedelta(days=DAYS - 1), 0
        for name, size in (("autosave, 3 KB", 3_000), ("autosave, 1 MB", notes.MAX_BYTES - 10)):
            times = []
            for number in range(5):
                body = f"{number} " + ("crops of grey images cut the tip " * (size // 30))[:size]
                began = time.perf_counter()
                revision = notes.save(journal, on, body, revision).revision
                times.append(1000 * (time.perf_counter() - began))
            print(f"{name:<18}{statistics.median(times):>10.1f}{max(times):>10.1f}")
        journal.close()


def fill(journal: Journal, challenge: Challenge) -> None:
    draw = random.Random(1)

    def words(count: int) -> str:
        return " ".join(draw.choices(WORDS, k=count))

    def day(number: int, of: int) -> date:
        return FIRST + timedelta(days=number * (DAYS - 1) // of)

    with journal.writing() as db:
        for number in range(DAYS - 1):
            body = f"## Tried\n\n{words(350)} #{draw.choice(('tta', 'crops', 'folds'))}\n\n## Next\n\n{words(50)}\n"
            body += "a needle\n" if number == 200 else ""
            db.add(
                Note(
                    challenge_id=challenge.id,
                    local_date=day(number, DAYS - 1),
                    body=body,
                    revision=1,
                    origin="import",
                    created_at=0,
                    updated_at=0,
                )
            )
        _runs(db, challenge, words, day)
        for number in range(TODOS):
            db.add(
                Todo(
                    challenge_id=challenge.id,
                    title=words(6),
                    planned_on=day(number, TODOS),
                    position=number,
                    done_at=1,
                    origin="import",
                    created_at=0,
                )
            )
        for number in range(REFERENCES):
            db.add(
                Reference(
                    challenge_id=challenge.id,
                    key=f"reference-{number}",
                    url=f"https://example.org/{number}",
                    title=words(8),
                    author=words(2),
                    taken=words(12),
                    kind="post",
                    origin="import",
                    created_at=0,
                )
            )


def _runs(db: Session, challenge: Challenge, words: Callable[[int], str], day: Callable[[int, int], date]) -> None:
    for number in range(RUNS):
        key = f"bench_{number:05d}"
        db.add(
            Experiment(
                id=number + 1, challenge_id=challenge.id, key=key, hypothesis=words(8), origin="import", created_at=0
            )
        )
    db.flush()
    for number in range(RUNS):
        db.add(
            Run(
                challenge_id=challenge.id,
                experiment_id=number + 1,
                key=f"bench_{number:05d}-r01",
                local_date=day(number, RUNS),
                spec="{}",
                spec_source="cpu-transfer",
                origin="import",
                created_at=0,
                metric="map5",
                direction="max",
            )
        )


def timed(call: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return times


if __name__ == "__main__":
    main()
