"""Which runs are asked for and in what order, what was changed in each, and the tree that the experiments make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from sqlmodel import select

from app import cli
from app.journal.store import Journal
from app.journal.tables import Challenge, Experiment, FoldScore, Job, LeaderboardScore, Run, RunCode, Submission
from app.reports import experiment_tree, lineage, run_list
from app.scores import leaderboard, run_search, verdict
from app.scores.run_rows import run_row
from app.scores.run_search import RunSearch
from engine.contract import EXIT_BAD_INPUT, EXIT_OK

pytestmark = pytest.mark.unit


def add(
    journal: Journal,
    challenge: Challenge,
    number: int,
    scores: tuple[float, ...] = (),
    *,
    spec: Mapping[str, Any] = {},
    state: str = "succeeded",
    lb: float | None = None,
    commit: str = "c",
    **columns: Any,
) -> str:
    """A run of an experiment of its own, with its job and, with `lb`, a submission that was scored."""
    key = f"h_{number:03}-r01"
    values: dict[str, Any] = dict(
        id=number, challenge_id=challenge.id, experiment_id=number, key=key, local_date=date(2026, 3, 2),
        spec=json.dumps(spec), spec_source="preset", origin="system", created_at=0, metric="map5", direction="max",
        cv=sum(scores) / len(scores) if scores else None, data_sha256="d", folds_sha256="f",
    )  # fmt: skip
    with journal.writing() as db:
        words = f"idea {number}"
        db.add(
            Experiment(
                id=number, challenge_id=challenge.id, key=key[:5], hypothesis=words, origin="system", created_at=0
            )
        )
        db.flush()
        db.add(Run(**(values | columns)))
        db.flush()
        over = None if state in ("queued", "running") else 1
        db.add(Job(run_id=number, state=state, backend="local", origin="system", queued_at=0, finished_at=over))
        db.add(RunCode(run_id=number, root="/r", commit=commit, recorded_at=0))
        for fold, score in enumerate(scores):
            db.add(FoldScore(run_id=number, fold=fold, score=score, images=10))
        if lb is not None:
            sent = Submission(
                challenge_id=challenge.id, run_id=number, sha256=key, path=key, origin="system", created_at=0
            )
            db.add(sent)
            db.flush()
            db.add(LeaderboardScore(submission_id=sent.id, source="kaggle", public=lb, origin="system", scored_at=0))
    return key


@pytest.fixture
def five(journal: Journal, challenge: Challenge) -> Challenge:
    add(journal, challenge, 1, (0.50, 0.52), lb=0.6, spec={"seed": 0, "head": {"kind": "linear"}}, gpu_s=60)
    add(
        journal,
        challenge,
        2,
        (0.70, 0.72),
        lb=0.5,
        spec={"seed": 0, "head": {"kind": "arcface"}},
        commit="x",
        tags='["crops"]',
    )
    add(
        journal,
        challenge,
        3,
        (0.60, 0.62),
        spec={"seed": 1, "head": {"kind": "linear"}},
        parent_id=1,
        note="100% blurred",
    )
    add(journal, challenge, 4, state="failed", gpu_s=90)
    add(journal, challenge, 5, state="running")
    return challenge


def found(journal: Journal, challenge: Challenge, **asked: Any) -> list[int]:
    with journal.reading() as db:
        told = run_search.find(db, challenge, RunSearch(**asked))
        keys = told.keys(0, None)
        assert told.many == len(keys)
        assert told.keys(1, 2) == keys[1:3]
    return [int(key[2:5]) for key in keys]


def test_runs_are_found_by_kind_and_order(journal: Journal, five: Challenge) -> None:
    assert found(journal, five) == [5, 4, 3, 2, 1]
    assert found(journal, five, order="best CV") == [2, 3, 1, 5, 4]
    assert found(journal, five, order="best LB") == [1, 2, 5, 4, 3]
    assert found(journal, five, order="most GPU") == [4, 1, 5, 3, 2]
    assert found(journal, five, which="open") == [5]
    assert found(journal, five, which="with a CV") == [3, 2, 1]
    assert found(journal, five, which="with an LB", order="best CV") == [2, 1]
    assert found(journal, five, which="without a result") == [4]
    assert found(journal, five, order="oldest") == [1, 2, 3, 4, 5]
    assert found(journal, five, order="worst CV") == [1, 3, 2, 5, 4]
    assert found(journal, five, order="worst LB") == [2, 1, 5, 4, 3]
    assert found(journal, five, order="least GPU") == [1, 4, 5, 3, 2]
    assert found(journal, five, order="state") == [4, 5, 3, 2, 1]


def test_submitted_is_what_was_sent_and_not_what_could_be(journal: Journal, five: Challenge) -> None:
    assert found(journal, five, which="submitted") == []
    leaderboard.mark_sent(journal, "h_002-r01")
    assert found(journal, five, which="submitted") == [2]
    leaderboard.enter_by_hand(journal, "h_001-r01", None, 0.4)
    leaderboard.enter_by_hand(journal, "h_002-r01", None, 0.7)
    assert found(journal, five, which="submitted", order="best private LB") == [2, 1]
    assert found(journal, five, which="submitted", order="worst private LB") == [1, 2]


def test_runs_are_found_and_ordered_by_their_verdicts(
    journal: Journal, five: Challenge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for few in (run_search.FEW, 0):  # judged one by one, or all there are
        monkeypatch.setattr(run_search, "FEW", few)
        assert found(journal, five, which="helped") == [2]
        assert found(journal, five, which="hurt") == [3]
        assert found(journal, five, which="unclear") == []
        assert found(journal, five, order="most gained") == [2, 3, 5, 4, 1]
        assert found(journal, five, order="most lost") == [3, 2, 5, 4, 1]
        assert found(journal, five, order="most gained", which="with a CV") == [2, 3, 1]
        assert found(journal, five, which="helped", words="nowhere") == []


def test_runs_are_found_by_backend_and_ordered_by_how_long_they_took(journal: Journal, five: Challenge) -> None:
    with journal.writing() as db:
        for job in db.exec(select(Job)).all():
            job.backend = "gpu-box" if job.run_id in (2, 4) else "local"
            job.first_started_at, job.finished_at = 0, {1: 60_000, 2: 30_000, 3: 90_000, 4: 10_000}.get(job.run_id)
            db.add(job)
    assert found(journal, five, backend="gpu-box") == [4, 2]
    assert found(journal, five, backend="gpu-box", which="with a CV") == [2]
    assert found(journal, five, backend="elsewhere") == []
    assert found(journal, five, order="longest") == [3, 1, 2, 4, 5]
    assert found(journal, five, order="shortest") == [4, 2, 1, 3, 5]
    assert found(journal, five, order="backend") == [4, 2, 5, 3, 1]
    with journal.reading() as db:
        assert run_search.backends(db) == ["gpu-box", "local"]


def test_where_less_is_better_the_lowest_come_first(journal: Journal, five: Challenge) -> None:
    with journal.writing() as db:
        for number in (1, 2, 3):
            run = db.get(Run, number)
            assert run is not None
            run.metric = "log_loss"
            db.add(run)
    five.metric = "log_loss"
    assert found(journal, five, order="best CV")[:3] == [1, 3, 2]
    assert found(journal, five, order="best LB")[:2] == [2, 1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("idea", [5, 4, 3, 2, 1]),
        ("#crops", [2]),
        ("h_003", [3]),
        ("100%", [3]),
        ("blurred idea", [3]),
        ("running local", [5]),
        ("2026-03-02 preset 4", [4]),
        ("_", [5, 4, 3, 2, 1]),
        ("nowhere", []),
    ],
)
def test_each_word_stands_somewhere_in_a_run(
    journal: Journal, five: Challenge, words: str, expected: list[int]
) -> None:
    assert found(journal, five, words=words) == expected


def test_a_run_is_listed_with_its_change_against_its_parent_or_else_its_baseline(
    journal: Journal, five: Challenge
) -> None:
    with journal.reading() as db:
        told = {
            run.row.run_id: run for run in run_list.listed(db, five, ["h_003-r01", "h_001-r01", "h_002-r01", "gone"])
        }
    assert [*told] == [3, 1, 2], "in the order that was asked for"
    assert told[1].lineage is None
    assert (told[1].on_board.public, told[2].on_board.public) == (0.6, 0.5)
    by_baseline, by_parent = told[2].lineage, told[3].lineage
    assert by_baseline is not None
    assert by_parent is not None
    assert (by_baseline.against, by_baseline.words) == ("h_001-r01", 'head.kind: "linear" → "arcface", other code')
    assert (by_parent.against, by_parent.words) == ("h_001-r01", "seed: 0 → 1")
    verdicts = [None if run.verdict is None else run.verdict.against for run in told.values()]
    assert verdicts == ["h_002-r01", None, "h_001-r01"]


def test_where_several_runs_differ_is_told_key_by_key(journal: Journal, five: Challenge) -> None:
    with journal.reading() as db:
        assert lineage.differing(db, ["h_003-r01", "h_001-r01", "h_004-r01"]) == [
            ("seed", [1, 0, None]),
            ("head.kind", ["linear", "linear", None]),
        ]
        assert lineage.differing(db, ["h_001-r01", "h_001-r01"]) == []


def test_why_there_is_no_verdict_is_said(journal: Journal, five: Challenge) -> None:
    add(journal, five, 6, (0.9, 0.9), data_sha256="other")
    add(journal, five, 7, (0.9, 0.9), folds_sha256="other")
    add(journal, five, 8, (0.9, 0.9), metric="accuracy")
    add(journal, five, 9, (0.9, 0.9), folds_sha256=None)
    said = {}
    with journal.reading() as db:
        for number in (1, 4, 5, 6, 7, 8, 9):
            row = run_row(db, five, f"h_{number:03}-r01")
            assert row is not None
            said[number] = verdict.why_none(db, five, row)
    assert said == {
        1: "no run with scores of folds before it",
        4: "it has no CV",
        5: "no CV yet",
        6: "no run before it on the same data",
        7: "no run before it on the same folds",
        8: "its metric is accuracy, the challenge's map5",
        9: "its data and folds are not known",
    }


def tree(journal: Journal, challenge: Challenge, *, to_the_best: bool = False) -> list[tuple[int, str]]:
    with journal.reading() as db:
        branches = experiment_tree.branches(db, challenge, to_the_best=to_the_best)
        told = experiment_tree.told(db, challenge, branches)
    return [(one.depth, one.experiment_key) for one in told]


def test_each_experiment_hangs_below_the_one_it_was_held_against(journal: Journal, five: Challenge) -> None:
    add(journal, five, 6, (0.65, 0.66))
    add(journal, five, 7, (0.1, 0.2), folds_sha256="other")
    blend = {"runs": ["h_001-r01", "h_002-r01", "gone"]}
    add(journal, five, 8, (0.8, 0.81), kind="blend", spec=blend)
    assert tree(journal, five) == [
        (0, "h_001"),
        (1, "h_002"),
        (2, "h_006"),
        (2, "h_008"),  # the first blend: below the best that it was made of
        (1, "h_003"),  # a variation of the first
        (0, "h_004"),
        (0, "h_005"),
        (0, "h_007"),
    ]
    assert tree(journal, five, to_the_best=True) == [(0, "h_001"), (1, "h_002"), (2, "h_008")]


def test_an_experiment_that_blends_later_ones_keeps_its_place(journal: Journal, five: Challenge) -> None:
    blend = {"runs": ["h_001-r01", "h_002-r01"]}
    add(journal, five, 6, (0.8, 0.81), kind="blend", spec=blend)
    with journal.writing() as db:
        run = db.get(Run, 6)
        assert run is not None
        run.experiment_id = 1
        db.add(run)
    assert [key for _, key in tree(journal, five)] == ["h_001", "h_002", "h_003", "h_004", "h_005"]


def test_what_was_changed_and_what_came_of_it_stands_in_the_tree(journal: Journal, five: Challenge) -> None:
    with journal.reading() as db:
        second = experiment_tree.told(db, five, experiment_tree.branches(db, five))[1]
    assert (second.hypothesis, second.run_key, second.runs, second.cv) == ("idea 2", "h_002-r01", 1, 0.71)
    assert second.lineage is not None
    assert second.lineage.words == 'head.kind: "linear" → "arcface", other code'
    assert second.verdict is not None
    assert (second.verdict.word, second.verdict.against) == ("helped", "h_001-r01")


def test_a_chain_of_thousands_is_no_deeper_than_the_stack(journal: Journal, challenge: Challenge) -> None:
    below: dict[int | None, list[int]] = {None: [0], **{number: [number + 1] for number in range(5_000)}}
    assert [*experiment_tree._depth_first(below)][-1] == (5_000, 5_000)


def test_runs_are_listed_compared_and_drawn_as_a_tree_in_a_terminal(
    journal: Journal, five: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str, code: int = EXIT_OK) -> str:
        assert cli.main(["run", *arguments]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    lines = said("list", "--order", "best cv", "--limit", "2").splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["h_002-r01", "h_003-r01"]
    assert "    seed: 0 → 1" in lines
    told = json.loads(said("list", "blurred", "--json"))
    assert [(one["run"], one["note"]) for one in told] == [("h_003-r01", "100% blurred")]
    told = json.loads(said("list", "--which", "helped", "--backend", "local", "--json"))
    assert [(one["run"], one["verdict"]) for one in told] == [("h_002-r01", "helped")]
    assert "Did you mean 'local'" in said("list", "--backend", "locl", code=EXIT_BAD_INPUT)
    assert said("diff", "h_001-r01", "h_003-r01") == "seed  0  1\n"
    assert json.loads(said("diff", "h_001-r01", "h_003-r01", "--json")) == {"seed": {"h_001-r01": 0, "h_003-r01": 1}}
    assert said("diff", "h_001-r01", "h_001-r01") == "Their specs are the same.\n"
    assert "there is no run 'h_009-r01'" in said("diff", "h_001-r01", "h_009-r01", code=EXIT_BAD_INPUT)
    assert [line for line in said("tree", "--best").splitlines() if "h_00" in line][1].startswith("  h_002  CV 0.710")
