"""The table of bench/nyala.py: what its runs scored, for the share of unknown individuals in training and for a quarter."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import cast

import numpy as np

from app.scores.verdict import compare, verdict_text
from engine.data.competition import Competition
from engine.inference.answers import Ranked, answer, unknown_first_share
from engine.inference.metric import Lists
from engine.inference.record import Oof, read_oof, read_test
from engine.inference.score import score_files
from engine.inference.submission import check_submission, write_submission
from engine.inference.unknown import row_weights
from engine.run_folder import RunFolder, write_text

QUARTER = 0.25  # of the test images, as the competition describes them
RESAMPLES = 4000  # of the individuals
PAIRS = (
    ("cpu-transfer", "plain-fastai"),
    ("identify", "plain-fastai"),
    ("identify", "cpu-transfer"),
    ("cpu-transfer", "points-alone"),
    ("identify", "points-alone"),
    ("cpu-transfer-at-length", "points-alone"),
)


@dataclass(frozen=True)
class Study:
    """The finished runs: method → seed → folder. `competition` says what was one sighting."""

    competition: Competition
    runs: Mapping[str, Mapping[int, RunFolder]]

    @property
    def unknown(self) -> str:
        assert self.competition.unknown_label is not None
        return self.competition.unknown_label


@dataclass(frozen=True)
class Scored:
    """One run's answers, for the share of unknown individuals that its training images have or another one.

    `rows` (N,): what each training image scored, `weights` (N,) of mean 1; `test`: what the test images are answered with.
    """

    oof: Oof
    rows: np.ndarray
    weights: np.ndarray
    first_oof: float
    test: Sequence[Sequence[str]]

    @property
    def cv(self) -> float:
        return float(np.average(self.rows, weights=self.weights))

    @cached_property
    def by_fold(self) -> dict[int, float]:
        folds = {fold: self.oof.fold == fold for fold in sorted(set(self.oof.fold.tolist()))}
        return {fold: float(np.average(self.rows[here], weights=self.weights[here])) for fold, here in folds.items()}


def write_table(study: Study, minutes: Mapping[str, float], out: Path, truth: Path | None) -> None:
    """Write OUT/table.md and the submissions of what is finished. `minutes`: those of the processor, by run."""
    lines = []
    for share in (None, QUARTER):
        scored = {method: {seed: answered(study, folder, share) for seed, folder in folders.items()}
                  for method, folders in study.runs.items()}  # fmt: skip
        title = "as in training" if share is None else f"re-weighted to {share:.0%} unknown"
        lines += [f"### Unknown individuals {title}", "", *scores(study, scored, minutes, share), ""]
        lines += [*paired(study, scored), ""]
        lines += [*submitted(study, scored, out, share, truth), ""]
    write_text(out / "table.md", "\n".join(lines))


def answered(study: Study, folder: RunFolder, share: float | None) -> Scored:
    """A finished run answered anew from its predictions, with the threshold for `share` of unknown images."""
    oof, test, spec = read_oof(folder.oof_npz), read_test(folder.test_npz), folder.read_spec()
    truths = oof.scored_as.tolist()
    singles = np.array([one.scores[:, 0] for one in test.by_fold])
    made = answer(spec.metric, truths, oof.fold, oof.best, test.best, singles, study.unknown, share)
    valid, on_test = cast(Lists, made.valid), cast(Lists, made.test)
    weights = row_weights(truths, study.unknown, share)
    return Scored(oof, reciprocal_ranks(truths, valid), weights, unknown_first_share(valid, study.unknown), on_test)


def reciprocal_ranks(truths: Sequence[str], lists: Sequence[Sequence[str]]) -> np.ndarray:
    """MAP@5 of each image: (N,)."""
    firsts = [list(found[:5]) for found in lists]
    return np.array(
        [1 / (five.index(true) + 1) if true in five else 0.0 for true, five in zip(truths, firsts, strict=True)]
    )


def scores(
    study: Study, scored: Mapping[str, Mapping[int, Scored]], minutes: Mapping[str, float], share: float | None
) -> list[str]:
    """A line a method: CV, and what it scores on images of known individuals alone, among known individuals."""
    lines = [
        "| method | CV, mean ± sd over seeds | a seed | constant answer | known alone | those of a sighting | the others "
        "| unknown first, OOF / test | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method, runs in scored.items():
        some = list(runs.values())
        cvs = [one.cv for one in some]
        spread = f" ± {stdev(cvs):.4f}" if len(cvs) > 1 else ""
        known = [known_alone(study, one.oof) for one in some]
        tested = fmean(unknown_first_share(one.test, study.unknown) for one in some)
        took = fmean(minutes[study.runs[method][seed].run_id] for seed in runs)
        lines.append(
            f"| {method} | {fmean(cvs):.4f}{spread} | {' '.join(f'{cv:.4f}' for cv in cvs)} "
            f"| {constant(study, some[0].oof, share):.4f} | {' | '.join(f'{fmean(part):.3f}' for part in zip(*known, strict=True))} "
            f"| {fmean(one.first_oof for one in some):.2f} / {tested:.2f} | {took:.1f} |"
        )
    return lines


def constant(study: Study, oof: Oof, share: float | None) -> float:
    """What the same answer to all images scores: the unknown label, then the most frequent ones."""
    common = [label for label, _ in collections.Counter(oof.label[oof.label != study.unknown].tolist()).most_common(4)]
    rows = reciprocal_ranks(oof.scored_as.tolist(), [[study.unknown, *common]] * len(oof.label))
    return float(np.average(rows, weights=row_weights(oof.scored_as, study.unknown, share)))


def known_alone(study: Study, oof: Oof) -> tuple[float, float, float]:
    """MAP@5 among known individuals of the images whose individual the fold's net knows: all, those of a sighting, the others."""
    assert isinstance(oof.best, Ranked)
    known = oof.scored_as != study.unknown
    rows = reciprocal_ranks(oof.scored_as[known].tolist(), oof.best.labels[known].tolist())
    sightings = dict(zip(study.competition.images, study.competition.sightings or (), strict=True))
    together = np.array([sightings[image] != "" for image in oof.image[known].tolist()])
    return float(rows.mean()), float(rows[together].mean()), float(rows[~together].mean())


def paired(study: Study, scored: Mapping[str, Mapping[int, Scored]]) -> list[str]:
    """Differences on the same folds, means over the seeds: over the folds as the product says it, and over individuals."""
    lines = []
    for better, worse in PAIRS:
        seeds = sorted(scored.get(better, {}).keys() & scored.get(worse, {}).keys())
        if not seeds:
            continue
        one, other = ([scored[method][seed] for seed in seeds] for method in (better, worse))
        folds = [{fold: fmean(run.by_fold[fold] for run in runs) for fold in runs[0].by_fold} for runs in (one, other)]
        verdict = compare(*folds, "max", worse)
        assert verdict is not None
        gain = np.mean([a.rows - b.rows for a, b in zip(one, other, strict=True)], axis=0)
        low, high = individuals_interval(study, one[0], gain)
        lines.append(f"- {better}: {verdict_text(verdict)} over folds; {low:+.3f} to {high:+.3f} over individuals")
    return lines


def individuals_interval(study: Study, run: Scored, gain: np.ndarray) -> tuple[float, float]:
    """95 % interval of the weighted mean `gain` (N,) over new draws of the individuals; an unknown image is one of its own."""
    labels = run.oof.label.tolist()
    names = [f"{label} {row}" if label == study.unknown else label for row, label in enumerate(labels)]
    which = np.unique(names, return_inverse=True)[1]
    sums, sizes = np.bincount(which, gain * run.weights), np.bincount(which, run.weights)
    drawn = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(1) / sizes[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def submitted(
    study: Study, scored: Mapping[str, Mapping[int, Scored]], out: Path, share: float | None, truth: Path | None
) -> list[str]:
    """Write the submissions; where there is a truth, their scores."""
    lines = ["| submission | public | private | all |", "|---|---|---|---|"]
    for method, runs in scored.items():
        for seed, run in runs.items():
            folder = study.runs[method][seed]
            written = RunFolder(out / "submissions" / f"{folder.run_id}{'' if share is None else f'-{share:g}'}")
            write_submission(written, study.competition.submission_header, study.competition.test_ids, run.test)
            check_submission(written.submission_csv, study.competition)
            cells = ["–"] * 3
            if truth is not None:
                found = score_files(folder.read_spec().metric, truth, written.submission_csv)
                cells = ["–" if value is None else f"{value:.4f}" for value in (found.public, found.private, found.all)]
            lines.append(f"| {written.run_id} | {' | '.join(cells)} |")
    return lines
