"""What is told of the unknown label's threshold: threshold.json, its picture, and sentences beside the CV."""

from __future__ import annotations

from dataclasses import asdict

from matplotlib.figure import Figure

from engine.inference.answers import Answered, unknown_first_share
from engine.inference.quota import Quota
from engine.run_folder import RunFolder, atomic_file, write_json

UNLIKE = 0.15  # shares of images answered with unknown first that differ by more are told
INK, FAINT, CHOSEN, QUOTA = "#1f1f1f", "#9a9a9a", "#0072b2", "#d55e00"


def write_threshold(
    folder: RunFolder, answered: Answered, metric: str, unknown_label: str | None, expected_share: float | None
) -> None:
    """Write threshold.json, and threshold.png where there is a curve to draw.

    `oof` is chosen on all OOF rows, `test` the same carried over to the scores of the test images.
    """
    with_unknown = answered.for_test is not None
    if answered.curve:
        with atomic_file(folder.threshold_png) as file:
            plot(answered, metric, unknown_label or "").savefig(file, format="png", dpi=120)
    write_json(
        folder.threshold_json,
        {
            "unknown_label": unknown_label,
            "expected_unknown_share": expected_share,
            "oof": answered.chosen,
            "test": answered.for_test,
            "folds": {str(fold): value for fold, value in answered.thresholds.items()},
            "quota": None if answered.quota is None else asdict(answered.quota),
            "unknown_first_share": unknown_first_share(answered.test, unknown_label) if with_unknown else None,
            "unknown_first_share_oof": answered.first_share if with_unknown else None,
            "curve": [list(point) for point in answered.curve],
        },
    )


def plot(answered: Answered, metric: str, unknown_label: str) -> Figure:
    """The score over the threshold on all OOF rows; the thresholds of the folds, of all rows, and of a quota."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    thresholds, scores = zip(*answered.curve, strict=True)
    axes.step(thresholds, scores, where="pre", color=INK, linewidth=1.2)
    for number, value in enumerate(answered.thresholds.values()):
        label = "each fold, chosen on the others" if number == 0 else None
        axes.axvline(value, color=FAINT, linewidth=0.8, label=label)
    if answered.chosen is not None:
        axes.axvline(answered.chosen, color=CHOSEN, linewidth=1.6, label=f"all folds: {answered.chosen:.3g}")
    if answered.quota is not None:
        label = f"a quota of {answered.quota.share:.0%} of the test images: {answered.quota.threshold:.3g}"
        axes.axvline(answered.quota.threshold, color=QUOTA, linewidth=1.6, linestyle="--", label=label)
    if answered.quota is not None:
        title = f"Rows re-weighted so that {answered.quota.share:.0%} are {unknown_label}"
        axes.set_title(title, fontsize="small", loc="left", color=INK)
    axes.set_xlabel(f"threshold: {unknown_label} comes before a label that scores less")
    axes.set_ylabel(f"{metric} over all OOF rows")
    axes.legend(edgecolor="none", framealpha=0.9, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def quota_notes(answered: Answered, unknown_label: str | None, expected_share: float | None) -> tuple[str, ...]:
    """The threshold held against that of a quota where a share is expected; and a sentence where unknown comes first for a
    share of the test images that is far from what was to be expected.
    """
    if answered.for_test is None:
        return ()
    notes = [] if answered.quota is None else [_cross_check(answered.quota)]
    test, valid = unknown_first_share(answered.test, unknown_label), answered.first_share
    if expected_share is not None and abs(test - expected_share) > UNLIKE:
        notes.append(
            f"{unknown_label} comes first for {test:.0%} of the test images, and {expected_share:.0%} are expected to be"
            " unknown: the nets tell the known ones apart too poorly, or the expected share is wrong."
        )
    if expected_share is None and abs(test - valid) > UNLIKE:
        notes.append(
            f"{unknown_label} comes first for {test:.0%} of the test images and for {valid:.0%} in validation:"
            " the test images are unlike those trained on, or few. Expect another score than the CV."
        )
    return tuple(notes)


def _cross_check(quota: Quota) -> str:
    return (
        f"A quota of {quota.share:.0%} unknown test images would set the threshold at {quota.threshold:.3g}, OOF sets it at "
        f"{quota.chosen:.3g}: over OOF that is {quota.score:.4f} against {quota.chosen_score:.4f}."
    )
