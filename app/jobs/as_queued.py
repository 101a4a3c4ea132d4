"""A run's programme with the code that it was queued with: where that lies now, or built again where it was changed since.

What a person edits while runs wait must not change what these do. So each attempt begins with a look: where the code is still as
recorded it runs in place; else it is built from the record into runs/.code/ and runs there.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

from app.jobs import code_record, specs
from app.jobs.blending import Blending
from app.jobs.code_record import Code
from app.jobs.own_command import OwnCommand
from app.jobs.programme import EngineTraining, Input, Places, Programme
from app.jobs.specs import Blend, Spec
from app.journal.home import CHECKOUT
from app.journal.store import Journal
from app.journal.tables import Run, RunCode
from engine.contract import CommandSpec
from engine.run_folder import RunFolder

log = logging.getLogger("onehour.jobs")

# Of what git ignores, what belongs to the place and not to the code: it would mislead a copy.
NOT_LINKED = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints")


@dataclass(frozen=True)
class AsQueued:
    """`made`: the programme with its code in a folder, and whether that was built. `here`: where the code lay when it was queued."""

    made: Callable[[Path, bool], Programme]
    code: Code
    here: Path
    built_root: Path
    links: bool  # what git ignores is linked into what is built: data beside a person's own code

    def prepare(self, folder: RunFolder) -> None:
        """Raises NoRecord where the code was changed and cannot be built again."""
        if not self.built_root.is_dir() and shutil.which("git") and not code_record.is_there(self.code, self.here):
            log.info("%s: its code was changed since, built again in %s", folder.run_id, self.built_root)
            code_record.build(self.code, self.built_root, _not_code(Path(self.code.root)) if self.links else ())
        self._now().prepare(folder)

    def inputs(self) -> Mapping[str, Input]:
        return self._now().inputs()

    def argv(self, at: Places, time_limit_s: float | None = None) -> list[str]:
        return self._now().argv(at, time_limit_s)

    def cwd(self, at: Places) -> str:
        return self._now().cwd(at)

    def _now(self) -> Programme:
        if self.built_root.is_dir():
            return self.made(self.built_root / self.here.relative_to(self.code.root), True)
        return self.made(self.here, False)


def programme_of(journal: Journal, run: Run) -> Programme:
    """Raises OnehourError for a spec that this version does not know."""
    spec = specs.of_run(run)
    with journal.reading() as db:
        row = db.get(RunCode, run.id)
    here = place_of(spec)
    if row is None or not here.is_relative_to(row.root):
        return of_run(run)
    code, own = recorded(row), isinstance(spec, CommandSpec)
    built_root = journal.home.code_dir / (f"{code.key}-own" if own else code.key)
    return AsQueued(partial(of_run, run), code, here, built_root, own)


def of_run(run: Run, code_dir: Path | None = None, built: bool = False) -> Programme:
    """A run's programme with its code in `code_dir`, which may have been `built`; without it where it lay when it was queued."""
    spec = specs.of_run(run)
    if isinstance(spec, CommandSpec):
        return OwnCommand(spec, run.key, code_dir or place_of(spec), built)
    if isinstance(spec, Blend):
        return Blending(spec, code_dir or CHECKOUT)
    return EngineTraining(spec, code_dir or CHECKOUT)


def place_of(spec: Spec) -> Path:
    """The folder that the code of a run lies in: a person's own, or Onehour itself."""
    return Path(spec.cwd) if isinstance(spec, CommandSpec) else CHECKOUT


def recorded(row: RunCode) -> Code:
    return Code(row.root, row.commit, row.branch, row.remote_url, row.diff, row.lock_sha256)


def _not_code(root: Path) -> list[str]:
    """What lies beside the code and is not part of it: ignored, or new and too large to be recorded."""
    names = [name.rstrip("/") for name in code_record.beside(root)]
    return [name for name in names if not set(PurePath(name).parts) & {*NOT_LINKED}]
