"""onehour data download | check | show | sheet | looked-at: the data, whether it can be trusted, what augmentation makes of it"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import AsJson, opened_journal
from app.jobs import data_checks, errands, kaggle_download, specs
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
        if check.verdict != "ok" and check.examples:
            print(f"{'':<17}{check.first_examples()}")
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


@app.command("download")
def data_download(
    competition: Annotated[str | None, typer.Argument(metavar="NAME", help="else the challenge's own")] = None,
    into: Annotated[Path | None, typer.Option(metavar="DIR", help="else the challenge's data folder")] = None,
) -> None:
    """Fetch a competition's data with your Kaggle account. Goes on where it stopped; a file that is there stays."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.find_active(db)
        slug, folder = kaggle_download.place(journal.home, challenge, competition, into)
        if kaggle_download.is_there(folder, slug):
            print(f"{folder}: it is there already")
            return
        asked = kaggle_download.ask(journal, slug, folder, challenge.id if challenge else None)
        longest_s = errands.LONGEST_OF[asked.kind]
        found = errands.wait_for(journal, asked.id, longest_s, lambda words: print(words, file=sys.stderr))
        print(f"{found['folder']}: {found['files']} files")
        for name in found["kept"][:5]:
            print(f"left as it was: {name}")
        if challenge is None:
            print(f"Begin with: {COMMAND} init --competition {slug} --data {shlex.quote(found['folder'])}")


def _asked(journal: Journal, spec: str, overrides: list[str] | None) -> RunSpec:
    with journal.reading() as db:
        return specs.resolve(challenges.active(db), spec, overrides or ())
