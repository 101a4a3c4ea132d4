"""onehour data check | show | sheet | looked-at: whether the data can be trusted, and what augmentation makes of it"""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from app.commands.terminal import AsJson, opened_journal
from app.jobs import data_checks, specs
from app.journal import challenges
from app.journal.home import CHECKOUT, COMMAND
from app.journal.store import Journal
from engine.contract import OnehourError, RunSpec

app = typer.Typer(no_args_is_help=True, help="Whether the data can be trusted, and what augmentation makes of it.")
Spec = Annotated[str, typer.Argument(metavar="SPEC", help="a spec file or the name of a preset")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")]


@app.command("check")
def data_check() -> int:
    """Look at every picture of the competition: what cannot be read, copies, conflicts. Goes on where it stopped."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        place = data_checks.folder(journal.home, challenge)
    return subprocess.run(data_checks.check_command(challenge, place), cwd=CHECKOUT, check=False).returncode


@app.command("show")
def data_show(as_json: AsJson = False) -> None:
    """What the last check found, worst first."""
    with opened_journal() as journal, journal.reading() as db:
        place = data_checks.folder(journal.home, challenges.active(db))
    found = place.read_checks()
    if found is None:
        raise OnehourError("the data was not checked yet", fix=f"Begin with: {COMMAND} data check")
    if as_json:
        print(found.model_dump_json())
        return
    for check in found.checks:
        print(f"{check.verdict:<8}{check.count:>7}  {check.sentence}")
    print(f"sheets and facts: {place.path}")


@app.command("sheet")
def data_sheet(spec: Spec, overrides: Overrides = None) -> None:
    """Draw what a spec's augmentation makes of the pictures, and measure how much of them it invents."""
    with opened_journal() as journal:
        place = data_checks.make_sheet(journal, _asked(journal, spec, overrides))
    found = place.read_augmented()
    assert found is not None
    print(
        f"invented beyond the border: mean {found.border_share_mean:.1%}, most {found.border_share_max:.1%} of a picture"
    )
    print(place.augmented_jpg)


@app.command("looked-at")
def data_looked_at(spec: Spec, overrides: Overrides = None) -> None:
    """Say that you have looked at the sheet of a spec: its runs may be queued."""
    with opened_journal() as journal:
        data_checks.looked_at(journal, _asked(journal, spec, overrides))
        print(f"{spec}: looked at")


def _asked(journal: Journal, spec: str, overrides: list[str] | None) -> RunSpec:
    with journal.reading() as db:
        return specs.resolve(challenges.active(db), spec, overrides or ())
