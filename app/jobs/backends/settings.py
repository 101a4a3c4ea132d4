"""What config.toml says of each backend, checked. One model a kind; `KINDS` lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from app.jobs.backends.sbatch_options import gpus_of_job, one_word, sbatch_option
from app.journal.home import COMMAND
from engine.contract import OnehourError, nearest

UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def seconds(value: Any) -> Any:
    """`"90 min"`, `"12h"`, `"1d 6h"` or a number of seconds → seconds."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|s|h|d)\b", value)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*(min|s|h|d)\b", "", value).strip():
        raise ValueError(f"{value!r} is no duration: write it as 90min, 12h or 1d 6h")
    return sum(float(number) * UNITS_S[unit] for number, unit in parts)


def devices(value: Any) -> Any:
    """A list of devices, or how many attempts run at once on the processor."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SLOTS:
        return value
    if isinstance(value, (list, tuple)) and value and len(set(map(str, value))) == len(value) <= MOST_SLOTS:
        wrong = next((one for one in value if not re.fullmatch(r"(cuda|cpu):\d{1,3}", str(one))), None)
        if wrong is None:
            return tuple(value)
        raise ValueError(f"{wrong!r} is no device: write it as cuda:0 or cpu:0")
    raise ValueError(f"write a list of devices, each once, or a number up to {MOST_SLOTS}")


HOST = r"^[^\s@:/-][^\s@]*(@[^\s@:/-][^\s@]*)?$"
MOST_SLOTS = 64

Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Slots = Annotated[tuple[str, ...] | int, BeforeValidator(devices)]
SbatchOption = Annotated[str, AfterValidator(sbatch_option)]
OneWord = Annotated[str, Field(min_length=1), AfterValidator(one_word)]


class BackendSettings(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    time_limit: Duration | None = Field(None, description="an attempt stops before it and goes on in another one")

    def slot_names(self, name: str) -> tuple[str, ...]:
        """The slots of the backend as far as its settings tell; empty where its driver finds them."""
        return ()

    def gpus_of(self, slot: str) -> int:
        """How many GPUs an attempt on the slot holds."""
        return int("cuda" in slot)


class LocalSettings(BackendSettings):
    """This computer."""

    kind: Literal["local"] = "local"


class KaggleSettings(BackendSettings):
    """Kernels of the person's account at Kaggle. Its limits are Kaggle's and change: they are said here, not known."""

    kind: Literal["kaggle"]
    time_limit: Duration = Field(description="how long Kaggle lets a kernel run; it ends it then")
    margin: Duration = Field(900.0, description="of that time, for setting up and for keeping what was done")
    accelerator: str = Field("", description="as Kaggle names it, such as NvidiaTeslaT4; without one, the processor")
    kernels: int = Field(1, ge=1, le=20, description="how many may run at once")
    internet: bool = Field(False, description="whether a kernel may use the network")
    poll: Duration = Field(30.0, description="how often a kernel is asked about")

    def slot_names(self, name: str) -> tuple[str, ...]:
        return tuple(f"{name}/{number}" for number in range(1, self.kernels + 1))

    def gpus_of(self, slot: str) -> int:
        """Kaggle counts the hours of a session, however many GPUs its accelerator has."""
        return int(bool(self.accelerator) and not self.accelerator.lower().startswith("tpu"))

    @model_validator(mode="after")
    def _margin_leaves_time(self) -> KaggleSettings:
        if self.margin >= self.time_limit:
            raise ValueError(f"a margin of {self.margin:g} s leaves nothing of {self.time_limit:g} s")
        return self


class HostSettings(BackendSettings):
    """What every machine has that is reached by ssh."""

    host: str = Field(pattern=HOST, description="a Host of ~/.ssh/config, or [USER@]NAME[:PORT]")
    dir: str = Field("~/.onehour", pattern=r"^(~/.|/.)", description="the folder there in which everything lies")
    python: str = Field(
        "", description="an interpreter there that has the engine's packages; without it setup makes one"
    )
    proxy_command: tuple[str, ...] = Field((), description="a program whose input and output lead to the host")


class SshSettings(HostSettings):
    """A machine that is reached by ssh and starts attempts at once."""

    kind: Literal["ssh"]
    slots: Slots = Field(
        description='what runs one attempt each: ["cuda:0", "cuda:1"], or a number: so many at once on the processor'
    )
    grace: Duration = Field(10.0, description="between being asked to stop and being killed")

    def slot_names(self, name: str) -> tuple[str, ...]:
        devices = self.slots if isinstance(self.slots, tuple) else tuple(f"cpu:{i}" for i in range(self.slots))
        return tuple(f"{name}/{device}" for device in devices)


class SlurmSettings(BackendSettings):
    """A cluster under Slurm, whose commands are on this computer, or on a `host` that is reached by ssh.

    The nodes see the home folder, or the host's `dir`, under the same path. `time_limit` is what Slurm is asked for (sbatch
    --time); the engine gets a little less.
    """

    kind: Literal["slurm"] = "slurm"
    partition: OneWord | None = Field(None, description="sbatch --partition; without it the cluster's default")
    gres: OneWord | None = Field(None, description="what a job holds, as gpu:1 or gpu:a100:2; without it no GPU")
    account: OneWord | None = Field(None, description="sbatch --account")
    qos: OneWord | None = Field(None, description="sbatch --qos")
    options: tuple[SbatchOption, ...] = Field((), description="further options of sbatch, as --mem=32G")
    slots: int = Field(4, ge=1, le=100, description="how many runs may be in Slurm's hands at once")
    folds_as_array: bool = Field(False, description="each fold a job of its own, and one that merges them")
    host: str | None = Field(None, pattern=HOST, description="a login node, named as for ssh; without it this computer")
    dir: str = Field("~/.onehour", pattern=r"^(~/.|/.)", description="of a host: the folder there in which all lies")
    python: str = Field(
        "", description="of the nodes; without it the one that runs Onehour, of a host the one that setup makes"
    )
    proxy_command: tuple[str, ...] = Field((), description="of a host: a program that leads to it")

    @model_validator(mode="after")
    def _of_a_host(self) -> SlurmSettings:
        for key in ("dir", "proxy_command"):
            if self.host is None and key in self.model_fields_set:
                raise ValueError(f"{key} is of use only with a host")
        return self

    def through(self) -> HostSettings | None:
        """How the host is reached on which the cluster's commands are; None for this computer."""
        if self.host is None:
            return None
        return HostSettings(
            kind="ssh", host=self.host, dir=self.dir, python=self.python, proxy_command=self.proxy_command
        )

    def slot_names(self, name: str) -> tuple[str, ...]:
        return tuple(f"{name}/{number}" for number in range(1, self.slots + 1))

    def gpus_of(self, slot: str) -> int:
        """Those of one job; of an array each fold holds as many."""
        return gpus_of_job(self.gres or "", self.options)


KINDS: Mapping[str, type[BackendSettings]] = {
    "local": LocalSettings,
    "ssh": SshSettings,
    "slurm": SlurmSettings,
    "kaggle": KaggleSettings,
}


def parse(name: str, table: Any, where: str) -> BackendSettings:
    """The settings under [backends.NAME]. Raises OnehourError naming the key and the nearest right one."""
    if not isinstance(table, dict):
        raise OnehourError(f"backends.{name} is no table of settings", where=where)
    kind = str(table.get("kind", "local" if name == "local" else ""))
    if kind not in KINDS:
        what = f"there is no kind of backend {kind!r}" if kind else f"the kind of backend {name!r} is missing"
        raise OnehourError(what, where=where, fix=nearest(kind, KINDS))
    if (kind == "local") != (name == "local"):
        raise OnehourError(
            f"the backend {name!r} cannot be of kind {kind!r}", where=where, fix="This computer is local."
        )
    try:
        return KINDS[kind].model_validate(table)
    except ValidationError as error:
        # A key that is misspelt is also one that is missing.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise OnehourError(
                f"backends.{name}: unknown key {key!r}", where=where, fix=nearest(key, KINDS[kind].model_fields)
            ) from None
        if first["type"] == "missing":
            fix = f"Set it up with: {COMMAND} backend setup {name}"
            raise OnehourError(f"backends.{name}: {key} is missing", where=where, fix=fix) from None
        message = first["msg"].removeprefix("Value error, ")
        place = f"backends.{name}.{key}".rstrip(".")
        raise OnehourError(f"{place}: {message[0].lower()}{message[1:]}", where=where) from None
