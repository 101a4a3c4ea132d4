"""What every part of the contract is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Never changed once it was read, and no key in it that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
