"""The ground a run stands on: room on the disk, a folder to itself, and a log."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.check_folder import CheckFolder
from engine.contract import OnehourError, RunSpec
from engine.data.boxes import Box
from engine.data.cache import bytes_needed, is_cached
from engine.data.cache_room import cache_dir, cache_size
from engine.run_folder import RunFolder

log = logging.getLogger(__name__)


def folder_needed(spec: RunSpec, net_bytes: int) -> int:
    """The most bytes a run's folder ever holds beside its predictions, for a net of `net_bytes`.

    Last and best weights of each fold, and in the fold under way the optimizer's state (twice the weights) and averaged
    weights, while a new file is written beside the old one.
    """
    averaged = spec.averaging != "none"
    return net_bytes * (2 * spec.folds + 6 + 2 * averaged) + 50_000_000


def folder_held(folder: RunFolder) -> int:
    """The bytes of all files in a run's folder; 0 while it is not there."""
    return sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())


def cache_needed(spec: RunSpec, paths: Sequence[Path], boxes: Sequence[Box | None]) -> int:
    """The most bytes that the cache is still to take for the stages of a run (see engine.data.cache)."""
    missing = [size for size in set(spec.stage_sizes) if not is_cached(paths, size, boxes, spec.data.box_margin)]
    return sum(bytes_needed(len(paths), size) for size in missing)


def refuse_full_disk(
    spec: RunSpec, folder: RunFolder, paths: Sequence[Path], boxes: Sequence[Box | None], net_bytes: int
) -> None:
    """A full disk would otherwise show as a damaged checkpoint, or, with W&B, not at all.

    What an earlier attempt left in `folder` and in the cache of the images `paths` is not asked for again.
    """
    needs = {
        folder.path.absolute(): max(0, folder_needed(spec, net_bytes) - folder_held(folder)),
        cache_dir().absolute(): cache_needed(spec, paths, boxes),
    }
    on_disk: dict[int, int] = {}
    for path, needed in needs.items():
        place = next(place for place in (path, *path.parents) if place.exists())
        disk = place.stat().st_dev
        on_disk[disk] = on_disk.get(disk, 0) + needed
        free = shutil.disk_usage(place).free
        if free < on_disk[disk]:
            raise OnehourError(
                f"the disk has {free / 1e9:.2f} GB free and this run needs about {on_disk[disk] / 1e9:.2f} GB",
                str(path),
                "Free some space or choose another --out folder.",
            )


def done_so_far(spec: RunSpec, folder: RunFolder, only: int | None = None) -> object:
    """What a next start would find done, to be compared: equal before and after an attempt that did nothing of use.

    Images looked at and kept decoded (by this run or another), checkpoints and predictions, of the fold `only` if one is given.
    """
    facts = CheckFolder.of_data(Path(spec.data.dir), folder.path.resolve().parent).facts_csv
    folds = range(spec.folds) if only is None else (only,)
    kept = [path(fold) for path in (folder.last_checkpoint, folder.fold_predictions) for fold in folds]
    return (
        facts.stat().st_size if facts.exists() else 0,
        cache_size(),
        [path.stat().st_mtime_ns if path.exists() else 0 for path in kept],
    )


@contextmanager
def alone(folder: RunFolder, fold: int | None = None) -> Iterator[None]:
    """Hold the run, or a fold of it beside those who hold others: two processes that train one thing would mix their rows."""
    with ExitStack() as held:
        held.enter_context(_locked(folder.path, fcntl.LOCK_EX if fold is None else fcntl.LOCK_SH, "run"))
        if fold is not None:
            held.enter_context(_locked(folder.fold_log_txt(fold).parent, fcntl.LOCK_EX, "fold"))
        yield


@contextmanager
def _locked(path: Path, how: int, what: str) -> Iterator[None]:
    """A file is locked and not the folder: on a file server only that is seen by other machines."""
    path.mkdir(exist_ok=True)
    handle = os.open(path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OnehourError(f"another process trains this {what} just now", str(path)) from None
        except OSError as error:
            log.info("%s cannot be locked (%s): nobody else may train this %s now", path, error.strerror, what)
        yield
    finally:
        os.close(handle)


def log_handlers(folder: RunFolder, fold: int | None = None) -> list[logging.Handler]:
    """stderr, and log.txt (of the run or of a fold) unless a supervisor has led stderr there already."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    path = folder.log_txt if fold is None else folder.fold_log_txt(fold)
    path.parent.mkdir(exist_ok=True)
    try:
        supervised = os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat())
    except (OSError, ValueError):
        supervised = False
    return handlers if supervised else [*handlers, logging.FileHandler(path, encoding="utf-8")]


@contextmanager
def logged_to(handlers: list[logging.Handler]) -> Iterator[None]:
    engine_log = logging.getLogger("engine")
    level = engine_log.level
    engine_log.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        engine_log.addHandler(handler)
    try:
        yield
    finally:
        engine_log.setLevel(level)
        for handler in handlers:
            engine_log.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()
