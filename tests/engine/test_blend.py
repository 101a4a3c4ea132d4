"""Blends of finished runs: a run of their own, better than their parents where these differ, honest about the CV."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from engine.__main__ import main
from engine.blending.blend import blend
from engine.blending.weights import Weighing, fitted_weights
from engine.contract import (
    EXIT_BAD_INPUT,
    EXIT_OK,
    BlendSpec,
    FoldScore,
    OnehourError,
    RunResult,
    RunSpec,
    blend_preset_names,
)
from engine.data.folds import Folds, write_folds
from engine.inference.answers import Ranked, answer, as_asked, score_by_fold, spread
from engine.inference.metric import METRICS, in_order, map5, score
from engine.inference.record import KEPT, OnTest, Oof, read_oof, save_oof, save_test
from engine.inference.submission import write_submission
from engine.inference.threshold_report import write_threshold
from engine.run_folder import RunFolder, file_sha256, write_json

UNKNOWN, FOLDS, IMAGES, TEST = "new", 3, 300, 200
LABELS = tuple(f"w{i:02}" for i in range(20))


def finished(
    folder: Path, seed: int, noise: float, metric: str = "map5", against_unknown: bool = False, fold_seed: int = 0,
    classes: tuple[str, ...] = LABELS, backbone: str = "resnet18",
) -> RunFolder:  # fmt: skip
    """A finished run whose nets see the same truths, each with its own `noise`."""
    run, truths = RunFolder(folder), np.random.default_rng(7)
    asked = METRICS[metric].answer == "labels"
    unknown = UNKNOWN if asked else None

    def truth_of(count: int) -> np.ndarray:
        codes = truths.integers(0, len(classes), count)
        return np.where((truths.random(count) < 0.3) & asked, -1, codes)

    noises = np.random.default_rng(seed)

    def seen(codes: np.ndarray) -> Ranked:
        logits = noises.normal(0, noise, (len(codes), len(classes)))
        known = np.flatnonzero(codes >= 0)
        logits[known, codes[known]] += 3
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        kept = KEPT if asked else len(classes)
        order = np.argsort(-scores, axis=1)[:, :kept]
        best = np.take_along_axis(scores, order, axis=1)
        return Ranked(np.array(classes)[order], np.log(best) - np.log(0.1) if against_unknown else best)

    codes, test_codes = truth_of(IMAGES), truth_of(TEST)
    named = np.append(np.array(classes), UNKNOWN)
    labels = named[codes]
    fold_of = np.random.default_rng(fold_seed).permutation(IMAGES) % FOLDS
    oof, by_fold = seen(codes), [seen(test_codes) for _ in range(FOLDS)]
    spec = RunSpec(data={"dir": "d", "unknown_label": unknown}, metric=metric, folds=FOLDS, backbone=backbone)
    run.create(spec)
    images = tuple(f"{i:03}.jpg" for i in range(IMAGES))
    write_folds(run.folds_csv, Folds(images, tuple(labels.tolist()), tuple(fold_of.tolist()), tuple(range(IMAGES))))
    tests = np.array([f"t{i:03}.jpg" for i in range(TEST)])
    save_oof(run.oof_npz, Oof(np.array(images), labels, labels, fold_of, oof, against_unknown))
    save_test(run.test_npz, OnTest(tests, by_fold[0], by_fold if asked else []))
    singles = np.array([one.scores[:, 0] for one in by_fold])
    answered = answer(metric, labels.tolist(), fold_of, oof, by_fold[0], singles, unknown, None)
    cv, scores = score_by_fold(metric, labels.tolist(), fold_of, answered.valid)
    write_threshold(run, answered, metric, unknown, None)
    header = ("Image", *(classes if METRICS[metric].answer == "probabilities" else ["Id"]))
    result = RunResult(
        run_id=run.run_id, metric=metric, direction="max" if asked else "min", cv=cv, images=IMAGES,
        fold_scores=[
            FoldScore(fold=fold, score=one, images=int((fold_of == fold).sum()), threshold=answered.thresholds.get(fold))
            for fold, one in enumerate(scores)
        ],
        threshold=answered.for_test, classes=len(classes), test_images=TEST, data_sha256="d",
        submission_sha256=write_submission(run, header, tests.tolist(), answered.test, METRICS[metric].places),
        folds_sha256=file_sha256(run.folds_csv), train_s=60.0, started_at=1, finished_at=2,
    )  # fmt: skip
    write_json(run.result_json, result.model_dump(mode="json"))
    return run


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., RunFolder]:
    return lambda name, *args, **kwargs: finished(tmp_path / name, *args, **kwargs)


@pytest.mark.parametrize("by", ["score", "rank"])
def test_a_blend_is_a_run_with_its_own_cv_parents_and_submission(made, tmp_path: Path, by: str) -> None:
    runs = [made("a_001-r01", 1, 1.5), made("b_001-r01", 2, 1.5)]
    out = RunFolder(tmp_path / "blend_001-r01")
    assert main(["blend", *(str(run.path) for run in runs), "--out", str(out.path), "--set", f"by={by}"]) == EXIT_OK
    result = out.read_result()
    assert result is not None
    assert result.run_id == "blend_001-r01"
    assert result.parents == ("a_001-r01", "b_001-r01")
    assert result.cv > max(run.read_result().cv for run in runs) + 0.03
    assert result.cv == pytest.approx(sum(one.score * one.images for one in result.fold_scores) / IMAGES)
    assert result.folds_sha256 == file_sha256(out.folds_csv) == runs[0].read_result().folds_sha256
    assert result.submission_sha256 == file_sha256(out.submission_csv)
    assert (result.train_s, result.gpu_s) == (0, 0), "what the parents took is counted there"
    assert "a_001-r01 0." in result.notes[0]
    rows = list(csv.reader(out.submission_csv.open()))
    assert [row[0] for row in rows] == ["Image", *(f"t{i:03}.jpg" for i in range(TEST))]
    assert all(len(row[1].split()) == 5 for row in rows[1:])
    told = json.loads(out.threshold_json.read_text())
    assert told["test"] == result.threshold
    assert bool(told["curve"]) is (by == "score")
    assert out.progress() == 1.0
    assert out.read_spec().folds == FOLDS


def test_a_run_that_knows_nothing_gets_next_to_no_weight(made, tmp_path: Path) -> None:
    runs = [made("good", 1, 1.0), made("noise", 2, 50.0)]
    result = blend([run.path for run in runs], RunFolder(tmp_path / "x"), BlendSpec(by="score", weights="oof"))
    weight = float(result.notes[0].split("noise ")[1][:4])
    assert weight <= 0.1, result.notes[0]
    assert result.cv == pytest.approx(runs[0].read_result().cv, abs=0.01)
    equal = blend([run.path for run in runs], RunFolder(tmp_path / "y"), BlendSpec(by="score", weights="equal"))
    assert "good 0.50, noise 0.50" in equal.notes[0]
    assert equal.cv < result.cv


def test_no_image_has_a_say_in_the_weights_or_the_threshold_it_is_scored_with(made, tmp_path: Path) -> None:
    """Other truths in a fold change how well that fold is answered, but none of its answers."""
    runs = [made("a", 1, 1.5), made("b", 2, 2.0)]
    blend([run.path for run in runs], RunFolder(tmp_path / "x"), BlendSpec(by="score", weights="oof"))
    for run in runs:
        oof = read_oof(run.oof_npz)
        scored_as = np.where(oof.fold == 0, UNKNOWN, oof.scored_as)
        save_oof(run.oof_npz, Oof(oof.image, oof.label, scored_as, oof.fold, oof.best))
    blend([run.path for run in runs], RunFolder(tmp_path / "y"), BlendSpec(by="score", weights="oof"))
    before, after = read_oof(RunFolder(tmp_path / "x").oof_npz), read_oof(RunFolder(tmp_path / "y").oof_npz)
    here = before.fold == 0
    assert (before.best.labels[here] == after.best.labels[here]).all()
    assert np.allclose(before.best.scores[here], after.best.scores[here])
    thresholds = [json.loads(RunFolder(tmp_path / name).threshold_json.read_text())["folds"] for name in "xy"]
    assert thresholds[0]["0"] == thresholds[1]["0"]
    assert thresholds[0]["1"] != thresholds[1]["1"]


def test_scores_against_unknown_are_made_comparable(made, tmp_path: Path) -> None:
    runs = [made("a", 1, 1.5), made("b", 2, 1.5, against_unknown=True)]
    result = blend([run.path for run in runs], RunFolder(tmp_path / "x"), BlendSpec(by="score", weights="oof"))
    assert result.cv > max(run.read_result().cv for run in runs)
    scores = read_oof(RunFolder(tmp_path / "x").oof_npz).best.scores
    assert ((scores >= 0) & (scores <= 1)).all()


def test_probabilities_are_blended_where_lower_is_better(made, tmp_path: Path) -> None:
    runs = [made(name, seed, 1.5, metric="log_loss", classes=("a", "b", "c")) for seed, name in enumerate("ab")]
    out = RunFolder(tmp_path / "x")
    result = blend([run.path for run in runs], out, BlendSpec(by="score", weights="oof"))
    assert result.direction == "min"
    assert result.cv < min(run.read_result().cv for run in runs)
    assert out.submission_csv.read_text().startswith("Image,a,b,c\n")
    oof = read_oof(out.oof_npz)
    classes = in_order(oof.label.tolist())
    kept = as_asked("log_loss", spread(oof.best, classes), classes)
    assert score("log_loss", oof.label.tolist(), kept) == pytest.approx(result.cv)


def test_a_blend_of_blends_is_a_blend(made, tmp_path: Path) -> None:
    runs = [made(name, seed, 1.5) for seed, name in enumerate("abc")]
    first = blend([run.path for run in runs[:2]], RunFolder(tmp_path / "ab"), BlendSpec(by="score", weights="equal"))
    second = blend([tmp_path / "ab", runs[2].path], RunFolder(tmp_path / "abc"), BlendSpec(by="score", weights="oof"))
    assert second.parents == ("ab", "c")
    assert second.cv > first.cv
    blend([run.path for run in runs[:2]], RunFolder(tmp_path / "ranks"), BlendSpec(by="rank", weights="oof"))
    with pytest.raises(OnehourError, match="blend by rank cannot be blended again"):
        blend([tmp_path / "ranks", runs[2].path], RunFolder(tmp_path / "no"), BlendSpec(by="score", weights="oof"))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"fold_seed": 1}, ("b", "differs from a in folds.csv", "same metric on the same data and folds")),
        ({"metric": "map3"}, ("differs from a in metric",)),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(made, tmp_path: Path, second, words) -> None:
    runs = [made("a", 1, 1.5), made("b", 2, 1.5, **second)]
    with pytest.raises(OnehourError) as caught:
        blend([run.path for run in runs], RunFolder(tmp_path / "x"), BlendSpec(by="score", weights="oof"))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert not (tmp_path / "x").exists()


def test_a_blend_that_was_interrupted_is_made_again_and_one_that_is_done_stays(made, tmp_path: Path) -> None:
    runs, out = [made("a", 1, 1.5).path, made("b", 2, 1.5).path], RunFolder(tmp_path / "both_001-r01")
    first = blend(runs, out, BlendSpec())
    out.result_json.unlink()
    again = blend(runs, out, BlendSpec())
    assert again.model_copy(update={"started_at": 0, "finished_at": 0}) == first.model_copy(
        update={"started_at": 0, "finished_at": 0}
    )
    before = out.oof_npz.stat().st_mtime_ns
    assert blend(runs, out, BlendSpec()) == again
    assert out.oof_npz.stat().st_mtime_ns == before
    with pytest.raises(OnehourError, match="holds a run already"):
        blend(runs, out, BlendSpec(weights="equal"))


def test_what_is_no_finished_run_is_refused(made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, unfinished = made("a", 1, 1.5), made("b", 2, 1.5)
    unfinished.result_json.unlink()
    for runs, words in (
        ([run.path, unfinished.path], "not finished"),
        ([run.path, tmp_path / "nowhere"], "no run in this folder"),
        ([run.path, run.path], "named twice"),
        ([run.path], "two runs or more"),
    ):
        assert main(["blend", *map(str, runs), "--out", str(tmp_path / "x")]) == EXIT_BAD_INPUT
        assert words in capsys.readouterr().err
    assert main(["blend", str(run.path), str(run.path), "--out", str(run.path)]) == EXIT_BAD_INPUT
    assert "holds a run already" in capsys.readouterr().err


def test_weights_are_those_of_the_best_sum_in_the_metrics_direction() -> None:
    target = np.array([0.75, 0.25, 0.0])
    for metric, sign in (("map5", -1), ("rmse", 1)):
        found = fitted_weights(metric, 3, lambda mix, sign=sign: sign * float(((mix - target) ** 2).sum()))
        assert found == pytest.approx(target)


def test_the_blend_of_two_equal_runs_answers_as_they_do(made, tmp_path: Path) -> None:
    runs = [made("a", 1, 1.5), made("b", 1, 1.5)]
    result = blend([run.path for run in runs], RunFolder(tmp_path / "x"), BlendSpec(by="score", weights="equal"))
    parent = runs[0].read_result()
    assert result.cv == pytest.approx(parent.cv)
    assert (tmp_path / "x" / "submission.csv").read_bytes() == runs[0].submission_csv.read_bytes()
    oof = read_oof(RunFolder(tmp_path / "x").oof_npz)
    known = oof.label != UNKNOWN
    assert map5(oof.label[known].tolist(), oof.best.labels[known].tolist()) > parent.cv


def test_families_are_blended_in_themselves_first_and_then_with_each_other(made, tmp_path: Path) -> None:
    runs = [made(name, seed, noise, backbone=backbone) for name, seed, noise, backbone in (
        ("a_001-r01", 1, 1.5, "resnet34"), ("b_001-r01", 2, 1.5, "vgg16"), ("a_001-r02", 3, 50.0, "resnet34"),
    )]  # fmt: skip
    paths = [run.path for run in runs]
    result = blend(paths, RunFolder(tmp_path / "x"), BlendSpec(families="backbone"))
    assert result.notes[0].startswith("A blend by score, families by backbone: resnet34 0.")
    assert "(a_001-r01 0." in result.notes[0]
    assert result.cv > max(run.read_result().cv for run in runs) + 0.03
    told = yaml.safe_load((tmp_path / "x" / "spec.yaml").read_text())["blend"]
    assert told["weights_found"]["a_001-r02"] <= 0.05, "noise has little to say even in its own family"
    assert sum(told["weights_found"].values()) == pytest.approx(1, abs=1e-3)
    equal = blend(paths, RunFolder(tmp_path / "y"), BlendSpec(families="experiment", weights="equal"))
    assert "a_001 0.50 (a_001-r01 0.25, a_001-r02 0.25), b_001 0.50 (b_001-r01 0.50)" in equal.notes[0]


def test_the_weights_of_families_are_those_within_times_those_across() -> None:
    target = np.array([0.45, 0.4, 0.15])
    weighing = Weighing(((0, 2), (1,)), by_oof=True)
    found = weighing.weights("map5", lambda mix: -float(((mix - target) ** 2).sum()))
    alone = fitted_weights("map5", 2, lambda mix: -float(((mix - target[[0, 2]]) ** 2).sum()))
    assert found.sum() == pytest.approx(1)
    assert found[[0, 2]] / found[[0, 2]].sum() == pytest.approx(alone)
    assert found == pytest.approx(target, abs=0.1)


def test_a_blend_is_asked_by_a_preset_or_a_file_and_refused_in_a_sentence(
    made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(made(name, seed, 1.5).path) for seed, name in enumerate("ab")]
    for preset in blend_preset_names():
        assert main(["blend", *runs, "--preset", preset, "--out", str(tmp_path / preset)]) == EXIT_OK
    assert "A blend by rank: a" in RunFolder(tmp_path / "ranks").read_result().notes[0]
    asked = tmp_path / "how.yaml"
    asked.write_text("weights: equal\n")
    assert main(["blend", *runs, "--spec", str(asked), "--out", str(tmp_path / "x")]) == EXIT_OK
    assert "a 0.50, b 0.50" in RunFolder(tmp_path / "x").read_result().notes[0]
    capsys.readouterr()
    for options, words in (
        (["--preset", "blend", "--spec", str(asked)], "either a spec file or a preset"),
        (["--preset", "famlies"], "no preset 'famlies' of a blend. Did you mean 'families'?"),
        (["--set", "famlies=head"], "unknown key 'famlies'. Did you mean 'families'?"),
        (["--set", "by=place"], "by = 'place' is not possible"),
    ):
        assert main(["blend", *runs, *options, "--out", str(tmp_path / "no")]) == EXIT_BAD_INPUT
        assert words in capsys.readouterr().err
    assert main(["train", "--preset", "ranks", "--data", "d", "--out", str(tmp_path / "no")]) == EXIT_BAD_INPUT
    assert "python -m engine blend --preset ranks" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
