"""A run's programme with the code that it was queued with: where that lies now, or built again where it was changed since.

What a person edits while runs wait must not change what these do. So each attempt begins with a look (`bring_back`): where the code is
still as recorded it runs in place; else it is built from the record into runs/.code/ and runs there.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path, PurePath

from app.jobs import code_record, repository, specs
from app.jobs.blending import Blending
from app.jobs.code_record import Code
from app.jobs.own_command import OwnCommand
from app.jobs.programme import EngineTraining, Programme
from app.jobs.specs import Blend, Spec
from app.journal.home import CHECKOUT, Home
from app.journal.store import Journal
from app.journal.tables import Run, RunCode
from engine.contract import CommandSpec

log = logging.getLogger("onehour.jobs")

# Of what git ignores, what belongs to the place and not to the code: it would mislead a copy.
NOT_LINKED = ("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints")


def bring_back(journal: Journal, run: Run) -> None:
    """See to it that the run's code is there as it was queued. Raises NoRecord where it was changed and cannot be built again."""
    spec = specs.of_run(run)
    code = _code_of(journal, run, spec)
    if code is None or shutil.which("git") is None:
        return
    built, here = _built_root(journal.home, code, spec), place_of(spec)
    if not built.is_dir() and not code_record.is_there(code, here):
        log.info("%s: its code was changed since, built again in %s", run.key, built)
        code_record.build(code, built, _beside(Path(code.root)) if isinstance(spec, CommandSpec) else ())


def programme_of(journal: Journal, run: Run) -> Programme:
    """Raises OnehourError for a spec that this version does not know."""
    spec = specs.of_run(run)
    code = _code_of(journal, run, spec)
    if code is not None and (built := _built_root(journal.home, code, spec)).is_dir():
        return of_run(run, built / place_of(spec).relative_to(code.root), built=True)
    return of_run(run)


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


def _code_of(journal: Journal, run: Run, spec: Spec) -> Code | None:
    """None where nothing was recorded, or of another place (a checkout that was moved)."""
    with journal.reading() as db:
        row = db.get(RunCode, run.id)
    return recorded(row) if row is not None and place_of(spec).is_relative_to(row.root) else None


def _built_root(home: Home, code: Code, spec: Spec) -> Path:
    """A person's own code has links beside it that Onehour's has not."""
    return home.code_dir / (f"{code.key}-own" if isinstance(spec, CommandSpec) else code.key)


def _beside(root: Path) -> list[str]:
    """What a person's own code may read and git does not keep: data, weights, an environment."""
    names = [name.rstrip("/") for name in repository.beside(root)]
    return [name for name in names if not set(PurePath(name).parts) & {*NOT_LINKED}]
