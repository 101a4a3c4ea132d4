"""onehour backend setup | list | probe | tidy | remove: the machines that runs may use"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sized
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

import typer

from app.commands.terminal import AsJson, asked, in_terminal, iso, opened_journal
from app.jobs import backlog, config_file, configured, errands, installed, probing
from app.jobs.backends.interface import Probe
from app.jobs.backends.settings import parse
from app.journal.home import COMMAND
from app.journal.store import Journal
from engine.contract import OnehourError

app = typer.Typer(no_args_is_help=True, help="The machines that runs may use.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="the backend's name")]

COLAB, KAGGLE = "colab", "kaggle"
# What Colab's own command line calls the machine; it is reached by the program, not by its name.
COLAB_HOST = "root@colab-runtime"


@app.command("setup")
def setup(
    name: Name,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="a Host of ~/.ssh/config, or [USER@]NAME[:PORT]")
    ] = None,
    folder: Annotated[str | None, typer.Option("--dir", metavar="DIR", help="the folder there; ~/.onehour")] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="an interpreter there that has the engine's packages")
    ] = None,
    slots: Annotated[
        str | None, typer.Option(metavar="N|DEVICES", help="2 or cuda:0,cuda:1; without it, what is found there")
    ] = None,
    time_limit: Annotated[str | None, typer.Option(metavar="TIME", help="of an attempt, as 90min or 12h")] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="of colab, T4 or A100; of kaggle, as Kaggle names it; the accelerator to ask for"
        ),
    ] = None,
    accept_host_key: Annotated[
        list[str] | None,
        typer.Option(metavar="SHA256:…", help="the host key's fingerprint, compared with the host's own"),
    ] = None,
) -> None:
    """Make a machine behind ssh, or Kaggle, ready and write it into config.toml. The same again brings it up to date."""
    with opened_journal() as journal:
        table = configured.table_of(journal.home, name)
        kind = table.get("kind", "kaggle" if name == KAGGLE else "ssh")
        if kind == "kaggle":
            _set_up_kaggle(journal, name, table, time_limit, gpu)
            return
        if kind != "ssh" and not (kind == "slurm" and (host or "host" in table)):
            raise OnehourError(f"the backend {name!r} is of kind {kind!r}: there is nothing to set up by ssh")
        if name == COLAB and not table.get("proxy_command"):
            table |= _colab(gpu)
        given = {"host": host, "dir": folder, "python": python, "time_limit": time_limit}
        table = {"kind": "ssh", **table, **{key: value for key, value in given.items() if value is not None}}
        if slots is not None:
            table["slots"] = int(slots) if slots.isdigit() else [device.strip() for device in slots.split(",")]
        if "host" not in table and in_terminal():
            table["host"] = asked(None, "Host", name, str)
        parse(name, {"slots": 1, **table}, "backend setup")
        told = _made_ready(journal, name, table, list(accept_host_key or ()))
        config_file.write(journal.home, name, {**table, "slots": told["slots"]})
        _tell(name, probing.probe_of(told["probe"]), configured.settings_of(journal.home, name).slot_names(name))
        print(f"written to {journal.home.config_toml}; use it with: {COMMAND} queue SPEC --backend {name}")


@app.command("list")
def list_backends(as_json: AsJson = False) -> None:
    """The backends that this computer knows, and what the last look at each found."""
    with opened_journal() as journal, journal.reading() as db:
        looks, known = probing.last_looks(db), installed.backends(journal.home)
    if as_json:
        found = {name: {"slots": slots, **asdict(looks.get(name, probing.Look()))} for name, slots in known.items()}
        print(json.dumps(found, ensure_ascii=False))
        return
    for name, slots in known.items():
        look = looks.get(name, probing.Look())
        when = f"looked at {iso(look.looked_at)}" if look.looked_at else "not looked at yet"
        print(f"{name:<12} {', '.join(slots) or 'no slots'}  ({when})")
        for problem in look.problems:
            print(f"{'':<12} {problem}")


@app.command("probe")
def probe(name: Name, as_json: AsJson = False) -> None:
    """Look at a machine: Python, packages, GPUs, room, clock, quota."""
    with opened_journal() as journal:
        slots = configured.settings_of(journal.home, name).slot_names(name)
        with journal.writing() as db:
            errand = errands.ask(db, "probe", name, journal.now())
        assert errand.id is not None
        told = errands.wait_for(journal, errand.id)
        if as_json:
            print(json.dumps(told, ensure_ascii=False))
        else:
            _tell(name, probing.probe_of(told), slots)


@app.command("tidy")
def tidy(name: Name, yes: Annotated[bool, typer.Option("--yes", help="delete it without a question")] = False) -> None:
    """Delete what runs left at Kaggle: the datasets that were sent there, and the kernels of runs that are over."""
    with opened_journal() as journal:
        kind = configured.settings_of(journal.home, name).kind
        if kind != "kaggle":
            raise OnehourError(
                f"{name} is of kind {kind!r}; what runs leave on a machine behind ssh goes by itself, 14 days after it came home"
            )
        # All of its kind share the account, and with it what was sent.
        sharing = [each for each in configured.names(journal.home) if _kind(journal, each) == kind]
        _refuse_busy(journal, *sharing)
        found = _leftovers(journal, name)
        total = sum(size for _, size in found["datasets"])
        words = f"{_many(found['datasets'], 'dataset')} ({total / 1e9:.1f} GB) and {_many(found['kernels'], 'kernel')}"
        if not found["datasets"] and not found["kernels"]:
            print("Onehour's runs have left nothing in this account")
            return
        for slug, size in found["datasets"]:
            print(f"{size / 1e9:8.2f} GB  {slug}")
        if not (yes or (in_terminal() and typer.confirm(f"Delete {words}? What a run needs again is sent again."))):
            print(f"{words}; nothing was deleted. Delete them with: {COMMAND} backend tidy {name} --yes")
            return
        _refuse_busy(journal, *sharing)  # something may have been queued while the question stood there
        _leftovers(journal, name, delete=True)
        print(f"deleted: {words}")


@app.command("remove")
def remove(name: Name) -> None:
    """Forget a machine. What lies on it stays there."""
    with opened_journal() as journal:
        settings = configured.table_of(journal.home, name)
        _refuse_busy(journal, name)
        config_file.remove(journal.home, name)
        print(
            f"{name} is forgotten" + (f"; what it holds lies in {settings['dir']} there" if "dir" in settings else "")
        )


def _refuse_busy(journal: Journal, *names: str) -> None:
    for name in names:
        with journal.reading() as db:  # one that was cancelled may be on a machine that never answers again
            busy = sum(job.cancel_asked_at is None for job in backlog.jobs_on(db, name))
        if busy:
            raise OnehourError(
                f"1 run waits for {name} or is under way on it"
                if busy == 1
                else f"{busy} runs wait for {name} or are under way on it",
                fix=f"Cancel or move them first: {COMMAND} jobs",
            )


def _kind(journal: Journal, name: str) -> str:
    """Empty for one that is wrongly configured: no run is on it."""
    with suppress(OnehourError):
        return configured.settings_of(journal.home, name).kind
    return ""


def _leftovers(journal: Journal, name: str, *, delete: bool = False) -> Any:
    with journal.writing() as db:
        errand = errands.ask(db, "leftovers", name, journal.now(), delete=delete)
    assert errand.id is not None
    return errands.wait_for(journal, errand.id)


def _many(found: Sized, noun: str) -> str:
    return f"{len(found)} {noun}{'s' * (len(found) != 1)}"


def _set_up_kaggle(journal: Journal, name: str, table: dict[str, Any], time_limit: str | None, gpu: str | None) -> None:
    """Its limits are Kaggle's to set and change, so they are asked for and never assumed; then the account is looked at."""
    if time_limit is None and "time_limit" not in table:
        time_limit = asked(None, "How long does Kaggle let a kernel run? (Kaggle says; as 12h)", "", str) or None
    given = {"kind": "kaggle", "time_limit": time_limit, "accelerator": gpu}
    config_file.write(
        journal.home, name, {**table, **{key: value for key, value in given.items() if value is not None}}
    )
    print(f"written to {journal.home.config_toml}; use it with: {COMMAND} queue SPEC --backend {name}")
    probe(name)


def _made_ready(journal: Journal, name: str, table: dict[str, Any], accept: list[str]) -> Any:
    """What the errand tells of a machine that is ready; asks for each host key on the way there."""
    while True:
        with journal.writing() as db:
            errand = errands.ask(db, "setup", name, journal.now(), table=table, accept=accept)
        assert errand.id is not None
        told = errands.wait_for(journal, errand.id, hear=lambda words: print(f"{name}: {words} …", file=sys.stderr))
        if "unknown" not in told:
            return told
        shown = told["unknown"]
        print(f"{shown['host']} shows the host key {shown['kind']} {shown['fingerprint']}", file=sys.stderr)
        for known in shown["known"]:
            print(f"it used to show {known}: unless it was made anew, somebody may be in between", file=sys.stderr)
        if not in_terminal():
            raise OnehourError(
                "nobody has accepted this host key yet",
                where=shown["host"],
                fix=f"Compare it with the host's own, then add: --accept-host-key {shown['fingerprint']}",
            )
        if not typer.confirm("Have you compared it with the host's own, and is it the same?"):
            raise OnehourError("the host key is not accepted; nothing was sent there", where=shown["host"])
        accept.append(shown["fingerprint"])


def _colab(gpu: str | None) -> dict[str, Any]:
    program = shutil.which("colab")
    if program is None:
        raise OnehourError(
            "Colab's command line is not installed",
            fix="Install it in an environment of its own (it needs Python 3.12): uv tool install google-colab-cli",
        )
    words = [program, "ssh", "--proxy-mode", "-s", "onehour", *(["--gpu", gpu] if gpu else [])]
    return {"host": COLAB_HOST, "proxy_command": words}


def _tell(name: str, found: Probe, slots: tuple[str, ...]) -> None:
    rows = [("slots", ", ".join(slots)), ("python", found.python or "none")]
    rows += [(package, version or "not installed") for package, version in found.versions.items()]
    rows += [("gpus", "; ".join(found.gpus) or "none")]
    rows += [] if found.free_bytes is None else [("free", f"{found.free_bytes / 1e9:.1f} GB")]
    rows += [] if found.clock_ahead_s is None else [("clock", f"{found.clock_ahead_s:+.1f} s")]
    if found.quota is not None:
        rows.append(("quota", f"{found.quota.used_s / 3600:.1f} of {found.quota.allowed_s / 3600:.1f} h used"))
    print(name)
    for key, value in rows:
        if value:
            print(f"  {key:<24} {value}")
    for problem in found.problems:
        print(f"  ! {problem}")
