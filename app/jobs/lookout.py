"""A process that looks at the journal again and again: as soon as something was written there, and now and then besides."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler

from app.journal.home import Home, find_home
from app.journal.store import Journal, open_journal
from engine.contract import EXIT_OK, OnehourError

log = logging.getLogger("onehour.jobs")

POLL_S = 0.25
# Full looks at the table, although nothing was written to the journal: while attempts run, and while nothing does.
WATCH_S, IDLE_S = 1.0, 5.0


def look_again_and_again(journal: Journal, stop: threading.Event, look: Callable[[], bool]) -> None:
    """Call `look` whenever something was written to the journal, and now and then besides: more often while it is True."""
    with journal.engine.connect() as connection:
        seen, quiet_s, busy = -1, 0.0, True
        while not stop.is_set():
            # Changes with every commit of another connection, the worker's own included; costs next to nothing.
            version = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
            if version != seen or quiet_s >= (WATCH_S if busy else IDLE_S):
                seen, quiet_s = version, 0.0
                try:
                    busy = look()
                except Exception:  # a journal that is locked or a full disk now may be fine a moment later
                    log.exception("this look at the jobs failed")
            stop.wait(POLL_S)
            quiet_s += POLL_S


def as_process(log_name: str, work: Callable[[Journal, threading.Event], None]) -> int:
    """Run `work` as a process: its log in the home, an end in good order on SIGTERM and Ctrl-C, its exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        home = find_home()
        _log_into(home, log_name)
        journal = open_journal(home)
        try:
            work(journal, stop)
        finally:
            journal.close()
    except OnehourError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return EXIT_OK


def _log_into(home: Home, name: str) -> None:
    home.logs_dir.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(home.logs_dir / name, maxBytes=1_000_000, backupCount=3, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
