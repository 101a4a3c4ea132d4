"""Backups beside a process that writes, and on a disk that is full."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from app.journal.backups import copy
from app.journal.store import Journal
from app.journal.tables import Challenge

WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
db.create_function("now_ms", 0, lambda: 0)  # the guard asks for it
number = 0
while True:
    db.execute("BEGIN IMMEDIATE")  # two rows that belong together
    for half in "ab":
        db.execute("INSERT INTO inbox_item (challenge_id, body, local_date, outside_hour, origin, created_at)"
                   " VALUES (1, ?, '2026-03-02', 1, 'system', ?)", (half, number))
    db.execute("COMMIT")
    number += 1
    if number == 1:
        print("writing", flush=True)
"""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_made_while_another_process_writes_is_whole(
    journal: Journal, challenge: Challenge, tmp_path: Path
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(journal.home.journal_db)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        made = [copy(journal.home, tmp_path / f"{number}.db") for number in range(5)]
    finally:
        writer.kill()
        writer.communicate()
    counts = []
    for path in made:
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            halves = dict(db.execute("SELECT body, count(*) FROM inbox_item GROUP BY body").fetchall())
            assert halves["a"] == halves["b"], "a half-written pair was copied"
            counts.append(halves["a"])
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert files(tmp_path) == sorted(["data", *(path.name for path in made)]), "one file each, nothing beside it"


def test_a_full_disk_stops_a_backup_without_a_trace(journal: Journal, tmp_path: Path) -> None:
    """A limit on the size of a file stands for the full disk: SQLite meets the same failing write."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from app.journal.backups import copy; from app.journal.home import Home\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "copy(Home(Path(sys.argv[1])), Path(sys.argv[2]) / 'full' / 'copy.db')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(journal.home.path), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "OnehourError" in done.stderr.splitlines()[-1]
    assert "the backup cannot be written" in done.stderr
    assert files(tmp_path / "full") == []


def test_a_full_disk_stops_an_export_without_a_trace(journal: Journal, challenge: Challenge, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from app.exchange.journal_folder import export\n"
        "from app.journal.home import Home; from app.journal.store import open_journal\n"
        "journal = open_journal(Home(Path(sys.argv[1])))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "export(journal, Path(sys.argv[2]) / 'full' / 'out')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(journal.home.path), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "the export cannot be written (File too large). Nothing was left behind." in done.stderr
    assert files(tmp_path / "full") == []
