"""How an errand to Kaggle ends: done, refused in a sentence, or asked for again later."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from app.jobs.kaggle_account import Busy
from app.jobs.patience import Later
from app.journal.store import Journal
from app.journal.tables import Errand

Act = Callable[[Journal, Errand], Any]


def patient(act: Act) -> Act:
    """An errand that Kaggle cannot do just now is done later."""

    @wraps(act)
    def done(journal: Journal, errand: Errand) -> Any:
        try:
            return act(journal, errand)
        except Busy as error:
            raise Later(str(error), error.after_s, answered=error.answered) from error

    return done


def told(errand: Errand) -> Mapping[str, Any]:
    """What the errand was asked with."""
    asked: Mapping[str, Any] = json.loads(errand.asked)
    return asked
