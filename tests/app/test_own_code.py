"""A person's own code as a job: real scripts from real repositories, started by the real worker's reconciler."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.jobs import again, backlog, orders, own_code, own_command, supervisor
from app.jobs.as_queued import of_run
from app.jobs.backends.local import LocalBackend
from app.jobs.orders import Queued
from app.jobs.own_command import OwnCommand
from app.jobs.programme import Places
from app.jobs.reconciler import Reconciler
from app.jobs.repository import NoRecord
from app.journal import sessions
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Job, Run, RunCode, Submission
from app.scores import run_curves
from app.scores.run_curves import FoldCurve
from engine.contract import CommandSpec, OnehourError
from engine.run_folder import RunFolder
from tests.app.own_script import SCRIPT
from tests.app.repositories import Repository, repository
from tests.app.trainings import until

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def nothing_left(home: Home) -> Iterator[None]:
    yield
    for attempt in home.jobs_dir.glob("*-*"):
        supervisor.clear(str(attempt.resolve()))


@pytest.fixture
def own(tmp_path: Path) -> Repository:
    return repository(tmp_path / "whales", train_py=SCRIPT)


@pytest.fixture
def queue(journal: Journal, challenge: Challenge, own: Repository) -> Callable[..., Queued]:
    sessions.start(journal)

    def queued(line: str, *overrides: str, cwd: Path = own.path) -> Queued:
        spec = own_code.command(challenge, f"{PYTHON} {line}", cwd, overrides=overrides)
        return orders.queue_run(journal, spec.line, spec, "my own code does it")

    return queued


def done(journal: Journal, key: str, time_limit_s: float | None = None) -> Job:
    works = Reconciler(journal, LocalBackend(journal.home, time_limit_s=time_limit_s))
    works.slots = ("cpu:0",)

    def job() -> Job:
        with journal.reading() as db:
            return backlog.job_of(db, key)

    until(lambda: job().finished_at is not None, works.tick)
    return job()


def run_of(journal: Journal, key: str) -> Run:
    with journal.reading() as db:
        return db.exec(select(Run).where(Run.key == key)).one()


def told(journal: Journal, key: str) -> dict[str, Any]:
    return json.loads((journal.home.run_dir(key) / "told.json").read_text())


def test_its_result_and_submission_are_taken_in_like_the_engines(
    journal: Journal, challenge: Challenge, queue: Callable[..., Queued]
) -> None:
    key = queue("train.py result").run_key
    assert done(journal, key).state == "succeeded"
    run = run_of(journal, key)
    assert (run.kind, run.metric, run.direction, run.cv) == ("command", "map5", "max", 0.5)
    assert (run.wandb_mode, json.loads(run.remarks or "")) == ("off", [])
    with journal.reading() as db:
        curves = run_curves.of_runs(db, [run.id], "valid/map5")[run.id]
        assert db.exec(select(Submission.path)).one() == f"runs/{key}/submission.csv"
    assert curves == [FoldCurve(0, (1.0, 2.0), (0.25, 0.5))]


def test_it_is_told_where_it_stands(
    journal: Journal, challenge: Challenge, own: Repository, queue: Callable[..., Queued]
) -> None:
    key = queue("train.py result").run_key
    done(journal, key, time_limit_s=3600)
    found = told(journal, key)
    said, run_dir = found["environment"], str(journal.home.run_dir(key))
    assert found["cwd"] == str(own.path)
    assert (said["ONEHOUR_RUN_ID"], said["ONEHOUR_DATA_DIR"]) == (key, challenge.data_dir)
    assert (said["ONEHOUR_TIME_LIMIT_S"], said["PATH"]) == ("3600", os.environ["PATH"])
    assert (said["WANDB_DIR"], said["WANDB_MODE"]) == (run_dir, "offline")
    assert (said["WANDB_RUN_GROUP"], said["WANDB_TAGS"]) == (key, "day-1")
    assert said["WANDB_NOTES"] == "my own code does it"


def test_no_shell_reads_the_command(journal: Journal, own: Repository, queue: Callable[..., Queued]) -> None:
    key = queue("""train.py result 'two words' '$(touch hacked)' '; touch hacked' "it's" '*' '~' '$HOME' ''""").run_key
    assert done(journal, key).state == "succeeded"
    assert told(journal, key)["argv"][1:] == [
        "two words",
        "$(touch hacked)",
        "; touch hacked",
        "it's",
        "*",
        "~",
        "$HOME",
        "",
    ]
    assert not (own.path / "hacked").exists()


def test_exit_75_is_another_attempt_that_goes_on(journal: Journal, queue: Callable[..., Queued]) -> None:
    key = queue("train.py resume").run_key
    job = done(journal, key)
    assert (job.state, job.attempt, job.lost) == ("succeeded", 2, 0)


@pytest.mark.parametrize(
    ("mode", "cv", "remark"),
    [
        ("rows", 0.5, "There is no result.json: the CV is the last valid/map5 in metrics.jsonl."),
        (
            "nothing",
            None,
            "It left neither result.json nor a row with valid/map5 in metrics.jsonl, nor logged it to W&B, so it has no CV.",
        ),
    ],
)
def test_without_a_result_it_has_succeeded_and_says_what_it_has(
    journal: Journal, queue: Callable[..., Queued], mode: str, cv: float | None, remark: str
) -> None:
    key = queue(f"train.py {mode}").run_key
    assert done(journal, key).state == "succeeded"
    assert (run_of(journal, key).cv, json.loads(run_of(journal, key).remarks or "")) == (cv, [remark])


@pytest.mark.parametrize(
    ("mode", "message"),
    [("refuse", "the learning rate is too high"), ("broken", "cv: input should be a valid number")],
)
def test_what_went_wrong_is_said(journal: Journal, queue: Callable[..., Queued], mode: str, message: str) -> None:
    job = done(journal, queue(f"train.py {mode}").run_key)
    assert job.state == "failed"
    assert message in job.message


def test_what_is_edited_while_it_waits_changes_nothing(
    journal: Journal, own: Repository, queue: Callable[..., Queued]
) -> None:
    own.write(".gitignore", "data.txt\n")
    own.write("data.txt", "beside the code")
    key = queue("train.py result").run_key
    own.write("train.py", SCRIPT.replace("STEP = 1", "STEP = 2"))
    assert done(journal, key).state == "succeeded"
    assert run_of(journal, key).cv == 0.5
    assert told(journal, key)["cwd"].startswith(str(journal.home.code_dir))
    assert json.loads(run_of(journal, key).remarks or "") == ["beside the code"]


def test_again_reproduces_and_present_code_does_not(
    journal: Journal, own: Repository, queue: Callable[..., Queued]
) -> None:
    own.write("train.py", SCRIPT.replace("STEP = 1", "STEP = 1.5"))  # not committed
    first = queue("train.py result").run_key
    done(journal, first)
    own.write("train.py", SCRIPT.replace("STEP = 1", "STEP = 2"))
    own.write("uv.lock", "other packages")
    repeated = again.again(journal, first)
    assert repeated.run_key == first.replace("-r01", "-r02")
    assert "built again from" in repeated.says[0]
    assert "The lock file is another one now" in repeated.says[1]
    present = again.again(journal, first, present_code=True)
    assert present.says == ()
    assert done(journal, repeated.run_key).state == done(journal, present.run_key).state == "succeeded"
    found = [run_of(journal, key) for key in (first, repeated.run_key, present.run_key)]
    assert [run.cv for run in found] == [0.75, 0.75, 1.0]
    assert [run.parent_id for run in found] == [None, found[0].id, found[0].id]
    with journal.reading() as db:
        codes = [db.get(RunCode, run.id) for run in found]
    assert codes[0] is not None
    assert codes[1] is not None
    assert (codes[0].commit, codes[0].diff) == (codes[1].commit, codes[1].diff)


def test_a_variation_changes_what_is_named(journal: Journal, queue: Callable[..., Queued]) -> None:
    first = queue("train.py result").run_key
    second = again.again(journal, first, [f"argv=[{PYTHON}, train.py, rows]", "tracking.wandb=off"])
    run = run_of(journal, second.run_key)
    assert run.spec_source == f"{PYTHON} train.py rows"
    assert CommandSpec.model_validate_json(run.spec).tracking.wandb == "off"
    with pytest.raises(OnehourError, match=r"--set: unknown key 'metrics'. Did you mean 'metric'"):
        again.again(journal, first, ["metrics=map3"])
    with pytest.raises(OnehourError, match=f"there is no run 'humpback_001r02'. Did you mean {second.run_key!r}"):
        again.again(journal, second.run_key.replace("-", ""))


def test_a_record_that_is_gone_is_refused_when_it_is_asked_for(
    journal: Journal, own: Repository, queue: Callable[..., Queued]
) -> None:
    own.write("train.py", SCRIPT.replace("STEP = 1", "STEP = 2"))
    lost = own.commit()
    key = queue("train.py result").run_key
    own.git("reset", "--quiet", "--hard", "HEAD~1")
    own.git("reflog", "expire", "--expire=now", "--all")
    own.git("gc", "--quiet", "--prune=now")
    with pytest.raises(NoRecord, match=f"the commit {lost[:10]}"):
        again.again(journal, key)
    job = done(journal, key)  # and what waits with it does not run with other code
    assert job.state == "failed"
    assert f"the commit {lost[:10]} that this run was queued with is not there" in job.message
    assert done(journal, again.again(journal, key, present_code=True).run_key).state == "succeeded"


def test_outside_a_repository_it_runs_and_that_is_said(
    journal: Journal, tmp_path: Path, queue: Callable[..., Queued]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "train.py").write_text(SCRIPT)
    queued = queue("train.py result", cwd=bare)
    assert queued.says == (f"{bare}: this folder is in no git repository, so the code of this run is not recorded.",)
    assert done(journal, queued.run_key).state == "succeeded"
    assert "has no record of its code" in again.again(journal, queued.run_key).says[0]
    for name in (".git-credentials", ".env", "notes.txt", "cache/a.bin"):
        (bare / name).parent.mkdir(exist_ok=True)
        (bare / name).write_text("x")
    assert own_command.code_patterns(bare, None) == ("cache/a.bin", "notes.txt", "train.py")


def test_elsewhere_it_takes_that_machines_python_and_what_git_keeps(
    journal: Journal, challenge: Challenge, own: Repository, queue: Callable[..., Queued]
) -> None:
    own.write(".gitignore", "cache/\n")
    own.write("cache/large.bin", "x")
    own.write("odd [name].py", "")
    spec = own_code.command(challenge, "python train.py result", own.path)
    key = orders.queue_run(journal, "python train.py", spec, "elsewhere").run_key
    programme = of_run(run_of(journal, key))
    code, data = programme.inputs()["code"], programme.inputs()["data"]
    assert (code.path, data.path) == (own.path, Path(challenge.data_dir))
    assert {name.name for pattern in code.only for name in own.path.glob(pattern)} == {
        ".gitignore",
        "train.py",
        "odd [name].py",
    }
    argv = programme.argv(Places("/opt/python3", "/there/run", {"code": "/there/code", "data": "/there/data"}))
    assert argv[-3:] == ["/opt/python3", "train.py", "result"]
    assert argv[0] == "env"
    assert {"ONEHOUR_RUN_DIR=/there/run", "ONEHOUR_DATA_DIR=/there/data", "WANDB_DIR=/there/run"} < {*argv}
    assert not any(word.startswith("PATH=") for word in argv)


def test_data_is_not_sent_as_code(challenge: Challenge, own: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_command, "MOST_BYTES", 3_000)
    own.write("weights.bin", "x" * 4_000)
    spec = own_code.command(challenge, "python train.py", own.path)
    with pytest.raises(
        OnehourError, match=r"the largest is weights.bin .* Let git ignore data, or name what is needed"
    ):
        own_command.refuse_too_large(spec)
    own_command.refuse_too_large(own_code.command(challenge, "python train.py", own.path, inputs=["*.py"]))


def test_data_is_not_sent_as_code_by_a_move_either(
    journal: Journal, queue: Callable[..., Queued], own: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = queue("train.py").run_key
    table = '[backends.box]\nkind = "ssh"\nhost = "box"\ndir = "/there"\nslots = 1\n'
    journal.home.config_toml.write_text(table)
    monkeypatch.setattr(own_command, "MOST_BYTES", 3_000)
    own.write("weights.bin", "x" * 4_000)
    with pytest.raises(OnehourError, match=r"the largest is weights.bin"):
        orders.move_to(journal, key, "box")
    with journal.reading() as db:
        assert backlog.job_of(db, key).backend == "local"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "the command is empty"),
        ("python 'train.py", "the command cannot be read .No closing quotation"),
        ("pythn train.py", "there is no program 'pythn' to be started"),
        ("./train.py", "there is no program './train.py' to be started.*must be executable"),
    ],
)
def test_a_command_that_cannot_start_is_refused_before_it_waits(
    challenge: Challenge, own: Repository, line: str, sentence: str
) -> None:
    with pytest.raises(OnehourError, match=sentence):
        own_code.command(challenge, line, own.path)


NBCONVERT = """#!{python}
import json, pathlib, sys
asked = dict(zip(sys.argv, sys.argv[1:]))
cells = json.loads(pathlib.Path(sys.argv[-1].replace("[[]", "[")).read_text())["cells"]
for cell in cells:
    exec(compile("".join(cell["source"]), sys.argv[-1], "exec"), {{}})
pathlib.Path(asked["--output-dir"], asked["--output"] + ".ipynb").write_text("executed")
"""


def test_a_notebook_is_executed_by_the_nbconvert_on_the_persons_path(
    journal: Journal,
    challenge: Challenge,
    own: Repository,
    tmp_path: Path,
    queue: Callable[..., Queued],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    cell = 'import os; open(os.environ["ONEHOUR_RUN_DIR"] + "/result.json", "w").write(\'{"cv": 0.5}\')'
    book = own.write("ideas/first [try].ipynb", json.dumps({"cells": [{"cell_type": "code", "source": [cell]}]}))
    with pytest.raises(OnehourError, match=r"nbconvert, which is not installed where you are.*pip install nbconvert"):
        own_code.notebook(challenge, book, None)
    # As little of the real one as the call needs: executes the cells and writes where it was asked to.
    program = tmp_path / "bin" / "jupyter-nbconvert"
    program.parent.mkdir()
    program.write_text(NBCONVERT.format(python=PYTHON))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    spec = own_code.notebook(challenge, book, own.path)
    key = orders.queue_run(journal, spec.line, spec, "a notebook will do").run_key
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # the worker has another one than the person
    assert done(journal, key).state == "succeeded"
    assert run_of(journal, key).cv == 0.5
    assert (journal.home.run_dir(key) / "first [try].ipynb").read_text() == "executed"
    elsewhere = OwnCommand(spec, key, own.path).argv(Places("/opt/python3", "/there", {"code": "/c", "data": "/d"}))
    assert elsewhere[elsewhere.index("/opt/python3") :][:3] == ["/opt/python3", "-m", "nbconvert"]
    assert elsewhere[-1] == "./ideas/first [[]try].ipynb"


def test_a_command_that_calls_the_engine_brings_the_engines_result(
    journal: Journal, challenge: Challenge, own: Repository, queue: Callable[..., Queued]
) -> None:
    own.write(
        "call.py",
        "import os, sys\nfrom pathlib import Path\nfrom engine.run_folder import RunFolder\n"
        "from tests.app.trainings import write_result\nwrite_result(RunFolder(Path(os.environ['ONEHOUR_RUN_DIR'])))\n",
    )
    key = queue("call.py").run_key
    checkout = Path(__file__).parents[2]
    os.environ["PYTHONPATH"] = str(checkout)
    try:
        assert done(journal, key).state == "succeeded"
    finally:
        del os.environ["PYTHONPATH"]
    run = run_of(journal, key)
    assert (run.cv, run.threshold, run.folds_sha256) == (0.625, 0.375, "f")


def test_its_progress_is_what_its_newest_row_says(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.progress() == 0
    folder.metrics_jsonl.write_text('{"progress": 0.25}\n{"progress": "most"}\n{"progress": 0.5, "epoch": 2}\n')
    assert folder.progress() == 0.5
    folder.metrics_jsonl.write_text('{"progress": 7}\n')
    assert folder.progress() == 1.0
