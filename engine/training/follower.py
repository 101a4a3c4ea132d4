"""A process that trains a fold along with a run's own: python -m engine.training.follower RUN_DIR FOLD RANK RANKS MEETING

Started by engine.training.crew, never by a person. It reads what the run reads and writes nothing but what it says on stderr.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

# Before torch is loaded, as for a run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from engine.contract import EXIT_INTERRUPTED
from engine.run_folder import RunFolder
from engine.training.crew import Crew, join
from engine.training.loop import follow_fold
from engine.training.prepare import Images, fold_data, prepare
from engine.training.resume import weights_sha256
from engine.training.workplace import logged_to

log = logging.getLogger("engine.training.follower")  # run as a program its own name is __main__


def main(run_dir: str, fold: str, rank: str, ranks: str, meeting: str) -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group: the run's own process decides when to stop
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    folder, crew = RunFolder(Path(run_dir)), Crew(int(rank), int(ranks))
    spec = folder.read_spec()
    join(crew, Path(meeting))
    prepared = prepare(spec, folder.path.resolve().parent)
    images = Images(spec, prepared)
    started = time.monotonic()
    net = follow_fold(spec, folder, int(fold), fold_data(spec, prepared, int(fold), images), images.at, crew)
    with logged_to([logging.StreamHandler(sys.stderr)]):
        log.info(
            "fold %s: rank %s of %s followed for %.0f s to the weights %s",
            fold, rank, ranks, time.monotonic() - started, weights_sha256(net)[:12],
        )  # fmt: skip


def _end_with_the_run() -> None:
    os.read(0, 1)  # waits until the run's own process closes its end, or is gone
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main(*sys.argv[1:])
