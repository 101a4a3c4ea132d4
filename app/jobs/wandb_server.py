"""Which W&B server is meant, and how the processes that speak to it are started. No key is read here: they find it themselves."""

from __future__ import annotations

import configparser
import os
import urllib.error
import urllib.request
from pathlib import Path

from app.jobs.patience import Later
from app.journal.home import Home

CLOUD = "https://api.wandb.ai"
PROBE_S = 5.0
COME_AGAIN_S = 60.0


def address() -> str:
    """As wandb itself decides: WANDB_BASE_URL, else what `wandb login --host` wrote down, else W&B's own."""
    return (os.environ.get("WANDB_BASE_URL", "").strip() or _written_down() or CLOUD).rstrip("/")


def environment(home: Home, server: str, folder: Path) -> dict[str, str]:
    """That of a process which speaks to `server`. What wandb writes by the way goes into `folder`."""
    asked = home.environment()
    asked.pop("WANDB_MODE", None)  # offline: then it would not speak to anybody
    here = {name: str(folder) for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "TMPDIR")}
    return {**asked, **here, "WANDB_BASE_URL": server, "WANDB_ERROR_REPORTING": "false"}


def require_answer(server: str) -> None:
    """Raises Later when the server is dead or busy: wandb would try for long, and then speak of a wrong key. For errands alone."""
    asked = urllib.request.Request(
        f"{server}/graphql", b'{"query": "{ serverInfo { cliVersionInfo } }"}', {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(asked, timeout=PROBE_S).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 429:
            told = error.headers.get("Retry-After", "")
            after_s = max(1.0, float(told)) if told.isdecimal() else COME_AGAIN_S
            raise Later("it takes no more requests for now", after_s, server, answered=told.isdecimal()) from None
        if error.code >= 500:
            raise Later(f"it answers with an error of its own ({error.code})", COME_AGAIN_S, server) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Later(f"it does not answer ({reason})", COME_AGAIN_S, server) from None


def _written_down() -> str:
    folder = os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb"
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read(Path(folder).expanduser() / "settings", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return ""
    return settings.get("default", "base_url", fallback="").strip()
