"""The `onehour` command: what the pages do, from a terminal. It holds no rules; it calls the same functions as the views.

Exit codes: 0 fine, 1 our bug, 2 bad input, 3 against the rules of the hour, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.commands import (
    backend,
    challenge,
    conclusions,
    data,
    hour,
    keeping,
    mirror,
    notebook,
    record,
    run_record,
    runs,
    search,
    story,
    submissions,
    week,
)
from app.journal.home import find_home
from engine.contract import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_OK, OnehourError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="One hour a day on one competition: the hour, the record, the runs and the score.",
)
app.add_typer(hour.app, name="session")
app.add_typer(week.app, name="week")
app.add_typer(data.app, name="data")
app.add_typer(story.app, name="story")
app.add_typer(backend.app, name="backend")
app.add_typer(mirror.app, name="wandb")
for group in (
    challenge.app,
    record.app,
    runs.app,
    run_record.app,
    conclusions.app,
    keeping.app,
    notebook.app,
    search.app,
    submissions.app,
):
    app.add_typer(group)


@app.command()
def worker() -> int:
    """Run the worker: it starts queued runs and takes in their results."""
    from app.jobs import worker as worker_process

    return worker_process.main()


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    host: Annotated[str, typer.Option(help="where to listen; a container needs 0.0.0.0")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="open the dashboard in a browser")] = True,
) -> int:
    """Run the dashboard and its worker until Ctrl-C."""
    from app import keeper

    return keeper.up(find_home(), host=host, port=port, browser=browser)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. What a person can mend is one sentence on stderr."""
    command = typer.main.get_command(app)
    try:
        return command.main(arguments, prog_name="onehour", standalone_mode=False) or EXIT_OK
    except OnehourError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:  # a wrong option or argument
        print(error.format_message(), file=sys.stderr)
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
