"""The errand that makes a machine behind ssh ready: met, given an environment for the engine, looked at."""

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
from app.jobs.backends.settings import SshSettings
from app.jobs.backends.ssh_connection import UnknownHostKey
from app.jobs.backends.ssh_host import SshHost
from app.journal.store import Journal
from app.journal.tables import Errand


def set_up(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Make the machine of the asked `table` ready; `accept` names host keys that the person says are right.

    Answers {"unknown": …} when a host key has to be accepted first, else {"slots": …, "probe": …}.
    """
    asked = json.loads(errand.asked)
    assert errand.id is not None
    say = partial(errands.say, journal, errand.id)
    settings = SshSettings.model_validate({"slots": 1, **asked["table"]})
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


def _slots(found: Probe) -> list[str]:
    """One for each GPU, or one for the processor."""
    return [f"cuda:{gpu.partition(':')[0]}" for gpu in found.gpus] or ["cpu:0"]
