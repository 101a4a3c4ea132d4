"""A computer that goes to sleep trains nothing: while runs of this computer are open it is kept awake where the system allows.

systemd-inhibit holds a lock for as long as its child lives, on macOS caffeinate; both end with us.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from app.jobs.dependants import end_with_parent

log = logging.getLogger("onehour.worker")

POWER_SUPPLIES = Path("/sys/class/power_supply")
TRY_S = 5


@cache
def inhibitor() -> tuple[str, ...]:
    """The command that keeps this computer awake while it runs; empty where there is none that works. Asked once a process."""
    if sys.platform == "darwin" and (caffeinate := shutil.which("caffeinate")):
        return (caffeinate, "-i", "-s")
    found = shutil.which("systemd-inhibit")
    if found is None:
        return ()
    command = (found, "--what=sleep:idle", "--who=Onehour", "--why=A run is training", "--mode=block")
    try:  # it may be there without a login manager to ask
        done = subprocess.run([*command, "true"], capture_output=True, timeout=TRY_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if done.returncode == 0 else ()


def has_battery() -> bool:
    """Whether this computer looks like one that is carried about."""
    try:
        return any(path.name.startswith("BAT") for path in POWER_SUPPLIES.iterdir())
    except OSError:
        return False


def may_sleep() -> str:
    """Why a run of the night may not get through, as a sentence; empty where nothing is to be feared."""
    if not has_battery() or inhibitor():
        return ""
    return "This computer may go to sleep, and its runs with it: nothing here can keep it awake. Set its power options for the night."


class Wakefulness:
    """Held while `needed`; ended with the process."""

    def __init__(self) -> None:
        self.held: subprocess.Popen[bytes] | None = None

    def keep(self, needed: bool) -> None:
        if self.held is not None and self.held.poll() is not None:
            log.warning("what kept this computer awake ended with %d", self.held.returncode)
            self.held = None
            inhibitor.cache_clear()
        if needed and self.held is None and inhibitor():
            wait = ["sleep", "infinity"] if sys.platform != "darwin" else []
            self.held = subprocess.Popen([*inhibitor(), *wait], stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)
            log.info("this computer is kept awake")
        elif not needed and self.held is not None:
            self.end()

    def end(self) -> None:
        if self.held is not None:
            self.held.terminate()
            self.held.wait()
            self.held = None
