"""The engine's command line.

python -m engine sample DIR [--seed N]
python -m engine check DATA_DIR [--out DIR] [--set data.key=value ...]
python -m engine sightings DATA_DIR --out CSV [--set data.key=value ...]
python -m engine sheet SPEC.yaml|--preset NAME [--data DIR] [--out DIR] [--set key=value ...]
python -m engine boxes train DATA_DIR --boxes CSV --out DIR [--minutes M] [--set data.key=value ...]
python -m engine boxes apply DATA_DIR --model DIR --out CSV [--set data.key=value ...]
python -m engine train SPEC.yaml --out RUN_DIR [--set key=value ...] [--time-limit SECONDS] [--gpus N] [--fold K]
python -m engine train --preset NAME --data DIR --out RUN_DIR [--set key=value ...]
python -m engine lr-find SPEC.yaml|--preset NAME [--data DIR] --out FILE.png [--set key=value ...]
python -m engine folds LABELS.csv [--image-col Image --label-col Id --unknown-label new_whale --folds 5 --minimum 20] [--json]
python -m engine score --metric map5 --truth CSV --predictions CSV [--json]
python -m engine blend RUN_DIR RUN_DIR ... --out RUN_DIR [--spec SPEC.yaml | --preset NAME] [--set key=value ...]
python -m engine cache [--clear]

Exit codes: 0 fine, 1 our bug, 2 bad input, 75 stopped before the time limit (start the same command again), 130 interrupted.
Each command imports what it needs when it runs: `score` must not wait for torch.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (a machine elsewhere has the Python that its settings name)
    sys.exit(f"Python {sys.version.split()[0]} ({sys.executable}) is too old for the engine: it needs 3.11.")

import warnings

import typer

from engine.commands import boxes, data, scores, training
from engine.contract import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, OnehourError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Onehour's training engine.")
for group in (data.app, training.app, scores.app):
    app.add_typer(group)
app.add_typer(boxes.app, name="boxes")


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
