"""Projects on a W&B server: the real client against a server on loopback, what it tells kept once, and its troubles in one sentence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from app.jobs import errands, wandb_folders, wandb_reader, wandb_server, wandb_watching
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand, Run, WandbSource
from app.scores import wandb_curves, wandb_runs, wandb_sources
from app.scores.wandb_runs import ForeignRun
from engine.contract import OnehourError
from tests.app.test_wandb_folders import FIRST, START, logged, own_run
from tests.conftest import MovableClock
from tests.doubles.wandb_server import KEY, Fault, ServerRun, WandbServer

WEEK_S = 7 * 86_400


def rows(steps: range, **more: Any) -> list[dict[str, Any]]:
    return [
        {"_step": s, "_timestamp": START + s, "_runtime": s, "loss": 1 / (s + 1), "epoch": s / 10} | more for s in steps
    ]


def add(wandb_double: WandbServer, run_id: str, steps: range = range(5), **said: Any) -> ServerRun:
    at = {"created_at": START, "heartbeat_at": START + 60, "state": "finished", "history": rows(steps)}
    return wandb_double.add("whales", run_id, **at | said)


def watched(journal: Journal, project: str = "me/whales") -> Errand:
    """Ask for a look at a project, and take it here instead of in a child."""
    source = wandb_sources.watch(journal, project, wandb_server.address())
    with journal.writing() as db:
        errand = wandb_watching.ask(db, source, journal.now())
    errands.run(journal, errand.id)
    with journal.reading() as db:
        done = db.get(Errand, errand.id)
    assert done is not None
    return done


def answer(journal: Journal) -> dict[str, Any]:
    return dict(errands.answer_of(watched(journal)))


def listed(journal: Journal, challenge: Challenge, words: str = "") -> list[ForeignRun]:
    with journal.reading() as db:
        return wandb_runs.listed(db, challenge, words)


def values(journal: Journal, run: ForeignRun, metric: str = "loss") -> tuple[float, ...]:
    with journal.reading() as db:
        return wandb_curves.of_runs(db, [run], metric)[run.key][0].values


def source_of(journal: Journal, challenge: Challenge) -> WandbSource:
    with journal.reading() as db:
        (source,) = wandb_sources.of(db, challenge)
    return source


def asked_from(wandb_double: WandbServer) -> list[tuple[str, int]]:
    """Of which runs histories were asked for, and from which step on; then the calls are forgotten."""
    pages = [(call.variables["run"], call.variables["minStep"]) for call in wandb_double.operations("HistoryPage")]
    wandb_double.calls.clear()
    return pages


def test_a_first_look_takes_all_and_the_next_ones_what_is_new(
    journal: Journal, challenge: Challenge, clock: MovableClock, wandb_double: WandbServer
) -> None:
    said = {"tags": ["baseline"], "notes": "larger images", "config": {"lr": 0.1}, "summary": {"map5": 0.5}}
    add(wandb_double, "old", name="an old one", created_at=START - 86_400, heartbeat_at=START - 80_000)
    add(wandb_double, "new", name="a new one", group="resnet", **said)
    running = add(wandb_double, "run", range(1_500), state="running", heartbeat_at=START + 900)
    assert answer(journal) == {"runs": 3, "new": 3, "more": 3, "ours": 0, "gone": 0, "problems": []}
    # By their start: of the oldest one the rows tell that it was logged later than the server says.
    found = {run.parts[0].wandb_id: run for run in listed(journal, challenge)}
    new = found["new"]
    assert (new.name, new.place, new.notes, new.tags, new.score_words) == (
        "resnet",
        "me/whales",
        "larger images",
        ("baseline",),
        "map5 0.500",
    )
    assert (new.url, new.local_date) == (f"{wandb_double.url}/me/whales/runs/new", FIRST)
    assert (len(values(journal, found["run"])), found["run"].state) == (1_500, "running")
    assert [run for run, _ in asked_from(wandb_double)] == ["run", "run", "new", "old"]

    clock.move(600)
    running.history += rows(range(1_500, 1_600))
    running.heartbeat_at, running.state = START + 1_500, "finished"
    add(wandb_double, "newest", heartbeat_at=START + 1_400)
    assert answer(journal)["runs"] == 2, "the others had no heartbeat since"
    assert asked_from(wandb_double) == [("run", 1_500), ("newest", 0)]
    found = {run.parts[0].wandb_id: run for run in listed(journal, challenge)}
    assert (len(values(journal, found["run"])), found["run"].state) == (1_600, "finished")


def test_once_a_week_names_tags_and_what_is_gone_are_looked_at_too(
    journal: Journal, challenge: Challenge, clock: MovableClock, wandb_double: WandbServer
) -> None:
    renamed, deleted = add(wandb_double, "renamed", name="before"), add(wandb_double, "deleted", name="to be deleted")
    add(wandb_double, "twin", name="before")
    watched(journal)
    assert [run.name for run in listed(journal, challenge, "before")] == ["before", "before"]
    asked_from(wandb_double)

    renamed.name, renamed.tags, renamed.notes = "after", ["best"], "said later"
    del wandb_double.runs["whales", deleted.id]
    clock.move(WEEK_S)
    told = answer(journal)
    assert (told["runs"], told["more"], told["gone"]) == (2, 0, 1)
    assert asked_from(wandb_double) == [], "no history had grown"
    (after,) = listed(journal, challenge, "after")
    assert (after.tags, after.notes, after.is_gone) == (("best",), "said later", False)
    (gone,) = listed(journal, challenge, "deleted")
    assert gone.is_gone
    assert len(values(journal, gone)) == 5, "what was known of it stays"

    wandb_double.runs["whales", deleted.id] = deleted
    clock.move(WEEK_S)
    watched(journal)
    assert not any(run.is_gone for run in listed(journal, challenge))


def test_histories_with_holes_huge_steps_and_words_for_numbers_are_kept_as_they_are(
    journal: Journal, challenge: Challenge, wandb_double: WandbServer
) -> None:
    add(wandb_double, "holes", history=rows(range(3)) + rows(range(5_000, 5_003)))
    add(wandb_double, "images", history=[{"_step": 10_000_000 * number, "loss": number} for number in range(4)])
    add(
        wandb_double,
        "words",
        history=[{"_step": 0, "loss": "NaN"}, {"_step": 1, "loss": "Infinity"}, {"_step": 2, "loss": 0.5}],
    )
    add(wandb_double, "empty", history=[])
    watched(journal)
    found = {run.name: run for run in listed(journal, challenge)}
    assert len(values(journal, found["holes"])) == 6
    assert values(journal, found["images"]) == (0, 1, 2, 3)
    nan, infinite, half = values(journal, found["words"])
    assert (math.isnan(nan), infinite, half) == (True, math.inf, 0.5)
    assert [run for run, _ in asked_from(wandb_double)].count("images") < 10, "not a page a thousand images"


def test_rows_that_came_late_at_earlier_steps_are_not_lost(
    journal: Journal, challenge: Challenge, wandb_double: WandbServer
) -> None:
    run = add(wandb_double, "abc", state="running", history=rows(range(10, 15)))
    watched(journal)
    run.history = rows(range(0, 16))  # the first part was uploaded later
    run.heartbeat_at += 30
    watched(journal)
    watched(journal)
    (found,) = listed(journal, challenge)
    assert values(journal, found) == pytest.approx([1 / (step + 1) for step in range(16)])
    asked_from(wandb_double)
    watched(journal)
    assert asked_from(wandb_double) == []


def test_a_run_that_was_launched_here_or_read_from_its_file_is_not_told_twice(
    journal: Journal, challenge: Challenge, wandb_double: WandbServer, tmp_path: Path
) -> None:
    key = own_run(journal, challenge, round(START * 1000) - 60_000, round(START * 1000) + 60_000)
    add(wandb_double, f"{key}-f0", group=key)
    logged(tmp_path, "filed", steps=range(7), display_name="as the file says")
    wandb_folders.look_through(journal, challenge, tmp_path)
    add(wandb_double, "filed", range(5), name="as the server says")
    told = answer(journal)
    assert (told["runs"], told["new"], told["ours"], told["more"]) == (2, 0, 1, 0)
    (run,) = listed(journal, challenge)
    assert (run.name, run.place, len(values(journal, run))) == ("as the server says", "me/whales", 7)
    assert asked_from(wandb_double) == [], "one is ours, and of the other the file tells more"
    with journal.reading() as db:
        assert db.exec(errands.select(Run.wandb_url)).one() == f"{wandb_double.url}/me/whales/runs/{key}-f0"
    wandb_folders.look_through(journal, challenge, tmp_path)
    assert [run.name for run in listed(journal, challenge)] == ["as the server says"]


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ("no key", r"me/whales on \S+: there is no W&B key. Set WANDB_API_KEY, or log in with: wandb login"),
        ("refused", r"me/whales on \S+: the server does not take the W&B key \(401\). Make a new one"),
        ("half a key", r"me/whales on \S+: the W&B key cannot be used: .*40\+ characters"),
        ("no project", r"me/wales on \S+: there is no such project on the server, or it is not open to this key"),
    ],
)
def test_what_a_person_must_mend_is_one_sentence(
    journal: Journal,
    challenge: Challenge,
    wandb_double: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    sentence: str,
) -> None:
    add(wandb_double, "abc")
    if trouble == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    if trouble == "half a key":
        monkeypatch.setenv("WANDB_API_KEY", "abc")
    if trouble == "refused":
        wandb_double.refused_keys.add(KEY)
    with pytest.raises(OnehourError, match=sentence):
        errands.answer_of(watched(journal, "me/wales" if trouble == "no project" else "me/whales"))
    told = source_of(journal, challenge)
    assert KEY not in told.message
    assert (told.looked_at, bool(told.message)) == (journal.now(), True)


@pytest.mark.parametrize(
    ("fault", "words", "after_s", "then_s"),
    [
        (None, "it does not answer (", 60, 120),
        (Fault(hang=True), "it does not answer (timed out)", 60, 120),
        (Fault(status=502), "it answers with an error of its own (502)", 60, 120),
        (Fault(status=429, headers={"Retry-After": "77"}), "it takes no more requests for now", 77, 77),
    ],
    ids=["dead", "silent", "broken", "busy"],
)
def test_what_may_be_over_in_a_while_is_tried_again_ever_later(
    journal: Journal, challenge: Challenge, wandb_double: WandbServer, monkeypatch: pytest.MonkeyPatch, fault: Fault | None,
    words: str, after_s: int, then_s: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(wandb_server, "PROBE_S", 0.5)
    if fault is None:
        wandb_double.http.server_close()
    else:
        wandb_double.faults.append(fault)
    errand = watched(journal)
    assert (errand.state, errand.due_at) == ("open", journal.now() + 1_000 * after_s)
    assert errand.message.startswith(f"{wandb_double.url}: {words}")
    errand = watched(journal)
    assert (errand.tries, errand.due_at) == (2, journal.now() + 1_000 * then_s), (
        "whoever asks again is not kept waiting"
    )


def test_a_server_that_falls_silent_amid_the_histories_costs_only_what_it_did_not_tell(
    journal: Journal, challenge: Challenge, wandb_double: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_reader, "SILENCE_S", 6.0)  # wandb needs a second or two to be loaded
    add(wandb_double, "first", heartbeat_at=START + 100)
    add(wandb_double, "second")
    wandb_double.faults.append(Fault("RunParquetHistory", hang=True, times=0))
    held = wandb_double.faults[0]
    answered = wandb_double.answer

    def silent_after_the_first(request: Any) -> None:
        if len(wandb_double.operations("HistoryPage")) == 1:
            held.times = 1_000
        answered(request)

    monkeypatch.setattr(wandb_double, "answer", silent_after_the_first)
    assert watched(journal).state == "open"
    found = {run.name: run for run in listed(journal, challenge)}
    assert len(values(journal, found["first"])) == 5
    with journal.reading() as db:
        assert wandb_curves.of_runs(db, [found["second"]], "loss") == {}
    assert "it fell silent" in source_of(journal, challenge).message

    monkeypatch.setattr(wandb_reader, "SILENCE_S", 90.0)
    monkeypatch.setattr(wandb_double, "answer", answered)
    wandb_double.faults.clear()
    asked_from(wandb_double)
    assert answer(journal)["runs"] == 2
    assert asked_from(wandb_double) == [("second", 0)]
    assert source_of(journal, challenge).message == ""


def test_the_worker_asks_again_when_it_is_time_and_forgets_what_it_asked_before(
    journal: Journal, challenge: Challenge, clock: MovableClock, tmp_path: Path
) -> None:
    folder = wandb_sources.watch(journal, str(tmp_path), "")
    project = wandb_sources.watch(journal, "me/whales", "http://127.0.0.1:9")
    assert wandb_sources.watch(journal, "me/whales", "http://127.0.0.1:9").id == project.id

    def asked() -> list[tuple[str, str, str]]:
        with journal.reading() as db:
            rows = db.exec(errands.select(Errand)).all()
        return [(row.kind, row.subject, row.state) for row in rows]

    wandb_watching.ask_due(journal)
    wandb_watching.ask_due(journal)
    both = [("wandb_folder", str(tmp_path), "open"), ("wandb_project", "me/whales", "open")]
    assert asked() == both, "once, however often the worker looks"
    with journal.reading() as db:
        first = errands.newest(db, "wandb_folder", str(tmp_path))
    assert first is not None
    assert json.loads(first.asked) == {"server": ""}
    errands.run(journal, first.id)
    wandb_watching.ask_due(journal)
    assert [state for _, _, state in asked()] == ["done", "open"]
    clock.move(wandb_sources.EVERY_S["folder"])
    wandb_watching.ask_due(journal)
    assert sorted(asked()) == both
    with journal.reading() as db:
        second = errands.newest(db, "wandb_folder", str(tmp_path))
    assert second is not None
    with journal.writing() as db:  # its child was killed
        left = db.get(Errand, second.id)
        assert left is not None
        left.state = errands.RUNNING
        db.add(left)
    errands.settle_ended(journal, second.id)
    wandb_watching.ask_due(journal)
    assert ("wandb_folder", str(tmp_path), "open") not in asked(), "not at once, lest it goes on like this"
    clock.move(wandb_sources.EVERY_S["folder"])
    wandb_watching.ask_due(journal)
    assert ("wandb_folder", str(tmp_path), "open") in asked()
    wandb_sources.unwatch(journal, str(tmp_path))
    with pytest.raises(OnehourError, match=r"'me/wales' is not watched. Did you mean 'me/whales'"):
        wandb_sources.unwatch(journal, "me/wales")
    with journal.reading() as db:
        assert [one.id for one in wandb_sources.of(db, challenge)] == [project.id] != [folder.id]


@pytest.mark.parametrize("place", ["whales", "me/whales/runs/abc", "./me", "https://wandb.ai/me/whales", ""])
def test_what_is_neither_a_folder_nor_a_project_is_refused(journal: Journal, challenge: Challenge, place: str) -> None:
    with pytest.raises(OnehourError, match=r"is neither a folder nor a project. Name a project as ENTITY/PROJECT"):
        wandb_sources.watch(journal, place, "")


def test_the_server_is_the_one_that_wandb_would_speak_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    assert wandb_server.address() == "https://api.wandb.ai"
    (tmp_path / "settings").write_text("[default]\nbase_url = https://wandb.example.org/\nmode = offline\n")
    assert wandb_server.address() == "https://wandb.example.org"
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:8080/")
    assert wandb_server.address() == "http://127.0.0.1:8080"
    (tmp_path / "settings").write_bytes(b"\xff no settings")
    monkeypatch.delenv("WANDB_BASE_URL")
    assert wandb_server.address() == "https://api.wandb.ai"
