"""The engine's command line.

python -m engine sample DIR [--seed N]
python -m engine train SPEC.yaml --out RUN_DIR [--set key=value ...] [--time-limit SECONDS]
python -m engine train --preset NAME --data DIR --out RUN_DIR [--set key=value ...]
python -m engine score --metric map5 --truth CSV --predictions CSV [--json]

Exit codes: 0 fine, 1 our bug, 2 bad input, 75 stopped before the time limit (start the same command again), 130 interrupted.
Each command imports what it needs when it runs: `score` must not wait for torch.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from engine.contract import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    OnehourError,
    parse_overrides,
    preset_path,
    read_spec,
)
from engine.run_folder import RunFolder

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Onehour's training engine.")


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder to draw into; absent or empty")],
    seed: Annotated[int, typer.Option(help="the same seed draws the same competition")] = 0,
) -> int:
    """Draw a small sample competition of whale flukes, with the truth of its test part."""
    from engine.data.sample import draw_sample

    drawn = draw_sample(folder, seed)
    print(f"{folder}: {drawn.train} training images of {drawn.ids} ids and new_whale, {drawn.test} test images")
    return EXIT_OK


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
) -> int:
    """Train all folds of a spec, predict, choose the threshold, write the submission and the result."""
    if (spec is None) == (preset is None):
        raise OnehourError(
            "name either a spec file or a preset", "train", "Example: train --preset cpu-transfer --data DIR."
        )
    path = spec if spec is not None else preset_path(preset or "")
    asked = parse_overrides(overrides or ())
    if data is not None:
        asked["data.dir"] = str(data)
    resolved = read_spec(path, asked)
    spec_text = path.read_text(encoding="utf-8")
    if asked:
        spec_text = spec_text.rstrip("\n") + "\n# Laid over it on the command line:\n"
        spec_text += "".join(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in asked.items())

    from engine.training.run import train as train_spec

    return train_spec(resolved, RunFolder(out), spec_text, time_limit)


@app.command()
def score(
    truth: Annotated[Path, typer.Option(metavar="CSV", help="Image,Id and maybe Usage (public or private)")],
    predictions: Annotated[Path, typer.Option(metavar="CSV", help="Image,Id with labels separated by spaces")],
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


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. What a person can mend is one sentence on stderr."""
    command = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # what libraries say to their developers; python -W default shows it
                warnings.simplefilter("ignore")
            return command.main(arguments, prog_name="python -m engine", standalone_mode=False) or EXIT_OK
    except OnehourError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:  # a wrong option or argument
        print(" ".join(error.format_message().split()), file=sys.stderr)
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
