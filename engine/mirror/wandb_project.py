"""Reads a project from its W&B server, through wandb.Api, for somebody who does not load wandb:

    python -m engine.mirror.wandb_project

It is spoken to in lines of JSON. Asked {"project": "entity/project", "since": "2026-03-02T19:00:00Z" or null}, it answers
{"run": {...}} for each run with a heartbeat since then, the newest first, and {"listed": true}. Then it is told which histories are
wanted, {"histories": [{"id": "abc", "from_step": 0}, ...]}, and answers for each {"id": "abc", "rows": [...]}, as often as needed,
and {"id": "abc", "done": true}, or {"id": "abc", "failed": "..."} where it could not be read. {"trouble": "...", "kind": ...} ends it:

    no key       there is none                      refused      the server does not take it, if it answers at all
    not found    no such project, or not for us     broken       anything else
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from math import ceil
from typing import Any

TIMEOUT_S = 30  # of each request to wandb's helper, which tries again by itself while the server is busy
A_PAGE = 500
ROWS_AT_ONCE = 1_000


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    try:
        runs = _listed(asked["project"], asked["since"])
        _say({"listed": True})
        for wanted in json.loads(sys.stdin.readline())["histories"]:
            _say_history(runs[wanted["id"]], wanted["from_step"])
    except Exception as error:
        kind, words = _trouble(error)
        _say({"trouble": words, "kind": kind})


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _listed(project: str, since: str | None) -> dict[str, Any]:
    """Tell of each run with a heartbeat since then; the runs by their ids."""
    import wandb

    found = {}
    api = wandb.Api(timeout=TIMEOUT_S)
    for run in api.runs(project, order="-heartbeat_at", per_page=A_PAGE, lazy=False):
        heartbeat_at = run.heartbeat_at or run.created_at
        if since is not None and heartbeat_at < since:
            break
        found[run.id] = run
        _say(
            {
                "run": {
                    "id": run.id, "entity": run.entity, "project": run.project, "name": run.name, "group": run.group,
                    "job_type": run.job_type, "state": run.state, "tags": run.tags, "notes": run.notes, "config": run.config,
                    "summary": run.summary_metrics, "commit": run.commit, "created_at": run.created_at,
                    "heartbeat_at": heartbeat_at, "url": run.url, "lines": run.history_line_count or 0,
                }
            }
        )  # fmt: skip
    return found


def _say_history(run: Any, from_step: int) -> None:
    """Its rows from a step on. A run that is gone meanwhile is its own matter, not that of the others."""
    try:
        for rows in _rows(run, from_step):
            _say({"id": run.id, "rows": rows})
    except Exception as error:
        if _status(error) not in (400, 404, 410):
            raise
        _say({"id": run.id, "failed": _words(error)})
        return
    _say({"id": run.id, "done": True})


def _rows(run: Any, from_step: int) -> Iterator[list[dict[str, Any]]]:
    last_step = (run.history_keys or {}).get("lastStep", -1)
    lines = max(1, run.history_line_count or 0)
    # The server is asked for stretches of steps. Where steps count images or words, stretches of a thousand would hold nothing.
    stretch = max(ROWS_AT_ONCE, ceil((last_step + 1) / lines) * ROWS_AT_ONCE)
    rows: list[dict[str, Any]] = []
    for row in run.scan_history(page_size=stretch, min_step=from_step, use_cache=False):
        rows.append(row)
        if len(rows) == ROWS_AT_ONCE:
            yield rows
            rows = []
    yield rows


def _trouble(error: Exception) -> tuple[str, str]:
    """The kind of what wandb says, and it in words. A wrong key, a dead server and too many requests may all come as the same."""
    import wandb

    status = _status(error)
    if isinstance(error, wandb.errors.UsageError):
        return "no key", "there is no W&B key"
    if status in (401, 403):
        return "refused", f"the server does not take the W&B key ({status})"
    if isinstance(error, wandb.errors.AuthenticationError):
        return "refused", f"the W&B key cannot be used: {_words(error)}"
    if status == 404 or "Could not find project" in str(error):
        return "not found", "there is no such project on the server, or it is not open to this key"
    return "broken", _words(error)


def _status(error: BaseException | None) -> int | None:
    """The HTTP status of the answer behind wandb's error; None when there was none."""
    seen = 0
    while error is not None and seen < 10:
        response = getattr(error, "response", None)
        status = getattr(response, "http_status", None) or getattr(response, "status_code", None)
        if status:
            return int(status)
        error, seen = getattr(error, "exc", None) or error.__cause__, seen + 1
    return None


def _words(error: object) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


if __name__ == "__main__":
    main()
