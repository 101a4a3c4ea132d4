"""What config.toml says of each backend, checked. One model a kind; `KINDS` lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

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


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]


class BackendSettings(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


KINDS: Mapping[str, type[BackendSettings]] = {"local": LocalSettings, "kaggle": KaggleSettings}


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
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise OnehourError(
                f"backends.{name}: unknown key {key!r}", where=where, fix=nearest(key, KINDS[kind].model_fields)
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        place = f"backends.{name}.{key}".rstrip(".")
        raise OnehourError(f"{place}: {message[0].lower()}{message[1:]}", where=where) from None
