"""Where a competition's files lie and how its columns are called."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.contract.frozen import Frozen


class DataSpec(Frozen):
    """Where a competition's files lie. Every path but `dir` is relative to `dir`."""

    dir: str = Field(description="folder of the competition's data")
    labels: str | None = Field(
        "train.csv",
        description="CSV with one row per training image; null: the folder of an image below train_images is its label",
    )
    image_col: str = Field("Image", description="column of the image's file name")
    label_col: str = Field("Id", description="column of the label")
    sightings_col: str | None = Field(
        None, description="column whose equal values are one sighting: its images share a fold; empty cells are none"
    )
    train_images: str = Field("train", description="folder of the training images")
    test_images: str = Field("test", description="folder of the test images")
    sample_submission: str = Field(
        "sample_submission.csv", description="CSV that a submission must match in order and ids"
    )
    unknown_label: str | None = Field(
        "new_whale", description="label that means: none of the known ones; null if there is none"
    )
    boxes: str | None = Field(
        None,
        description="CSV image,x0,y0,x1,y1 in pixels of the upright picture: training and test images are cut to their box; "
        "null: whole pictures",
    )
    box_margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="share of a box's sides by which it grows on each side before cutting"
    )
