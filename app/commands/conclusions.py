"""onehour ideas, onehour lb agree | advise | final-two: what to conclude from the scores"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from app.commands.runs import lb_app
from app.commands.terminal import AsJson, opened_journal
from app.journal import challenges
from app.reports import standing, what_helped
from app.reports.what_helped import Idea
from app.scores.agreement import gap
from app.scores.run_rows import score_text
from app.scores.verdict import verdict_text
from engine.contract import METRIC_DIRECTIONS

app = typer.Typer()


@app.command()
def ideas(as_json: AsJson = False) -> None:
    """What helped: one line an idea, with its verdict and what it cost, newest first."""
    with opened_journal() as journal, journal.reading() as db:
        found = what_helped.ideas(db, challenges.active(db), journal.now())
    if as_json:
        print(json.dumps([_told(idea) for idea in found], ensure_ascii=False))
        return
    for idea in found:
        said = idea.why_none if idea.verdict is None else verdict_text(idea.verdict)
        print(f"{idea.experiment_key}  CV {score_text(idea.cv)}  {said}  {idea.hypothesis}")


def _told(idea: Idea) -> dict[str, object]:
    return {
        "experiment": idea.experiment_key,
        "hypothesis": idea.hypothesis,
        "runs": idea.runs,
        "best_run": idea.best_run,
        "cv": idea.cv,
        "verdict": idea.verdict and idea.verdict.word,
        "gain": idea.verdict and idea.verdict.gain,
        "margin": idea.verdict and idea.verdict.margin,
        "why_none": idea.why_none,
        "gpu_h": idea.gpu_s / 3600,
        "machine_h": idea.held_s / 3600,
        "work_h": idea.work_ms / 3_600_000,
        "gain_an_hour": idea.gain_an_hour,
    }


@lb_app.command("agree")
def agree(as_json: AsJson = False) -> None:
    """Do CV and leaderboard agree? The gap of each submission, the line between them, the alarm and the usual causes."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        found = standing.read(db, journal.home, challenge)
    direction = METRIC_DIRECTIONS[challenge.metric]
    if as_json:
        drawn = found.line
        told = {
            "submissions": [
                {"run": one.run_key, "cv": one.cv, "lb": one.lb, "gap": gap(one, direction), "noise": one.noise}
                for one in found.scored
            ],
            "line": drawn and {"intercept": drawn.intercept, "slope": drawn.slope, "residual_s": drawn.residual_s},
            "outliers": [one.run_key for one in found.outliers],
            "alarm": list(found.alarm.reasons) if found.alarm else [],
            "causes": [{"state": one.state, "question": one.question, "answer": one.answer} for one in found.causes],
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    for one in found.scored:
        print(
            f"{one.run_key}: CV {one.cv:.4f}, LB {one.lb:.4f}, gap {gap(one, direction):+.4f}"
            f" (chance {'not known' if one.noise is None else f'{one.noise:.4f}'})"
        )
    if found.line is not None:
        print(f"{found.line.words} ± {found.line.band(found.line.mean_cv):.4f}")
    for one in found.outliers:
        print(f"outside the band: {one.run_key}")
    for reason in found.alarm.reasons if found.alarm else ():
        print(f"alarm: {reason}")
    for cause in found.causes:
        print(f"{cause.state:<10} {cause.question}: {cause.answer}")


@lb_app.command("advise")
def advise(run: Annotated[str, typer.Argument(metavar="RUN", help="the run's key")]) -> None:
    """Is a run worth one of the day's submissions?"""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        found = standing.read(db, journal.home, challenge)
        advised = standing.submit_advice(db, challenge, found, run, journal.now())
    print(advised.word)
    for reason in advised.reasons:
        print(f"- {reason}")


@lb_app.command("final-two")
def final_two(as_json: AsJson = False) -> None:
    """Which two submissions to stand by in the end, and why."""
    with opened_journal() as journal, journal.reading() as db:
        challenge = challenges.active(db)
        two = standing.final_two(challenge, standing.read(db, journal.home, challenge))
    if as_json:
        told = two and {
            "runs": [one.run_key for one in two.chosen],
            "reasons": list(two.reasons),
            "expected_loss": two.expected_loss,
            "loss_of_two_best_public": two.loss_of_two_best_public,
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    if two is None:
        print("No submission has a CV yet.")
        return
    for one in two.chosen:
        print(one.run_key)
    for reason in two.reasons:
        print(f"- {reason}")
    print(f"expected loss against the best of all: {two.expected_loss:.4f}")
