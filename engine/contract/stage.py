"""What training consists of: stages one after the other, and transforms of the training images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.contract.frozen import Frozen

Size = tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]]


class Stage(Frozen):
    """A stretch of training with one learning-rate cycle."""

    epochs: Annotated[int, Field(ge=1)] = Field(description="epochs over the training images of a fold")
    lr: Annotated[float, Field(gt=0)] = Field(description="highest learning rate of the schedule, at the head")
    freeze: bool = Field(False, description="train only the head, the backbone stays as it is")
    image_size: Size | None = Field(
        None,
        description="(height, width) in pixels of this stage's training images, the spec's image_size when null; "
        "validation and test images have the last stage's",
    )
    schedule: Literal["one_cycle", "flat_cos", "constant"] = Field(
        "one_cycle",
        description="one_cycle: up in the first quarter, then down to almost nothing; flat_cos: down in the last quarter",
    )
    body_lr: Annotated[float, Field(gt=0)] | None = Field(
        None, description="the backbone's learning rate as a factor on lr; null: 0.2 with weights, 1 without"
    )


class Transform(Frozen):
    """One albumentations transform of the training images, by its class name and arguments."""

    name: str = Field(description="class of albumentations")
    args: dict[str, Any] = Field({}, description="its arguments as albumentations names them")
