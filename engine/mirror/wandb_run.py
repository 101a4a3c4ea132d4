"""A fold's run in W&B: a mirror that may be absent or fail. What goes wrong here is logged and never harms the training.

Offline by default: everything lies in `wandb/` in the run's folder and is uploaded later (`onehour wandb push`). Online needs a
key; where the server does not answer, the fold is mirrored offline. wandb says nothing when the disk is full: that is looked at
here, so that the mirror leaves the last room to the checkpoints.
"""

from __future__ import annotations

import html
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from engine.contract import RunSpec
from engine.run_folder import RunFolder

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 100_000_000
# Names starting with x_ change between versions of wandb: those it does not know are left out.
QUIET = {
    "console": "off",
    "silent": True,
    "init_timeout": 15,
    "finish_timeout": 30,
    "finish_timeout_raises": True,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "host": "redacted",
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 1,
}


class WandbMirror:
    """One W&B run a fold, with a fixed id, grouped by the run's id.

    `mode`: "online", "offline", or "off" when there is none; `url` of an online one. `known` goes into its config beside the spec.
    """

    def __init__(self, spec: RunSpec, folder: RunFolder, fold: int, known: Mapping[str, Any] | None = None) -> None:
        self.folder, self.run, self.is_paused = folder, None, False
        self.mode: str = "off"
        self.url: str | None = None
        if spec.tracking.wandb == "off":
            return
        modes: list[Literal["online", "offline"]] = ["offline"]
        if spec.tracking.wandb == "online":
            modes.insert(0, "online")
        for mode in modes:
            try:
                if not self._has_room():
                    return
                with _files_in(folder):
                    self.run = _start(spec, folder, fold, mode, known or {})
                self.mode, self.url = mode, self.run.url if mode == "online" else None
                return
            except Exception as error:
                log.warning("W&B (%s) is not available: %s", mode, _in_a_line(error))
                _end_helper()

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """One row at `step`. Rows that find no room on the disk are left out of the mirror."""
        if self.run is None:
            return
        try:
            if self._has_room():
                self.run.log(dict(values), step=step)
        except Exception as error:
            log.warning("the W&B mirror of this fold ends here: %s", _in_a_line(error))
            self.run = None
            _end_helper()

    def log_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], epoch: float, step: int
    ) -> None:
        """A small table beside the row at `step`.

        As HTML: a wandb.Table would be an artifact, whose file lies outside the run's folder and does not travel with it.
        """
        if self.run is None:
            return
        try:
            import wandb

            with _files_in(self.folder):
                shown = wandb.Html(_table(columns, rows), inject=False)
        except Exception as error:
            log.warning("the W&B mirror shows no %s: %s", name, _in_a_line(error))
            return
        self.log({"epoch": epoch, name: shown}, step)

    def finish(self, failed: bool) -> None:
        """Close the run. An online one that was uploaded to its end is marked as wandb marks what it has synced."""
        if self.run is None:
            return
        run, self.run = self.run, None
        try:
            run.finish(exit_code=int(failed))
            if self.mode == "online":
                for written in Path(run.dir).parent.glob("*.wandb"):
                    written.with_name(f"{written.name}.synced").touch()
        except Exception as error:
            log.warning("the W&B run could not be closed, push it later: %s", _in_a_line(error))
            _end_helper()

    def _has_room(self) -> bool:
        free = shutil.disk_usage(self.folder.path).free
        if free < LEAST_FREE_BYTES and not self.is_paused:
            log.warning("the disk has %.2f GB free: W&B is told nothing until there is more", free / 1e9)
        self.is_paused = free < LEAST_FREE_BYTES
        return not self.is_paused


@contextmanager
def _files_in(folder: RunFolder) -> Iterator[None]:
    """wandb and its helper process make temporary folders as they start; those of a killed run would stay in /tmp."""
    place = folder.wandb_dir / "tmp"
    place.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    before_below = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(place)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if before_below is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before_below


def _start(
    spec: RunSpec, folder: RunFolder, fold: int, mode: Literal["online", "offline"], known: Mapping[str, Any]
) -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    settings = wandb.Settings.model_fields
    tracking, run_id = spec.tracking, spec.tracking.run_id or folder.run_id
    said = {"fold": fold, "day": tracking.day, "commit": tracking.commit or None, **known}
    return wandb.init(
        project=tracking.project,
        dir=str(folder.path),
        mode=mode,
        group=run_id,
        job_type="fold",
        id=f"{run_id}-f{fold}",
        name=f"{run_id}-f{fold}",
        resume="allow",
        reinit="finish_previous",
        tags=list(tracking.tags) or None,
        notes=tracking.notes or None,
        config=spec.without_places().model_dump(mode="json", exclude={"tracking": True, "data": {"dir"}}) | said,
        settings=wandb.Settings(**{name: value for name, value in QUIET.items() if name in settings}),
    )


def _end_helper() -> None:
    """End wandb's helper process after a failure; the next start gets another one.

    The old one may be dead, and takes the id of a run whose start failed for used: it would refuse to start it offline.
    """
    with suppress(Exception):
        import wandb

        wandb.teardown(exit_code=1)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{html.escape(column)}</th>' for column in columns)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
