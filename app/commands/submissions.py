"""onehour submit | medals, onehour lb refresh | position | link: submissions, and the competition's own leaderboard"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.runs import lb_app
from app.commands.terminal import AsJson, iso, opened_journal
from app.jobs import errands, kaggle_looks, presence, sample_challenge, standing_orders, submitting
from app.journal import challenges
from app.journal.home import COMMAND
from app.scores import medals, position, sent_intake
from engine.contract import OnehourError

app = typer.Typer()
Run = Annotated[str, typer.Argument(metavar="RUN", help="the run's key")]


@app.command()
def submit(
    run: Run,
    words: Annotated[str, typer.Option("--message", "-m", help="stands beside run and CV; else the hypothesis")] = "",
    if_better: Annotated[
        float | None,
        typer.Option(metavar="CV", help="let the worker send it when the run ends with a better CV than this"),
    ] = None,
    take_back: Annotated[bool, typer.Option("--take-back", help="take such an order back")] = False,
) -> None:
    """Send a run's submission to Kaggle, now or once it is good enough."""
    if take_back and (if_better is not None or words):
        raise OnehourError("--take-back stands alone", where=run)
    with opened_journal() as journal:
        if take_back:
            standing_orders.take_back(journal, run)
            print(f"{run}: its order is taken back")
        elif if_better is not None:
            order = standing_orders.give(journal, run, if_better, words)
            print(f"{run}: is sent if its CV is better than {order.better_than:g}")
        else:
            sent = errands.wait_for(journal, submitting.ask(journal, run, words).id)
            print(f"{run}: sent, number {sent['ref']} at Kaggle")
        if not take_back and presence.worker_slots(journal.home) is None:
            print(f"No worker is running, which would ask for the score: `{COMMAND} up` or `{COMMAND} lb refresh`.")


@app.command("medals")
def medal_ranks(
    teams: Annotated[int, typer.Option(min=0, metavar="N", help="teams on the leaderboard")],
    rank: Annotated[int | None, typer.Option(min=1, metavar="R", help="of yours")] = None,
    as_json: AsJson = False,
) -> None:
    """The last gold, silver and bronze rank among so many teams, by Kaggle's rule."""
    if rank is not None and rank > teams:
        raise OnehourError(f"rank {rank} of {teams} teams is not possible")
    found = medals.ranks(teams)
    won = None if rank is None else found.of(rank)
    if as_json:
        told = {"teams": teams, **dict(found.lines())}
        print(json.dumps(told if rank is None else {**told, "rank": rank, "medal": won}))
        return
    for name, last in found.lines():
        print(f"{name:<7}{f'to rank {last}' if last else 'none'}")
    if rank is not None:
        print(f"rank {rank}: {won or 'no medal'}")


@lb_app.command("refresh")
def lb_refresh() -> None:
    """Ask Kaggle now for submissions, scores and the leaderboard."""
    with opened_journal() as journal:
        scores, board = (errands.wait_for(journal, errand_id) for errand_id in kaggle_looks.ask_now(journal))
        count = scores["submissions"]
        print(f"{count} submission{'s' * (count != 1)} of {scores['account']}, {scores['pending']} still being scored")
        if scores["without_run"]:
            named = ", ".join(map(str, scores["without_run"]))
            print(f"Of no run that is known: {named}. Say whose they are with: {COMMAND} lb link NUMBER RUN")
        print(f"{board['teams']} teams, rank {board['rank'] or 'none'}")


@lb_app.command("position")
def lb_position(as_json: AsJson = False) -> None:
    """Rank, score and the distance to each medal, as the leaderboard was seen last; the rank of each day."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        found, ranks = position.newest(db, challenge), position.rank_by_day(db, challenge)
    if found is None and challenge.competition == sample_challenge.SLUG:
        raise OnehourError(
            "the sample is no competition at Kaggle", fix="Its leaderboard is the one at home: it has no rank."
        )
    if found is None:
        raise OnehourError("the leaderboard was not seen yet", fix=f"Ask for it: {COMMAND} lb refresh")
    if as_json:
        told = {
            "seen_at": iso(found.seen_at),
            "teams": found.teams,
            "rank": found.rank,
            "percentile": found.percentile,
            "score": found.score,
            "medals": {line.medal: {"score": line.score, "missing": line.missing} for line in found.lines},
            "is_over": found.is_over,
            "public_rank": found.public_rank,
            "ranks": {str(on): rank for on, (rank, _) in ranks.items()},
        }
        print(json.dumps(told))
        return
    print(position.words(found))
    for line in found.lines:
        print(position.line_words(line))
    for on, (rank, teams) in ranks.items():
        print(f"{on}  {rank} of {teams}")


@lb_app.command("link")
def lb_link(
    ref: Annotated[int, typer.Argument(metavar="NUMBER", help="of a submission at Kaggle")],
    run: Run,
) -> None:
    """Say that a submission at Kaggle is a run's: its number and scores become the run's."""
    with opened_journal() as journal:
        sent_intake.link(journal, ref, run)
        print(f"{ref} is the submission of {run}")
