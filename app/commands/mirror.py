"""onehour wandb push | import | watch | unwatch | runs | adopt | unadopt"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.terminal import AsJson, in_terminal, iso, opened_journal
from app.jobs import errands, wandb_parcels, wandb_push, wandb_server, wandb_watching
from app.jobs.wandb_parcels import Parcel
from app.journal import challenges
from app.journal.tables import WandbSource
from app.scores import wandb_adoption, wandb_runs, wandb_sources
from engine.contract import OnehourError

app = typer.Typer(no_args_is_help=True, help="Runs in W&B: send ours there, take in those that were not started here.")
Run = Annotated[str, typer.Argument(metavar="RUN", help="the group, or the id that W&B gave the run")]


@app.command()
def push(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="without one: all that are over")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="send without asking")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what runs mirrored offline, and upload it to the W&B server if you say yes."""
    with opened_journal() as journal:
        server, sent = wandb_server.address(), wandb_push.unsent(journal, runs or ())
        if as_json and not yes:
            print(json.dumps({"server": server, "runs": _as_json(sent)}, ensure_ascii=False))
            return
        if not sent:
            print(json.dumps({"server": server, "sent": {}}) if as_json else "Nothing is left to be sent.")
            return
        if not as_json:
            _show(sent, server)
        if not yes and not _agreed():
            print("Nothing was sent.")
            return
        pages: dict[str, Any] = {}
        for key, parcels in sent.items():
            answer = errands.wait_for(journal, wandb_push.ask(journal, key, parcels, server).id)
            pages[key] = answer["pages"]
            if not as_json:
                for page in answer["pages"].values():
                    print(f"{key}  {page}")
        if as_json:
            print(json.dumps({"server": server, "sent": pages}))


@app.command("import")
def import_folders(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="folders with .wandb files somewhere below")],
    as_json: AsJson = False,
) -> None:
    """Take in the runs that scripts logged below these folders, once: offline ones, online ones, and those still running."""
    with opened_journal() as journal:
        found = {}
        for folder in folders:
            kind, place = wandb_sources.kind_of(str(folder))
            if kind != wandb_sources.FOLDER:
                raise OnehourError("there is no such folder", where=str(folder))
            with journal.writing() as db:
                errand = wandb_watching.ask_folder(db, challenges.active(db), place, journal.now())
            found[place] = errands.wait_for(journal, errand.id)
            if not as_json:
                _print_folder(place, found[place])
        if as_json:
            print(json.dumps(found, ensure_ascii=False))


@app.command()
def watch(
    place: Annotated[
        str | None, typer.Argument(metavar="ENTITY/PROJECT|DIR", help="without one: what is watched")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look through a project on the W&B server, or a folder, now and from now on."""
    with opened_journal() as journal:
        if place is not None:
            source = wandb_sources.watch(journal, place, wandb_server.address())
            with journal.writing() as db:
                errand = wandb_watching.ask(db, source, journal.now())
            answer = errands.wait_for(journal, errand.id)
            if as_json:
                print(json.dumps(answer, ensure_ascii=False))
            elif source.kind == wandb_sources.FOLDER:
                _print_folder(source.place, answer)
            else:
                told = (
                    ("runs", answer["runs"]),
                    ("new", answer["new"]),
                    ("ours", answer["ours"]),
                    ("gone", answer["gone"]),
                )
                _print_found(source.place, told, answer["problems"])
            return
        with journal.reading() as db:
            sources = wandb_sources.of(db, challenges.active(db))
        if as_json:
            print(json.dumps([_source(source) for source in sources], ensure_ascii=False))
        for source in () if as_json else sources:
            print(
                "  ".join(part for part in (source.place, source.server, iso(source.looked_at), source.message) if part)
            )


@app.command()
def unwatch(place: Annotated[str, typer.Argument(metavar="ENTITY/PROJECT|DIR")]) -> None:
    """Look there no more. The runs that were found stay."""
    with opened_journal() as journal:
        print(f"{wandb_sources.unwatch(journal, place).place} is not watched any more")


@app.command("runs")
def list_runs(
    words: Annotated[
        list[str] | None, typer.Argument(help="all of them must stand somewhere in what is listed")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """The runs that were not started here, newest first; those of a group as one."""
    with opened_journal() as journal, journal.reading() as db:
        found = wandb_runs.listed(db, challenges.active(db), " ".join(words or ()), limit=limit)
    if as_json:
        print(json.dumps([[asdict(part) for part in run.parts] for run in found], ensure_ascii=False, default=str))
    for run in () if as_json else found:
        many = f"{len(run.parts)} runs" if len(run.parts) > 1 else run.parts[0].wandb_id
        experiment = f"of {run.experiment_key}" if run.experiment_key else ""
        cells = (
            str(run.local_date),
            f"{run.state:<8}",
            run.place,
            run.name,
            many,
            run.score_words,
            experiment,
            run.notes,
        )
        print("  ".join(cell for cell in cells if cell))


@app.command()
def adopt(run: Run, experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="its key")]) -> None:
    """Put a run that was not started here to one of your experiments."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
        print(f"{wandb_adoption.adopt(journal, challenge, run, experiment).name} belongs to {experiment}")


@app.command()
def unadopt(run: Run) -> None:
    """Take it from its experiment again."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
        wandb_adoption.unadopt(journal, challenge, run)


def _show(sent: Mapping[str, Sequence[Parcel]], server: str) -> None:
    for key, parcels in sent.items():
        for parcel in parcels:
            first, *rest = wandb_parcels.told(parcel)
            print(f"{key}: {first}")
            for line in rest:
                print(f"    {line}")
    total = sum(parcel.total_bytes for parcels in sent.values() for parcel in parcels)
    print(f"{wandb_parcels.bytes_text(total)} of {len(sent)} run{'s' * (len(sent) > 1)} would go to {server}")


def _agreed() -> bool:
    if not in_terminal():
        raise OnehourError("nothing was sent: nobody is there to say yes", fix="Look at the list, then add --yes.")
    return typer.confirm("Send this?")


def _as_json(sent: Mapping[str, Sequence[Parcel]]) -> dict[str, Any]:
    told = {
        key: [asdict(parcel) | {"about_you": parcel.about_you} for parcel in parcels] for key, parcels in sent.items()
    }
    return json.loads(json.dumps(told, default=str))


def _print_folder(place: str, answer: Mapping[str, Any]) -> None:
    counts = tuple((name, answer[name]) for name in ("files", "new", "more", "ours"))
    _print_found(place, counts, answer["problems"])


def _print_found(place: str, counts: Sequence[tuple[str, int]], problems: Sequence[str]) -> None:
    names = {
        "files": "{} files", "runs": "{} runs told", "new": "{} new", "more": "{} with more rows", "ours": "{} of ours",
        "gone": "{} gone from the server",
    }  # fmt: skip
    print(
        f"{place}: "
        + ", ".join(names[name].format(number) for name, number in counts if number or name in ("files", "runs"))
    )
    for problem in problems:
        print(f"    {problem}")


def _source(source: WandbSource) -> dict[str, Any]:
    return source.model_dump(include={"kind", "place", "server", "message"}) | {"looked_at": iso(source.looked_at)}
