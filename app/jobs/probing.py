"""The errand that looks at a backend's machine, and what the last look found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlmodel import Session, col, func, select

from app.jobs import configured, errands
from app.jobs.backends.interface import Probe, Quota
from app.journal.store import Journal
from app.journal.tables import Errand


def probe(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Look at the backend that the errand is about."""
    backend = configured.open_backend(journal.home, errand.subject)
    try:
        return asdict(backend.probe())
    finally:
        backend.close()


@dataclass(frozen=True)
class Look:
    """What is known of a machine. `probe`: what the last look that succeeded found; `trouble`: why a later one did not."""

    probe: Probe | None = None
    looked_at: int | None = None
    trouble: str = ""
    is_under_way: bool = False

    def quota_at(self, now: int) -> Quota | None:
        """What the account told of its quota; None where it told none, or that one was renewed since."""
        quota = None if self.probe is None else self.probe.quota
        return quota if quota is not None and _holds(quota, now) else None

    @property
    def problems(self) -> tuple[str, ...]:
        return (*(self.probe.problems if self.probe else ()), *([self.trouble] if self.trouble else ()))

    @property
    def words(self) -> str:
        """`Python 3.11.7, 2 GPUs: 0: NVIDIA H100; 1: NVIDIA H100, 81.3 GB free`."""
        if self.probe is None:
            return ""
        found = [f"Python {self.probe.python}"] if self.probe.python else []
        if self.probe.gpus:
            found.append(f"{len(self.probe.gpus)} GPU{'s' * (len(self.probe.gpus) > 1)}: {'; '.join(self.probe.gpus)}")
        if self.probe.free_bytes is not None:
            found.append(f"{self.probe.free_bytes / 1e9:.1f} GB free")
        if self.probe.quota is not None:
            quota = self.probe.quota
            found.append(
                f"{(quota.allowed_s - quota.used_s) / 3600:.1f} of {quota.allowed_s / 3600:.0f} GPU hours left"
            )
        return ", ".join(found)


def ask(journal: Journal, backend: str) -> None:
    """Let a backend be looked at; the answer is found by `last_looks`. Raises OnehourError for one that is not configured."""
    configured.settings_of(journal.home, backend)
    with journal.writing() as db:
        errands.ask(db, "probe", backend, journal.now())


def last_looks(db: Session) -> dict[str, Look]:
    """By backend; one that was never looked at is not among them."""
    newest = (
        select(func.max(col(Errand.id)))
        .where(col(Errand.kind).in_(("probe", "setup")))
        .group_by(col(Errand.kind), col(Errand.subject), col(Errand.state))
    )
    looks: dict[str, Look] = {}
    for errand in db.exec(select(Errand).where(col(Errand.id).in_(newest)).order_by(col(Errand.id))).all():
        look = looks.get(errand.subject, Look())
        if errand.state == errands.DONE:
            answer = errands.answer_of(errand)
            if errand.kind == "setup":  # it ends with a look, unless a host key was to be accepted first
                answer = answer.get("probe")
            if answer is not None:
                look = replace(look, probe=probe_of(answer), looked_at=errand.ended_at, trouble="")
        elif errand.kind == "setup":
            continue
        elif errand.state == errands.FAILED:
            look = replace(look, trouble=errand.message)
        else:
            look = replace(look, is_under_way=True, trouble=errand.message)
        looks[errand.subject] = look
    return looks


def probe_of(told: Mapping[str, Any]) -> Probe:
    """What a probe's answer says."""
    found = dict(told)
    quota = found.pop("quota")
    for name in ("gpus", "problems"):
        found[name] = tuple(found[name])
    return Probe(**found, quota=None if quota is None else Quota(**quota))


def quotas(db: Session, since: int, now: int) -> dict[str, Quota]:
    """The quota of each backend whose account told one at `since` or later, as it was told last and unless it was renewed; one query."""
    newest = select(func.max(Errand.id)).where(Errand.kind == "probe", Errand.state == errands.DONE)
    rows = db.exec(
        select(Errand)
        .where(col(Errand.id).in_(newest.group_by(col(Errand.subject))), col(Errand.ended_at) >= since)
        .order_by(col(Errand.subject))
    ).all()
    told = {row.subject: (errands.answer_of(row) or {}).get("quota") for row in rows}
    found = {backend: Quota(**quota) for backend, quota in told.items() if quota is not None}
    return {backend: quota for backend, quota in found.items() if _holds(quota, now)}


def _holds(quota: Quota, now: int) -> bool:
    """Whether it was not renewed since it was told."""
    return quota.resets_at is None or quota.resets_at > now
