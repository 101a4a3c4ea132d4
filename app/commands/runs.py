"""onehour queue | night | jobs | cancel | move, onehour lb local | enter"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.commands.terminal import AsJson, iso, moment_of, opened_journal
from app.jobs import (
    backlog,
    data_checks,
    grid,
    home_scoring,
    orders,
    own_code,
    presence,
    specs,
    standing_orders,
    stop_rules,
)
from app.jobs.backends.local import LOCAL
from app.jobs.specs import Spec
from app.journal import challenges, sittings
from app.journal.home import COMMAND
from app.journal.store import Journal
from app.journal.tables import Challenge
from app.reports import night as night_report
from app.scores import leaderboard
from engine.contract import OnehourError, RunSpec

app = typer.Typer()
lb_app = typer.Typer(no_args_is_help=True, help="Leaderboard scores.")
app.add_typer(lb_app, name="lb")


@app.command()
def queue(
    spec: Annotated[str | None, typer.Argument(metavar="SPEC", help="a spec file or the name of a preset")] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="LINE", help='your own code instead: "python train.py --lr 0.1"; no shell reads it'),
    ] = None,
    notebook: Annotated[Path | None, typer.Option(metavar="FILE.ipynb", help="your own notebook instead")] = None,
    cwd: Annotated[
        Path | None, typer.Option(metavar="DIR", help="the folder of your own code; else this one, or the notebook's")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="PATTERN", help="what of it goes to another machine; else what git keeps there"
        ),
    ] = None,
    hypothesis: Annotated[str, typer.Option(help="what you expect, in one sentence")] = "",
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
    axes: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="KEY=A,B,C", help="a run for each value, of each combination when given again"),
    ] = None,
    experiment: Annotated[str | None, typer.Option(metavar="KEY", help="another run of this experiment")] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="where it runs")] = LOCAL,
    looked_at: Annotated[
        bool, typer.Option("--looked-at", help="you have looked at what its crop and geometry make of the pictures")
    ] = False,
    submit_if: Annotated[
        float | None,
        typer.Option(metavar="CV", help="let the worker send its submission if its CV is better than this"),
    ] = None,
    stop_if_behind: Annotated[
        bool,
        typer.Option("--stop-if-behind", help="it stops by itself when clearly behind the best run on the same folds"),
    ] = False,
    behind_by: Annotated[
        float | None, typer.Option(metavar="NUMBER", min=0, help="how far is clearly behind; else by the folds' spread")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="also when it passes a time limit or a quota")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue a training run, or a comparison of several, or your own code; the worker starts them."""
    given = [
        name for name, one in (("SPEC", spec), ("--command", command), ("--notebook", notebook)) if one is not None
    ]
    if len(given) != 1:
        raise OnehourError("name one thing to run: a SPEC, --command LINE or --notebook FILE", " and ".join(given))
    of_spec = (("--grid", axes), ("--stop-if-behind", stop_if_behind), ("--behind-by", behind_by is not None))
    of_own_code = (("--cwd", cwd is not None), ("--input", inputs))
    unfit = [name for name, said in (of_own_code if spec is not None else of_spec) if said]
    if unfit:
        whose = "your own code" if spec is not None else "a SPEC"
        raise OnehourError(f"{' and '.join(unfit)} can only be said of {whose}", given[0], "Leave it out.")
    with opened_journal() as journal:
        with journal.reading() as db:
            challenge = challenges.active(db)
        if submit_if is not None:
            standing_orders.require_number(submit_if)
        asked: list[Spec]
        if command is not None:
            own = own_code.command(challenge, command, cwd or Path(), inputs or (), overrides or ())
            source, asked = own.line, [own]
        elif notebook is not None:
            own = own_code.notebook(challenge, notebook, cwd, inputs or (), overrides or ())
            source, asked = own.line, [own]
        else:
            source = spec or ""
            trained = [
                specs.resolve(challenge, source, [*(overrides or ()), *more]) for more in grid.combinations(axes or ())
            ]
            if looked_at:
                for each in trained:
                    data_checks.looked_at(journal, each)
            if stop_if_behind or behind_by is not None:
                with journal.reading() as db:
                    trained = [stop_rules.with_rule(db, challenge, each, behind_by) for each in trained]
            asked = [*trained]
        queued = orders.queue_runs(
            journal, source, asked, hypothesis, experiment_key=experiment, backend=backend, sure=yes
        )
        if submit_if is not None:
            for one in queued:
                standing_orders.give(journal, one.run_key, submit_if)
        if as_json:
            told = [
                {"run": one.run_key, "experiment": one.experiment_key, "ends_at": iso(one.forecast.ends_at)}
                for one in queued
            ]
            print(json.dumps(told if axes else told[0]))
            return
        say_queued(journal, challenge, queued)
        first = asked[0]
        if isinstance(first, RunSpec) and first.stop_if_behind is not None:
            print(f"It {stop_rules.rule_words(first.stop_if_behind)}.")


def say_queued(journal: Journal, challenge: Challenge, queued: Sequence[orders.Queued]) -> None:
    """When each run will probably be done, what is to be said of its code, and whether anybody works."""
    fits = {True: ", before your next hour", False: ", after your next hour has begun", None: ""}
    for one in queued:
        when = one.forecast.end_text(journal.now(), challenge.time_zone)
        print(f"{one.run_key} queued, ends about {when}{fits[one.forecast.fits]}")
    for words in dict.fromkeys(words for one in queued for words in one.says):
        print(words)
    if presence.worker_slots(journal.home) is None:
        print(f"No worker is running: start it with `{COMMAND} up` or `{COMMAND} worker`.")


@app.command("night")
def night_command(as_json: AsJson = False) -> None:
    """What the machines will do in the coming hours, slot by slot, and the GPU hours of this week."""
    with opened_journal() as journal, journal.reading() as db:
        told = night_report.read(db, journal.home, sittings.sitting(db, challenges.active(db), journal.now()))
    print(json.dumps(night_report.as_json(told), ensure_ascii=False) if as_json else night_report.page(told))


@app.command()
def jobs(as_json: AsJson = False) -> None:
    """The queue and what became of it, newest first."""
    with opened_journal() as journal, journal.reading() as db:
        rows = backlog.list_jobs(db, challenges.active(db).id)
    if as_json:
        print(json.dumps([vars(row) for row in rows], ensure_ascii=False))
        return
    for row in rows:
        print(f"{row.run_key}  {row.says:<10} {row.hypothesis}" + (f"  ({row.message})" if row.message else ""))


@app.command()
def cancel(run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")]) -> None:
    """Cancel a run that waits or is running."""
    with opened_journal() as journal:
        state = backlog.cancel(journal, run)
        print(f"{run}: {'cancelled' if state == backlog.CANCELLED else 'asked to stop'}")


@app.command()
def move(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")],
    first: Annotated[bool, typer.Option("--first", help="before all others that wait")] = False,
    last: Annotated[bool, typer.Option("--last", help="after all others that wait")] = False,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", help="higher goes earlier, 0 is the usual one")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="to another backend; a run that has begun goes on there")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="also when it passes a time limit or a quota there")] = False,
) -> None:
    """Let a waiting run go earlier or later, or a run that is not over go on on another backend."""
    if backend is not None and not (first or last or priority is not None):
        with opened_journal() as journal:
            state = orders.move_to(journal, run, backend, sure=yes)
            print(
                f"{run}: {'waits for' if state == backlog.QUEUED else 'stops in good order, then goes on on'} {backend}"
            )
        return
    asked: list[int | Literal["first", "last"]] = []
    asked += ["first"] if first else []
    asked += ["last"] if last else []
    asked += [] if priority is None else [priority]
    if len(asked) != 1:
        raise OnehourError(
            "it is not said where to", where=run, fix="Give one of --first, --last, --priority N and --backend NAME."
        )
    with opened_journal() as journal:
        print(f"{run}: number {backlog.move(journal, run, asked[0])} of those that wait")


@lb_app.command("local")
def lb_local(truth: Annotated[Path, typer.Argument(metavar="TRUTH.csv", help="labels of the test part")]) -> None:
    """Score every submission against a truth file: a leaderboard at home."""
    with opened_journal() as journal:
        found = home_scoring.use_truth(journal, truth)
        for run, why in found.refused:
            print(f"{run}  not scored: {why}")
        for scored in found.scored:
            print(f"{scored.run_key}  public {_score(scored.public)}  private {_score(scored.private)}")


@lb_app.command("enter")
def lb_enter(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")],
    public: Annotated[float | None, typer.Option(help="public score")] = None,
    private: Annotated[float | None, typer.Option(help="private score")] = None,
) -> None:
    """Type in the scores that the competition's leaderboard shows for a run."""
    with opened_journal() as journal:
        leaderboard.enter_by_hand(journal, run, public, private)
        print(f"{run}  public {_score(public)}  private {_score(private)}")


@lb_app.command("sent")
def lb_sent(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")],
    at: Annotated[str | None, typer.Option(metavar="MOMENT", help="UTC, 2026-03-02 20:15; without it, now")] = None,
) -> None:
    """Say that a run's submission was sent: it takes one of the day's submissions."""
    with opened_journal() as journal:
        sent = leaderboard.mark_sent(journal, run, None if at is None else moment_of(at))
        print(f"{run}  sent {iso(sent.sent_at)}")


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
