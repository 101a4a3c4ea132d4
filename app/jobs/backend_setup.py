"""The errand that makes a machine behind ssh ready, or a cluster's login node: met, given an environment, looked at."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from app.jobs import errands
from app.jobs.backends import engine_environment
from app.jobs.backends.engine_environment import Requirements
from app.jobs.backends.host_look import looked_at, problems
from app.jobs.backends.interface import Probe
from app.jobs.backends.settings import SlurmSettings, SshSettings
from app.jobs.backends.slurm import SlurmBackend
from app.jobs.backends.ssh_connection import UnknownHostKey
from app.jobs.backends.ssh_host import SshHost
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Errand


def set_up(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Make the machine of the asked `table` ready; `accept` names host keys that the person says are right.

    Answers {"unknown": …} when a host key has to be accepted first, else {"slots": …, "probe": …}.
    """
    asked = json.loads(errand.asked)
    assert errand.id is not None
    say = partial(errands.say, journal, errand.id)
    cluster = SlurmSettings.model_validate(asked["table"]) if asked["table"]["kind"] == "slurm" else None
    settings = cluster.through() if cluster else SshSettings.model_validate({"slots": 1, **asked["table"]})
    assert settings is not None
    host = SshHost(errand.subject, settings, journal.home, accept=asked["accept"])
    try:
        say(f"connecting with {settings.host}")
        try:
            host.ask("clock")
        except UnknownHostKey as error:
            if not error.contact.acceptable:
                raise
            return {"unknown": error.contact.told()}
        if not settings.python:
            engine_environment.make(host, Requirements.of_engine(), say)
        if cluster is not None:
            say("asking Slurm")
            return {"slots": cluster.slots, "probe": asdict(_of_cluster(errand.subject, cluster, journal.home))}
        say("looking at what is there")
        found = looked_at(host, ())
        slots = asked["table"].get("slots") or _slots(found)
        names = SshSettings.model_validate({**asked["table"], "slots": slots}).slot_names(errand.subject)
        trouble = problems(host.name, host.python, found, names)
        if found.gpus and found.versions.get("torch"):
            say("asking torch for its GPUs")
            seen = engine_environment.gpus_of_torch(host)
            if seen < len(found.gpus):
                words = f"torch sees {seen} of its {len(found.gpus)} GPUs: its driver may be too old for torch's CUDA."
                trouble = (*trouble, words)
        return {"slots": slots, "probe": asdict(replace(found, problems=trouble))}
    finally:
        host.close()


def _of_cluster(name: str, settings: SlurmSettings, home: Home) -> Probe:
    backend = SlurmBackend(name, settings, home)
    try:
        return backend.probe()
    finally:
        backend.close()


def _slots(found: Probe) -> list[str]:
    """One for each GPU, or one for the processor."""
    return [f"cuda:{gpu.partition(':')[0]}" for gpu in found.gpus] or ["cpu:0"]
