"""What is asked of a run of a person's own code: a command or a notebook, and what it leaves behind."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from pydantic import Field, model_validator

from engine.contract.errors import nearest
from engine.contract.frozen import Frozen
from engine.contract.result import METRIC_DIRECTIONS
from engine.contract.spec import TrackingSpec


class CommandSpec(Frozen):
    """A command or a notebook of one's own. It is told where it stands by its environment: docs/own-code.md."""

    argv: tuple[str, ...] = Field((), description="the command, word by word; it never goes through a shell")
    notebook: str | None = Field(
        None, description="notebook that nbconvert executes instead of a command, relative to cwd"
    )
    cwd: str = Field(description="folder that it is started in")
    inputs: tuple[str, ...] | None = Field(
        None,
        description="patterns below cwd that go along to another machine; null: what git tracks there, and new files that it does "
        "not ignore",
    )
    data_dir: str | None = Field(None, description="folder of the competition's data, told as ONEHOUR_DATA_DIR")
    search_path: str = Field("", description="PATH for it on this computer: that of whoever queued it")
    metric: str = Field("map5", description="metric of its CV, as in a spec of the engine")
    result: str = Field("result.json", description="file in the run's folder that holds its scores")
    submission: str = Field("submission.csv", description="file in the run's folder that may be submitted")
    tracking: TrackingSpec = Field(TrackingSpec(), description="how it appears in W&B, told by WANDB_ variables")

    @model_validator(mode="after")
    def _one_thing_is_run(self) -> CommandSpec:
        if bool(self.argv) == (self.notebook is not None):
            raise ValueError("a run is either a command (argv) or a notebook: name one of them")
        return self

    @model_validator(mode="after")
    def _the_metric_is_known(self) -> CommandSpec:
        if self.metric not in METRIC_DIRECTIONS:
            raise ValueError(f"there is no metric {self.metric!r}. {nearest(self.metric, METRIC_DIRECTIONS)}".strip())
        return self

    @model_validator(mode="after")
    def _files_lie_in_the_runs_folder(self) -> CommandSpec:
        for key, name, suffix in (("result", self.result, ".json"), ("submission", self.submission, ".csv")):
            if PurePath(name).name != name or name.startswith(".") or PurePath(name).suffix != suffix:
                raise ValueError(f"{key} = {name!r} is no name of a {suffix} file in the run's folder")
        return self

    @property
    def line(self) -> str:
        """What is run, as a person reads it."""
        return self.notebook or shlex.join(self.argv)
