"""`python -m engine`: exit codes, one sentence on stderr, and no torch where none is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __main__ as cli
from engine.contract import OnehourError, parse_overrides, read_spec

pytestmark = pytest.mark.unit


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    truth, predictions = tmp_path / "truth.csv", tmp_path / "predictions.csv"
    truth.write_text("Image,Id,Usage\n1,a,public\n2,b,private\n")
    predictions.write_text("Image,Id\n1,a\n2,x b\n")
    return str(truth), str(predictions)


def test_score_prints_public_private_and_all(files, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["score", "--metric", "map5", "--truth", files[0], "--predictions", files[1]])
    assert code == 0
    assert capsys.readouterr().out.split() == ["public", "1.000000", "private", "0.500000", "all", "0.750000"]


def test_score_prints_one_line_where_there_is_no_split(files, tmp_path: Path, capsys) -> None:
    truth = tmp_path / "whole.csv"
    truth.write_text("Image,Id\n1,a\n2,b\n")
    assert cli.main(["score", "--truth", str(truth), "--predictions", files[1]]) == 0
    assert capsys.readouterr().out.split() == ["all", "0.750000"]


def test_score_prints_json(files, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score", "--truth", files[0], "--predictions", files[1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "metric": "map5",
        "direction": "max",
        "public": 1.0,
        "private": 0.5,
        "all": 0.75,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score", "--metric", "mpa5", "--truth", "t", "--predictions", "p"], ("'mpa5'", "'map5'")),
        (["score", "--truth", "t.csv", "--predictions", "p"], ("t.csv", "no such file")),
        (["score", "--truht", "t.csv"], ("--truht", "--truth")),
        (["score", "--truth", "t.csv"], ("--predictions",)),
        (["scores"], ("scores", "score")),
        (["train", "--out", "run"], ("spec file or a preset",)),
        (["train", "a.yaml", "--preset", "b", "--out", "run"], ("spec file or a preset",)),
        (["train", "--preset", "cpu-tranfer", "--data", ".", "--out", "run"], ("'cpu-tranfer'", "'cpu-transfer'")),
        (["train", "nowhere.yaml", "--out", "run"], ("nowhere.yaml", "no such spec file")),
        (
            ["train", "--preset", "cpu-transfer", "--data", ".", "--out", "run", "--set", "sed=1"],
            ("--set: ", "'sed'", "'seed'"),
        ),
        (["train", "--preset", "cpu-transfer", "--data", ".", "--out", "run", "--set", "seed"], ("key=value",)),
        (
            ["train", "--preset", "cpu-transfer", "--data", ".", "--out", "run", "--set", "data.dri=x"],
            ("--set: ", "'dir'"),
        ),
        (["train", "--preset", "cpu-transfer", "--data", ".", "--out", "run", "--set", "folds.x=1"], ("--set: ",)),
        (["sample", "x", "--seed", "one"], ("--seed", "integer")),
        (["sample", "x", "--seed", "-1"], ("--seed",)),
    ],
)
def test_what_is_wrong_is_one_sentence_on_stderr_and_exit_2(
    arguments, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert all(word in output.err for word in words), output.err
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


@pytest.mark.parametrize(
    "arguments",
    [
        ["boxes", "train", ".", "--boxes", "boxes.csv", "--out", "file/model"],
        ["boxes", "apply", ".", "--model", "model", "--out", "file/found.csv"],
        ["sightings", ".", "--out", "file/below/sighted.csv"],
        ["lr-find", "--preset", "cpu-transfer", "--data", ".", "--out", "file/lr.png"],
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    assert cli.main(arguments) == 2
    assert "nothing can be written there (Not a directory). Choose a place you may write to." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def refused(capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    """The sentence about `settings` laid over a preset."""
    flags = [word for setting in settings for word in ("--set", setting)]
    assert cli.main(["train", "--preset", "cpu-transfer", "--data", "d", "--out", "run", *flags]) == 2
    return capsys.readouterr().err.strip()


def test_a_rule_about_two_keys_is_told_without_the_whole_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "weights=file") == "--set: weights: file needs weights_path, the file of a state dict."
    assert "weights: packaged" in refused(capsys, "weights_path=a.pt")


def test_a_bare_off_in_yaml_is_the_word(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text("data: {dir: d}\ntracking: {wandb: off}\n")
    assert read_spec(spec).tracking.wandb == "off"
    assert read_spec(spec, parse_overrides(["tracking.wandb=off"])).tracking.wandb == "off"


def test_a_long_wrong_value_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refused(capsys, f"backbone=[{', '.join(map(str, range(500)))}]")
    assert "backbone = [0, 1" in sentence
    assert "…" in sentence
    assert len(sentence) < 200


def test_a_wrong_key_of_the_file_is_not_blamed_on_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "mine.yaml"
    spec.write_text("sed: 1\n")
    assert cli.main(["train", str(spec), "--data", "d", "--out", "run", "--set", "folds=3"]) == 2
    assert capsys.readouterr().err.startswith(f"{spec}: unknown key 'sed'")


def test_what_libraries_say_to_developers_stays_unsaid(monkeypatch: pytest.MonkeyPatch, files) -> None:
    import warnings

    def warn(*_: object) -> None:
        warnings.warn("deprecated", FutureWarning, stacklevel=2)
        raise OnehourError("wrong")

    monkeypatch.setattr("engine.inference.score.score_files", warn)
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert cli.main(["score", "--truth", files[0], "--predictions", files[1]]) == 2
    assert not said


def test_an_error_keeps_its_sentence_whatever_a_library_does_to_its_arguments() -> None:
    error = OnehourError("the loss is no number", "fold 0", "Lower lr.")
    error.args = ("Exception occured in `Rows`",)
    assert str(error) == "fold 0: the loss is no number. Lower lr."


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch, files) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.inference.score.score_files", interrupted)
    assert cli.main(["score", "--truth", files[0], "--predictions", files[1]]) == 130


def test_help_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("sample", "train", "score"))


def test_scoring_loads_neither_torch_nor_fastai(files) -> None:
    program = (
        "import sys; from engine.__main__ import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'fastai', 'timm', 'albumentations', 'wandb', 'pandas', 'cv2'} & set(sys.modules);"
        "sys.exit(f'{heavy} loaded' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "score", "--truth", files[0], "--predictions", files[1]],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "all     0.750000" in done.stdout


def test_a_python_that_is_too_old_says_so_before_anything_else() -> None:
    program = (
        "import runpy, sys; sys.version_info, sys.version = (3, 10, 4), '3.10.4 (main)'\n"
        "runpy.run_module('engine', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"Python 3.10.4 ({sys.executable}) is too old for the engine: it needs 3.11.\n"
