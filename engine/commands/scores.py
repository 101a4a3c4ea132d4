"""python -m engine score | blend: what was predicted, held against the truth or added up."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from engine.contract import EXIT_OK, OnehourError, blend_preset_path, parse_overrides, read_blend_spec
from engine.run_folder import RunFolder

app = typer.Typer()


@app.command()
def score(
    truth: Annotated[Path, typer.Option(metavar="CSV", help="Image,Id and maybe Usage (public or private)")],
    predictions: Annotated[
        Path,
        typer.Option(metavar="CSV", help="Image,Id with labels separated by spaces, a number, or a column a label"),
    ],
    metric: Annotated[str, typer.Option(help="name of the metric")] = "map5",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> int:
    """Score predictions against the truth, as the leaderboard would."""
    from engine.inference.score import score_files

    scores = score_files(metric, truth, predictions)
    if as_json:
        print(json.dumps(dataclasses.asdict(scores)))
        return EXIT_OK
    for part, value in (("public", scores.public), ("private", scores.private), ("all", scores.all)):
        if value is not None:
            print(f"{part:<8}{value:.6f}")
    return EXIT_OK


@app.command()
def blend(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="finished runs on the same folds")],
    out: Annotated[Path, typer.Option(metavar="RUN_DIR", help="folder of the blend; absent or empty")],
    spec: Annotated[Path | None, typer.Option(metavar="SPEC.yaml", help="how to blend; else the preset blend")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a blend's preset instead of a spec file")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key: by, weights or families")
    ] = None,
) -> int:
    """Make one run of several finished ones, with its own CV and submission."""
    asked = parse_overrides(overrides or ())
    if spec is not None and preset is not None:
        raise OnehourError("name either a spec file or a preset", "blend", "Or neither, for the preset blend.")
    path = spec if spec is not None else blend_preset_path(preset or "blend")
    how = read_blend_spec(path, asked)

    from engine.blending.blend import blend as blend_runs

    result = blend_runs(runs, RunFolder(out), how)
    print(result.notes[0])
    print(f"CV {result.metric} {result.cv:.4f} over {result.images} images; {RunFolder(out).submission_csv}")
    return EXIT_OK
