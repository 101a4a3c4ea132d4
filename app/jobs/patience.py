"""The one rule for what the network cannot do just now: asked again, longer each time, and given up after a day."""

from __future__ import annotations

from dataclasses import dataclass

from app.journal.tables import Errand
from engine.contract import OnehourError

DAY_MS = 86_400_000
LONGEST_WAIT_S = 3_600.0


class Later(OnehourError):
    """It cannot be done now, and may be in `after_s` seconds. `answered`: the other side asks for that long itself."""

    def __init__(self, what: str, after_s: float, where: str = "", *, answered: bool = False) -> None:
        super().__init__(what, where)
        self.after_s, self.answered = after_s, answered


class Appointed(Later):
    """It can be done in `after_s` seconds, as is known: that is waited for, whatever the day."""

    def __init__(self, what: str, after_s: float, where: str = "") -> None:
        super().__init__(what, after_s, where, answered=True)


@dataclass(frozen=True)
class PutOff:
    """When an errand is due again. `not_before_at`: as the other side asks; a person who asks again does not shorten it."""

    due_at: int
    not_before_at: int | None


def put_off(errand: Errand, error: Later, now: int) -> PutOff:
    """Raises OnehourError when it was tried for long enough."""
    if not isinstance(error, Appointed) and now - errand.asked_at > DAY_MS:
        raise OnehourError(f"given up after a day. {error}") from error
    if error.answered:
        due_at = now + round(error.after_s * 1000)
        return PutOff(due_at, due_at)
    grown_s = min(LONGEST_WAIT_S, error.after_s * 2 ** min(errand.tries - 1, 10))
    return PutOff(now + round(max(error.after_s, grown_s) * 1000), None)
