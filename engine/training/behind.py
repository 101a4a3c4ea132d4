"""Whether a run is clearly behind an earlier one on the very same folds, by the rule in its spec (stop_if_behind)."""

from __future__ import annotations

from engine.contract import METRIC_DIRECTIONS, RunSpec, StopIfBehind
from engine.data.competition import Competition
from engine.data.folds import Folds
from engine.inference.so_far import scores_so_far
from engine.run_folder import RunFolder, file_sha256


def why_behind(spec: RunSpec, folder: RunFolder, competition: Competition, folds: Folds) -> str:
    """The reason why the run has no hope, judged by its finished folds; empty where it has, or there is nothing to compare."""
    rule = spec.stop_if_behind
    if rule is None or not _same_folds(rule, folder):
        return ""
    return rule.why_stop(scores_so_far(spec, folder, competition, folds), METRIC_DIRECTIONS[spec.metric])


def other_folds_note(spec: RunSpec, folder: RunFolder) -> tuple[str, ...]:
    """A sentence where the rule cannot be followed."""
    rule = spec.stop_if_behind
    if rule is None or _same_folds(rule, folder):
        return ()
    return (f"It was not held against {rule.run} fold by fold: its folds are other ones.",)


def _same_folds(rule: StopIfBehind, folder: RunFolder) -> bool:
    return folder.folds_csv.is_file() and file_sha256(folder.folds_csv) == rule.folds_sha256
