"""onehour again | blend | run list | show | diff | tree | note"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.runs import say_queued
from app.commands.terminal import AsJson, body_of, iso, opened_journal
from app.jobs import again as repetition
from app.jobs import blends
from app.journal import challenges, run_keys, run_notes
from app.journal.home import COMMAND
from app.reports import experiment_tree, lineage, run_list, run_record
from app.scores import run_search
from engine.contract import OnehourError, nearest

app = typer.Typer()
run_app = typer.Typer(no_args_is_help=True, help="What is known of a run.")
app.add_typer(run_app, name="run")


@app.command()
def again(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a variation: sets one key of its spec")
    ] = None,
    present_code: Annotated[
        bool, typer.Option("--present-code", help="with the code that is there now, not the recorded one")
    ] = False,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="where it runs; else where the first one did")
    ] = None,
    hypothesis: Annotated[
        str, typer.Option(help="what you expect of a variation; else it is of the same experiment")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="also when it passes a time limit or a quota")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue a run once more: the same spec on the code that was recorded with it, or a variation."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge, run = challenges.active(db), run_keys.run_named(db, run).key
        queued = repetition.again(
            journal, run, overrides or (), present_code=present_code, backend=backend, hypothesis=hypothesis, sure=yes
        )
        if as_json:
            told = {"run": queued.run_key, "experiment": queued.experiment_key, "parent": run}
            print(json.dumps(told | {"ends_at": iso(queued.forecast.ends_at), "says": queued.says}, ensure_ascii=False))
            return
        say_queued(journal, challenge, [queued])


@app.command()
def blend(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="keys of finished runs on the same folds")],
    hypothesis: Annotated[str, typer.Option(help="what you expect, in one sentence")] = "",
    preset: Annotated[str, typer.Option(metavar="NAME", help="how: blend, ranks or families")] = blends.PRESET,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key: by, weights or families")
    ] = None,
    experiment: Annotated[str | None, typer.Option(metavar="KEY", help="another run of this experiment")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue a blend of finished runs: a run of its own, with CV and submission."""
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
            runs = [run_keys.run_named(db, one, challenge).key for one in runs]
        queued = blends.queue(
            journal, runs, hypothesis, preset=preset, overrides=overrides or (), experiment_key=experiment
        )
        if as_json:
            told = {"run": queued.run_key, "experiment": queued.experiment_key, "parents": runs}
            print(json.dumps(told | {"ends_at": iso(queued.forecast.ends_at)}))
            return
        say_queued(journal, challenge, [queued])


@run_app.command()
def show(run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")], as_json: AsJson = False) -> None:
    """All that is known of a run: its spec against its parent's, its code, its attempts, its scores."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        found = run_record.read(db, challenge, run)
    if as_json:
        print(json.dumps(run_record.as_json(found), ensure_ascii=False))
    else:
        print(run_record.page(found, challenge.time_zone))


@run_app.command("list")
def list_runs(
    words: Annotated[list[str] | None, typer.Argument(metavar="WORD...", help="each stands somewhere in a run")] = None,
    which: Annotated[str, typer.Option(help=f"one of: {', '.join(run_search.WHICH)}")] = run_search.WHICH[0],
    order: Annotated[str, typer.Option(help=f"one of: {', '.join(run_search.ORDERS)}")] = run_search.ORDERS[0],
    backend: Annotated[str, typer.Option(metavar="NAME", help="only those of this backend")] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="how many")] = 20,
    as_json: AsJson = False,
) -> None:
    """Runs with their scores, verdicts and what was changed in each."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        known = run_search.backends(db)
        if backend and backend not in known:
            raise OnehourError(f"no run was queued for a backend {backend!r}", fix=nearest(backend, known))
        search = run_search.asked(" ".join(words or ()), which, order, backend)
        found = run_list.listed(db, challenge, run_search.find(db, challenge, search).keys(0, limit))
    print(json.dumps([run_list.as_json(one) for one in found], ensure_ascii=False) if as_json else run_list.page(found))


@run_app.command()
def diff(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="keys of two runs, or more")],
    as_json: AsJson = False,
) -> None:
    """Where the specs of runs differ: a line a key, their values in the order of the runs."""
    if len(runs) < 2:
        raise OnehourError("one run differs from nothing", fix=f"Name two or more: {COMMAND} run diff {runs[0]} RUN")
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        keys = [run_keys.run_named(db, run, challenge).key for run in runs]
        found = lineage.differing(db, keys)
    if as_json:
        print(json.dumps({name: dict(zip(keys, values, strict=True)) for name, values in found}, ensure_ascii=False))
        return
    for name, values in found:
        print("  ".join([name, *(lineage.written(value) for value in values)]))
    if not found:
        print("Their specs are the same.")


@run_app.command()
def tree(
    best: Annotated[bool, typer.Option("--best", help="only the way to the best run")] = False,
) -> None:
    """The experiments, each below the one that it was held against, with what was changed and what came of it."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        branches = experiment_tree.branches(db, challenge, to_the_best=best)
        print(experiment_tree.page(experiment_tree.told(db, challenge, branches)))


@run_app.command()
def note(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help='takes the place of its note; "" takes it away')
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="these tags take the place of its tags")
    ] = None,
    untag: Annotated[bool, typer.Option("--untag", help="take all its tags away")] = False,
) -> None:
    """Write what you think of a run: a note, tags, or both."""
    if text is None and not tags and not untag:
        raise OnehourError("neither a note nor a tag is given", where=run, fix="Give TEXT, --tag TAG or --untag.")
    with opened_journal() as journal:
        run_notes.write(
            journal, run, note=None if text is None else body_of(text), tags=tags or ([] if untag else None)
        )
        print(f"{run}: kept")
