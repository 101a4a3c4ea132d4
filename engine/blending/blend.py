"""Several finished runs made into one: their scores, ranks or numbers added up, each with its weight.

Weights are fitted on out-of-fold predictions by picking, twenty times, the run that helps the sum most (Caruana et al.
2004, "Ensemble selection from libraries of models"): never negative, and a run that helps nothing gets 0. For the CV each
fold is scored with weights, and a threshold, from the other folds' images alone; for the test images both come from all.

By score, a label's scores of 0…1 are added. By rank, each run first puts the unknown label in its place with its own
threshold; then 1 / place is added, whatever the scores are like: for runs of different kinds.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

from engine.blending.mixture import of_labels, of_values
from engine.blending.parents import Parent, read_parent, refuse_unlike
from engine.blending.weights import Weighing
from engine.contract import BlendSpec, OnehourError, RunResult, RunSpec
from engine.inference.answers import score_by_fold
from engine.inference.metric import METRICS
from engine.inference.prior import to_all
from engine.inference.record import OnTest, Oof, fold_scores, save_oof, save_test
from engine.inference.submission import write_submission
from engine.inference.threshold_report import quota_notes, write_threshold
from engine.run_folder import RunFolder, write_json, write_text


def blend(runs: Sequence[Path], out: RunFolder, spec: BlendSpec) -> RunResult:
    """Blend the finished `runs` into the folder `out`, which then holds what a run's does but checkpoints.

    The expected share of the unknown label is the first run's. The same blend once more goes on where it was interrupted, or
    is done already.

    Raises OnehourError for runs that cannot be held together: of other folds, data or metric, or not finished.
    """
    started_at = _now_ms()
    parents = [read_parent(RunFolder(path)) for path in runs]
    names = [parent.result.run_id for parent in parents]
    stand_in = _stand_in(parents[0].spec, spec, out, names)
    if out.exists() and out.read_spec().without_places() != stand_in.without_places():
        raise OnehourError("this folder holds a run already", str(out.path), "Choose a new --out folder.")
    if (done := out.read_result()) is not None:
        return done
    refuse_unlike(parents, spec)
    families = families_of(parents, spec.families)
    weighing = Weighing(tuple(families.values()), spec.weights == "oof")
    first = parents[0]
    metric, share = first.result.metric, first.spec.expected_unknown_share
    truths, fold_of = first.oof.scored_as.tolist(), first.oof.fold
    unknown = first.spec.data.unknown_label if first.spec.data.unknown_label in truths else None
    if METRICS[metric].answer == "labels":
        mixture = of_labels(parents, spec.by == "rank", unknown, share, weighing)
    else:
        mixture = of_values(parents, weighing)
    cv, scores = score_by_fold(metric, truths, fold_of, mixture.answered.valid)

    told = {name: round(float(weight), 4) for name, weight in zip(names, mixture.weights, strict=True)}
    out.create(stand_in)
    asked = {"runs": [str(path) for path in runs], **spec.model_dump(), "weights_found": told}
    write_text(out.spec_yaml, "# A blend of finished runs.\n" + yaml.safe_dump({"blend": asked}, sort_keys=False))
    shutil.copyfile(first.folder.folds_csv, out.folds_csv)
    save_oof(out.oof_npz, Oof(first.oof.image, first.oof.label, first.oof.scored_as, fold_of, mixture.oof))
    seen = first.test.best.seen
    by_fold = [one.among(seen) for one in mixture.by_fold]
    save_test(out.test_npz, OnTest(first.test.image, mixture.test.among(seen), by_fold))
    on_test = to_all(mixture.answered.test, seen, metric, first.oof.label.tolist(), unknown)
    write_threshold(out, mixture.answered, metric, unknown, share)
    result = first.result.model_copy(
        update={
            "run_id": out.run_id,
            "parents": tuple(names),
            "cv": cv,
            "fold_scores": fold_scores(scores, fold_of, mixture.answered.thresholds, [0.0] * len(scores)),
            "threshold": mixture.answered.for_test,
            "classes": max(parent.result.classes for parent in parents),
            "submission_sha256": write_submission(
                out, first.submission_header, first.test.image.tolist(), on_test, METRICS[metric].places
            ),
            "train_s": 0.0,
            "gpu_s": 0.0,
            "device": "cpu",
            "wandb_mode": "off",
            "wandb_url": None,
            "notes": (_told(spec, told, names, families), *quota_notes(mixture.answered, unknown, share)),
            "started_at": started_at,
            "finished_at": _now_ms(),
            "versions": {"numpy": version("numpy")},
        }
    )
    write_json(out.result_json, result.model_dump(mode="json"))
    return result


def families_of(parents: Sequence[Parent], kind: str) -> dict[str, tuple[int, ...]]:
    """The places of the runs of each family, in the order in which the families are named first."""
    families: dict[str, tuple[int, ...]] = {}
    for place, parent in enumerate(parents):
        name = parent.family(kind)
        families[name] = (*families.get(name, ()), place)
    return families


def _told(spec: BlendSpec, told: dict[str, float], names: Sequence[str], families: dict[str, tuple[int, ...]]) -> str:
    """The first note: what was blended, and how much each run has to say in it."""
    parts = []
    for family, members in families.items():
        runs = ", ".join(f"{names[place]} {told[names[place]]:.2f}" for place in members)
        whole = sum(told[names[place]] for place in members)
        parts.append(f"{family} {whole:.2f} ({runs})" if spec.families != "none" else runs)
    how = f"A blend by {spec.by}" + (f", families by {spec.families}" if spec.families != "none" else "")
    fitted = " Weights were fitted on OOF, for each fold on the other folds." if spec.weights == "oof" else ""
    return f"{how}: {', '.join(parts)}.{fitted}"


def _stand_in(spec: RunSpec, how: BlendSpec, out: RunFolder, names: Sequence[str]) -> RunSpec:
    """A blend was trained by no spec; the first run's stands there for its data, metric and folds."""
    keys = ", ".join(f"{key}: {value}" for key, value in how.model_dump().items())
    words = f"A blend of {', '.join(names)} ({keys})."
    tracking = spec.tracking.model_copy(update={"run_id": out.run_id, "notes": words})
    return spec.model_copy(update={"tracking": tracking})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
