"""Errands: written down, done once by a child, answered in their row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from app.jobs import errands, presence, probing
from app.jobs.backends.local import LocalBackend
from app.jobs.errand_children import Children
from app.jobs.patience import Appointed, Later
from app.jobs.reconciler import Reconciler
from app.jobs.worker import run_worker
from app.journal.home import CHECKOUT
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand
from engine.contract import OnehourError
from tests.app.trainings import until
from tests.conftest import MovableClock


def asked(journal: Journal, subject: str = "local") -> int:
    with journal.writing() as db:
        return errands.ask(db, "probe", subject, journal.now()).id


def row(journal: Journal, errand_id: int) -> Errand:
    with journal.reading() as db:
        found = db.get(Errand, errand_id)
    assert found is not None
    return found


def test_without_a_worker_whoever_waits_lets_it_be_done(journal: Journal) -> None:
    errand_id = asked(journal)
    answer = errands.wait_for(journal, errand_id)
    assert answer["python"].startswith("3.")
    assert (row(journal, errand_id).state, row(journal, errand_id).tries) == ("done", 1)
    with journal.reading() as db:
        found = probing.last_looks(db)["local"].probe
    assert found is not None
    assert found.versions["pydantic"]
    assert found.quota is None


def test_the_worker_does_what_was_written_down(journal: Journal) -> None:
    stop = threading.Event()
    jobs = Reconciler(journal, LocalBackend(journal.home))
    thread = threading.Thread(target=run_worker, args=(journal, stop, jobs))
    thread.start()
    try:
        until(lambda: presence.worker_slots(journal.home))
        errand_id = asked(journal)
        assert errands.wait_for(journal, errand_id)["clock_ahead_s"] == 0
    finally:
        stop.set()
        thread.join()


def test_a_refusal_is_the_answer(journal: Journal) -> None:
    errand_id = asked(journal, "locl")
    with pytest.raises(OnehourError, match="there is no backend 'locl'"):
        errands.wait_for(journal, errand_id)
    assert row(journal, errand_id).state == "failed"


def test_the_same_thing_is_asked_once_while_it_is_open(journal: Journal) -> None:
    assert asked(journal) == asked(journal) != asked(journal, "other")


def test_a_child_that_was_killed_has_failed_and_says_so(journal: Journal) -> None:
    errand_id = asked(journal)
    children = Children(journal)
    assert children.tick()
    (child,) = [child for _, child, _ in children.running.values()]
    os.kill(child.pid, signal.SIGKILL)
    with journal.writing() as db:  # as it was found: the child had begun
        begun = db.get(Errand, errand_id)
        assert begun is not None
        begun.state = errands.RUNNING
        db.add(begun)
    until(lambda: not children.tick())
    assert (row(journal, errand_id).state, row(journal, errand_id).message) == (
        "failed",
        "probe local ended without an answer; logs/errands.log tells why",
    )


def test_what_ran_under_a_worker_that_died_is_done_by_the_next_one(journal: Journal) -> None:
    errand_id = asked(journal)
    with journal.writing() as db:
        left = db.get(Errand, errand_id)
        assert left is not None
        left.state = errands.RUNNING
        db.add(left)
    children = Children(journal)
    children.tick()
    until(lambda: row(journal, errand_id).state == "done", children.tick)
    children.end()


def test_what_cannot_be_done_now_is_tried_again_ever_later_and_given_up_after_a_day(
    journal: Journal, challenge: Challenge, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(_journal: Journal, _errand: Errand) -> None:
        raise Later("it does not answer", after_s=60, where="kaggle")

    monkeypatch.setattr(probing, "probe", dead)
    errand_id = asked(journal)
    waits = []
    for _ in range(8):
        errands.run(journal, errand_id)
        waits.append((row(journal, errand_id).due_at - journal.now()) // 1000)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert (row(journal, errand_id).state, row(journal, errand_id).tries) == ("open", 8)
    with pytest.raises(OnehourError, match=r"kaggle: it does not answer. It is tried again later"):
        errands.wait_for(journal, errand_id)
    clock.move(86_401)
    errands.run(journal, errand_id)
    assert (row(journal, errand_id).state, row(journal, errand_id).message) == (
        "failed",
        "given up after a day. kaggle: it does not answer.",
    )


def test_what_can_be_done_at_a_known_moment_is_never_given_up(
    journal: Journal, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tomorrow(_journal: Journal, _errand: Errand) -> None:
        raise Appointed("no submissions are left today", after_s=86_400)

    monkeypatch.setattr(probing, "probe", tomorrow)
    errand_id = asked(journal)
    for _ in range(3):
        errands.run(journal, errand_id)
        assert (row(journal, errand_id).state, row(journal, errand_id).due_at) == ("open", journal.now() + 86_400_000)
        clock.move(86_401)


@pytest.mark.parametrize(
    ("answered", "waits_s"), [(False, 0), (True, 90)], ids=["of our own accord", "as it asked for"]
)
def test_a_person_who_asks_again_waits_no_longer_than_the_other_side_asked_for(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, answered: bool, waits_s: int
) -> None:
    def busy(_journal: Journal, _errand: Errand) -> None:
        raise Later("too many requests", after_s=90, answered=answered)

    with monkeypatch.context() as patched:
        patched.setattr(probing, "probe", busy)
        errand_id = asked(journal)
        errands.run(journal, errand_id)
    with journal.writing() as db:
        errands.ask(db, "probe", "local", journal.now(), origin="system")
    assert row(journal, errand_id).due_at == journal.now() + 90_000
    assert asked(journal) == errand_id
    assert row(journal, errand_id).due_at == journal.now() + 1000 * waits_s
    if answered:
        with pytest.raises(OnehourError, match=r"too many requests\. It is tried again later"):
            errands.wait_for(journal, errand_id)
    else:
        assert errands.wait_for(journal, errand_id)["python"].startswith("3.")


def test_a_wait_that_was_too_short_names_what_was_waited_for(journal: Journal) -> None:
    errand_id = asked(journal, "gpu-box")
    with (
        presence.present(presence.worker_lock(journal.home), "a worker", {}),  # which is busy with others
        pytest.raises(OnehourError, match=r"probe gpu-box: no answer within 0\.2 s"),
    ):
        errands.wait_for(journal, errand_id, longest_s=0.2)


def test_nothing_about_an_errand_is_lost_in_json(journal: Journal) -> None:
    with journal.writing() as db:
        errand = errands.ask(db, "probe", "local", journal.now(), said="ein „Wort“\n")
    assert json.loads(row(journal, errand.id).asked) == {"said": "ein „Wort“\n"}


def test_one_whose_waiting_command_was_killed_is_done_by_the_next_command(journal: Journal) -> None:
    errand_id = asked(journal)
    with journal.writing() as db:  # as a command leaves it that is killed with its child
        left = db.get(Errand, errand_id)
        assert left is not None
        left.state = errands.RUNNING
        db.add(left)
    assert errands.wait_for(journal, errand_id)["python"].startswith("3.")


def test_a_worker_leaves_alone_what_another_child_is_at(journal: Journal) -> None:
    """A command without a worker began it; the worker that comes must not begin it a second time."""
    errand_id = asked(journal)
    with journal.writing() as db:
        begun = db.get(Errand, errand_id)
        assert begun is not None
        begun.state = errands.RUNNING
        db.add(begun)
    holding = "import sys; from app.jobs import errand_locks; from app.journal.home import find_home; "
    holding += (
        f"held = errand_locks.held(find_home(), {errand_id}); held.__enter__(); print(1, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holding]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        assert not Children(journal).tick()
        assert row(journal, errand_id).state == "running"
        other.kill()
    children = Children(journal)
    until(lambda: row(journal, errand_id).state == "done", children.tick)
    children.end()


def test_what_it_says_of_itself_is_heard_while_it_is_waited_for(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    errand_id = asked(journal)
    heard: list[str] = []

    def busy(journal: Journal, errand: Errand) -> str:
        errands.say(journal, errand.id, "half of it")
        until(lambda: heard)
        return "all of it"

    monkeypatch.setattr(probing, "probe", busy)
    monkeypatch.setattr(errands, "start", Doing)
    assert errands.wait_for(journal, errand_id, hear=heard.append) == "all of it"
    assert heard == ["half of it"]
    assert row(journal, errand_id).message == ""


class Doing(threading.Thread):
    """An errand done in a thread of this process instead of a child."""

    def __init__(self, journal: Journal, errand_id: int) -> None:
        super().__init__(target=errands.run, args=(journal, errand_id))
        self.start()

    def poll(self) -> int | None:
        return None if self.is_alive() else 0
