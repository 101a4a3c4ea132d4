"""python -m engine train | lr-find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.asked import asked_spec, refuse_unwritable, runs_dir
from engine.contract import EXIT_OK, preset_path
from engine.run_folder import RunFolder

app = typer.Typer()


@app.command()
def train(
    out: Annotated[Path, typer.Option(metavar="RUN_DIR", help="folder of the run; the same spec again resumes it")],
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="what to run")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a preset instead of a spec file")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the competition's data; sets data.dir")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="stop in good order before it, with exit code 75")
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, help="GPUs of this machine that train a fold together; without it one, if there is one"),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=0, help="train this fold alone, beside others; without it all are merged in the end"),
    ] = None,
) -> int:
    """Train all folds of a spec, predict, choose the threshold, write the submission and the result."""
    resolved, asked = asked_spec(spec, preset, data, overrides, "train --preset cpu-transfer --data DIR")
    path = spec if spec is not None else preset_path(preset or "")
    spec_text = path.read_text(encoding="utf-8")
    if asked:
        spec_text = spec_text.rstrip("\n") + "\n# Laid over it on the command line:\n"
        spec_text += "".join(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in asked.items())

    from engine.training.crew import refuse_absent
    from engine.training.run import train as train_spec
    from engine.training.stop import process_started

    if gpus is not None:
        refuse_absent(gpus)
    return train_spec(resolved, RunFolder(out), spec_text, time_limit, gpus or 1, process_started(), fold)


@app.command("lr-find")
def lr_find(
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="plot; the curve goes beside it as JSON")],
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="what would be run")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a preset instead of a spec file")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the competition's data; sets data.dir")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
) -> int:
    """Train a hundred batches with a growing learning rate, plot the loss over it and suggest a rate for stages.lr."""
    resolved, _ = asked_spec(spec, preset, data, overrides, "lr-find --preset cpu-transfer --data DIR --out lr.png")

    refuse_unwritable(out.parent)
    from engine.training.lr_find import lr_find as find

    print(f"suggested rate of the head: {find(resolved, out, runs_dir()).suggested:.2g}; {out}")
    return EXIT_OK
