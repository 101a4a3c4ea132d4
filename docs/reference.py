"""python docs/reference.py: writes docs/reference.md and docs/spec.md from the code. A test fails when one is out of date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel

import app.cli
import engine.__main__
from app.jobs.backends.settings import KINDS
from app.journal.tables import Base
from engine import contract
from engine.check_folder import CheckFolder
from engine.run_folder import RunFolder

PAGE, SPEC_PAGE = (Path(__file__).with_name(name) for name in ("reference.md", "spec.md"))
SPEC_MODELS = (
    contract.RunSpec, contract.DataSpec, contract.Stage, contract.Transform, contract.TrackingSpec, contract.StopIfBehind,
)  # fmt: skip


def page() -> str:
    return "\n".join(
        [
            "# Reference",
            "",
            "Written by `python docs/reference.py` from the code; a test compares both. A spec's keys and the presets: [spec.md](spec.md).",
            "",
            *_commands("onehour", app.cli.app),
            *_commands("python -m engine", engine.__main__.app),
            "## config.toml: the backends",
            "",
            "A table `[backends.NAME]` for each; how they are used: [machines.md](machines.md).",
            "",
            *(line for kind, model in KINDS.items() for line in _keys(model, f"kind: {kind}")),
            "## A run's folder",
            "",
            *_files(RunFolder, RunFolder(Path("runs/<run id>"))),
            "## A check's folder",
            "",
            "`runs/.checks/<name of the data's folder>-<hash of its path>` unless `--out` names another; `sheets/` holds contact sheets.",
            "",
            *_files(CheckFolder, CheckFolder(Path("check"))),
            "## The tables of journal.db",
            "",
            *_tables(),
        ]
    )


def spec_page() -> str:
    return "\n".join(
        [
            "# A spec's keys",
            "",
            "Written by `python docs/reference.py` from `engine.contract`; a test compares both. A spec is YAML: these keys, those",
            "that are left out at their defaults. On the command line a key is set by `--set key=value`, on Today under Changes;",
            "`data.dir` comes from the challenge, or from `--data`. A file that begins with `like: NAME` is laid over that preset and",
            "states only what differs: its keys replace the preset's, lists as a whole, those of `data` and `tracking` one by one.",
            "",
            "## Presets",
            "",
            *(f"- `{name}`: {_first_comment(contract.preset_path(name))}" for name in contract.preset_names()),
            "",
            *(line for model in SPEC_MODELS for line in _keys(model)),
            "## A blend",
            "",
            "A blend of finished runs has a spec of its own: `python -m engine blend RUN_DIR RUN_DIR … --out RUN_DIR`, with `--preset`",
            "NAME or `--spec FILE` (else the preset `blend`), and `--set key=value`;",
            "as a job: `onehour blend RUN RUN …`.",
            "",
            *(
                f"- `{name}`: {_first_comment(contract.blend_preset_path(name))}"
                for name in contract.blend_preset_names()
            ),
            "",
            *_keys(contract.BlendSpec),
            "## Your own code",
            "",
            "A run of a command or notebook of your own ([own-code.md](own-code.md)): `onehour queue --command LINE` fills it in,",
            "`--set` changes it.",
            "",
            *_keys(contract.CommandSpec),
            "What it may leave as `result.json`:",
            "",
            *_keys(contract.OwnResult),
            *_keys(contract.OwnFold),
        ]
    )


def _commands(prefix: str, typer_app: typer.Typer) -> Iterator[str]:
    yield f"## Commands of `{prefix}`"
    yield ""
    yield "| command | what it does |"
    yield "|---|---|"

    def walk(command: Any, words: str) -> Iterator[str]:
        for name, below in sorted(getattr(command, "commands", {}).items()):
            if getattr(below, "commands", None):
                yield from walk(below, f"{words} {name}")
            else:
                yield f"| `{words} {name}` | {(below.help or '').splitlines()[0]} |"

    yield from walk(typer.main.get_command(typer_app), prefix)
    yield ""


def _keys(model: type[BaseModel], title: str = "") -> Iterator[str]:
    yield f"### {title or model.__name__}"
    yield ""
    yield (inspect.getdoc(model) or "").splitlines()[0]
    yield ""
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{field.get_default()!r}`"
        if isinstance(field.get_default(), BaseModel):
            default = "its own defaults"
        yield f"| `{name}` | {_type(field.annotation)} | {default} | {field.description or ''} |"
    yield ""


def _type(annotation: Any) -> str:
    """`map5 or accuracy`, `number`, `text or null`: a type as a person writes its values."""
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    if annotation in words:
        return words[annotation]
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin is Annotated:
        return _type(inside[0])
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in inside)
    if origin is tuple:
        return f"list of {_type(inside[0])}" if Ellipsis in inside else f"[{', '.join(_type(each) for each in inside)}]"
    if origin is dict:
        return "mapping"
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _files(kind: type, folder: Any) -> Iterator[str]:
    yield "| file | what it holds |"
    yield "|---|---|"
    for name, member in inspect.getmembers(kind):
        takes_fold = inspect.isfunction(member) and list(inspect.signature(member).parameters) == ["self", "fold"]
        path = member.fget(folder) if isinstance(member, property) else member(folder, 0) if takes_fold else None
        if isinstance(path, Path):
            doc = inspect.getdoc(member.fget if isinstance(member, property) else member)
            if doc is None:
                raise ValueError(f"{kind.__name__}.{name} does not say what it holds")
            yield f"| `{path.relative_to(folder.path)}` | {' '.join(doc.split())} |"
    yield ""


def _tables() -> Iterator[str]:
    for mapper in sorted(Base._sa_registry.mappers, key=lambda mapper: mapper.local_table.name):  # type: ignore[attr-defined]
        table: Any = mapper.local_table
        yield f"### {table.name}"
        yield ""
        doc = vars(mapper.class_)["__doc__"]  # its own: that of the class above it is about no table
        yield inspect.cleandoc(doc).split("\n\n")[0].replace("\n", " ")
        yield ""
        yield ", ".join(f"`{column.name}`{'' if column.nullable else ' *'}" for column in table.columns)
        yield ""
    yield "(* never empty)"
    yield ""


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


if __name__ == "__main__":
    for path, text in ((PAGE, page()), (SPEC_PAGE, spec_page())):
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
