"""The worker's chores: one that fails is logged, and the others are done."""

from __future__ import annotations

import logging

import pytest

from app.jobs import signals, worker
from app.jobs.errand_children import Children
from app.jobs.worker import Chores
from app.journal.store import Journal
from app.journal.tables import Challenge

pytestmark = pytest.mark.unit


def test_a_chore_that_fails_keeps_none_of_the_others_from_being_done(
    journal: Journal, challenge: Challenge, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_journal: Journal) -> None:
        raise RuntimeError("the first one fails")

    begun: list[str] = []
    monkeypatch.setattr(signals, "send_due", fail)
    monkeypatch.setattr(worker.standing_orders, "decide_due", lambda _journal: begun.append("orders"))
    monkeypatch.setattr(Children, "tick", lambda _children: begun.append("errands"))
    with caplog.at_level(logging.ERROR, "onehour.worker"):
        Chores(journal).tick()
    assert begun == ["orders", "errands"]
    assert any(journal.home.backups_dir.iterdir())
    (record,) = caplog.records
    assert "the first one fails" in str(record.exc_info)
