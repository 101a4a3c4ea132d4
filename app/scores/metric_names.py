"""How scripts spell a metric: which names mean the same thing, measured where.

`valid/map5`, `val_MAP@5` and `map5` are one metric; what was measured on training images is never what was held out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

OTHER_NAMES = {
    "accuracy": ("acc",),
    "macro_f1": ("f1", "f1score", "f1macro"),
    "log_loss": ("logloss",),
    "auc": ("rocauc",),
}
# Where several fit: measured on images that were held out, before what was measured elsewhere.
HELD_OUT = ("oof", "cv", "valid", "val", "eval", "dev")
# What may stand before the name itself: where, how or over what it was measured. The longer of two that begin alike comes first.
WHERE = r"(?:oof|cv|validation|valid|val|evaluation|eval|dev|holdout|test|mean|best|final|scores|score|metrics|metric|fold|epoch|avg|\d)+"
TRAIN = "train"


def spellings(metric: str) -> tuple[str, ...]:
    """The plain forms by which a metric goes."""
    return tuple(plain(name) for name in (metric, *OTHER_NAMES.get(metric, ())))


def goes_by(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether a name ends in one of `wanted`, and what stands before it says at most where it was measured."""
    before = [plain(name).removesuffix(one) for one in wanted if plain(name).endswith(one)]
    return any(not rest or re.fullmatch(WHERE, rest) for rest in before)


def is_of_training(name: str) -> bool:
    """Also a loss of which nothing is said: fastai, Keras and most scripts mean that of training by it."""
    return TRAIN in name.lower() or plain(name) == "loss"


def likeliest(names: Iterable[str]) -> str | None:
    """Of several names of one metric the one that was held out most surely; None without any."""
    return min(names, key=lambda name: (_rank(name), len(name), name), default=None)


def counterpart(metric: str, names: Iterable[str]) -> str | None:
    """Of `names` the one that means what `metric` means: itself, or as another script spells it. None where none does.

    `metric` as the engine logs it (`valid/map5`, `train/loss`) or as another script does (`val_map5`).
    """
    among = list(names)
    if metric in among:
        return metric
    wanted = spellings(_measure(metric))
    training = is_of_training(metric)
    return likeliest(
        name
        for name in among
        if is_of_training(name) == training and goes_by(name.lower().replace(TRAIN, "") if training else name, wanted)
    )


def _measure(metric: str) -> str:
    """What was measured, without where: `map5` of `valid/map5` and of `val_MAP@5`; as contract.METRIC_DIRECTIONS names it."""
    last = metric.rsplit("/", 1)[-1]
    bare = plain(last).replace(TRAIN, "") or plain(last)
    found = re.match(WHERE, bare)
    bare = bare[found.end() :] if found is not None and found.end() < len(bare) else bare
    same = (name for name in OTHER_NAMES if bare in spellings(name))
    return next(same, bare)


def _rank(name: str) -> int:
    words = re.split(r"[^a-z]+", name.lower())
    return next((place for place, word in enumerate(HELD_OUT) if word in words), len(HELD_OUT))


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
