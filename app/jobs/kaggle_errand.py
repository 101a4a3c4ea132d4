"""How an errand to Kaggle ends: done, refused in a sentence, or asked for again later."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from app.jobs.errands import Later
from app.jobs.kaggle_account import Busy
from app.journal.store import Journal
from app.journal.tables import Errand
from engine.contract import OnehourError

DAY_MS = 86_400_000
LONGEST_WAIT_S = 3_600.0

Act = Callable[[Journal, Errand], Any]


def patient(act: Act) -> Act:
    """An errand that Kaggle cannot do just now is tried again, after the time it asks for or longer each time, for a day."""

    @wraps(act)
    def done(journal: Journal, errand: Errand) -> Any:
        try:
            return act(journal, errand)
        except Busy as error:
            if journal.now() - errand.asked_at > DAY_MS:
                raise OnehourError(f"given up after a day. {error}") from error
            grown = error.after_s if error.answered else error.after_s * 2 ** min(errand.tries - 1, 10)
            raise Later(str(error), max(error.after_s, min(grown, LONGEST_WAIT_S))) from error

    return done


def told(errand: Errand) -> Mapping[str, Any]:
    """What the errand was asked with."""
    asked: Mapping[str, Any] = json.loads(errand.asked)
    return asked
