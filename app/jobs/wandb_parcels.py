"""What of a run was written for W&B and is not there yet: each file read again and told, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.journal.home import Home
from app.scores.wandb_file.blocks import Tail
from app.scores.wandb_file.run_log import RunLog
from engine.contract import OnehourError
from engine.run_folder import RunFolder, file_sha256

# wandb writes this beside what it has uploaded; a fold that was mirrored online to its end has it from the start.
SYNCED = ".synced"


@dataclass(frozen=True)
class Parcel:
    """One start of one W&B run, as it would be sent. Names only, but for what says who or where one is."""

    path: Path  # the .wandb file
    sha256: str
    wandb_id: str
    entity: str  # empty: that of the key
    project: str
    rows: int
    metrics: tuple[str, ...]
    settings: tuple[str, ...]  # keys of its config
    summary: tuple[str, ...]
    tags: tuple[str, ...]
    notes: str
    host: str
    environment: tuple[str, ...]  # kinds of facts about computer and person
    git_remote: str
    commit: str
    console_lines: int
    system_rows: int  # of processor, memory, GPU
    artifacts: tuple[str, ...]
    files: Mapping[str, int]  # bytes, by the name that they get
    log_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.log_bytes + sum(self.files.values())

    @property
    def about_you(self) -> tuple[str, ...]:
        """What of the computer and the person it tells, in words; empty for what the engine mirrors."""
        host = (f"host name {self.host}",) if self.host and self.host != "redacted" else ()
        said = tuple(kind for kind in self.environment if not (kind == "host name" and host))
        remote = (f"git address {self.git_remote}",) if self.git_remote else ()
        system = ("load of processor, memory and GPU",) if self.system_rows else ()
        console = (f"{self.console_lines} pieces of console output",) if self.console_lines else ()
        return (*host, *said, *remote, *system, *console)


def parcels(home: Home, run_key: str) -> list[Parcel]:
    """What of the run is still to be sent, in the order of its starts. What logged nothing is left out.

    Raises OnehourError for a file that cannot be read.
    """
    folder = RunFolder(home.run_dir(run_key)).wandb_dir
    found = sorted(path for path in folder.glob("*run-*/run-*.wandb") if not is_synced(path))
    return [parcel for parcel in map(read, found) if parcel.rows]


def has_unsent(home: Home, run_key: str) -> bool:
    """Whether a look into the run's files may find something to send; quick."""
    return any(not is_synced(path) for path in RunFolder(home.run_dir(run_key)).wandb_dir.glob("*run-*/run-*.wandb"))


def is_synced(path: Path) -> bool:
    return path.with_name(path.name + SYNCED).exists()


def read(path: Path) -> Parcel:
    """Raises OnehourError for a file that cannot be read, or that is damaged: it would be sent in part."""
    log, rows = RunLog(Tail(path)), 0
    metrics: dict[str, None] = {}
    for row in log.rows():
        rows += 1
        media = [name.removesuffix("._type") for name in row.values if name.endswith("._type")]
        plain = [name for name in row.values if not name.startswith(tuple(f"{one}." for one in media))]
        metrics |= dict.fromkeys((*plain, *media))
    if log.tail.damaged or log.unreadable:
        raise OnehourError("it is damaged and would not be sent whole", where=str(path))
    below = path.parent / "files"
    named = dict.fromkeys(one for name in log.files for one in _files(below, name))
    return Parcel(
        path=path,
        sha256=file_sha256(path),
        wandb_id=log.run_id,
        entity=log.entity,
        project=log.project,
        rows=rows,
        metrics=tuple(sorted(metrics)),
        settings=tuple(sorted(key for key in log.config if not key.startswith("_"))),
        summary=tuple(sorted(key for key in log.summary if not key.startswith("_"))),
        tags=tuple(log.tags),
        notes=log.notes,
        host=log.host,
        environment=tuple(sorted(log.environment)),
        git_remote=log.git_remote,
        commit=log.commit,
        console_lines=log.counts["output"],
        system_rows=log.counts["stats"],
        artifacts=tuple(log.artifacts),
        files={name: (below / name).stat().st_size for name in named},
        log_bytes=path.stat().st_size,
    )


def _files(below: Path, name: str) -> list[str]:
    """What a name in the log stands for: a file, or those that fit a pattern."""
    if (below / name).is_file():
        return [name]
    return (
        sorted(str(path.relative_to(below)) for path in below.glob(name) if path.is_file())
        if name and not name.startswith("/")
        else []
    )


def told(parcel: Parcel) -> list[str]:
    """The parcel in lines, for a terminal and a page alike."""
    where = "/".join(part for part in (parcel.entity, parcel.project) if part)
    lines = [
        f"{parcel.wandb_id} → project {where}, {bytes_text(parcel.total_bytes)}",
        f"{parcel.rows} row{'s' * (parcel.rows != 1)} of {', '.join(parcel.metrics)}",
        f"config: {', '.join(parcel.settings) or 'nothing'}",
        f"summary: {', '.join(parcel.summary) or 'nothing'}",
    ]
    said = [f"tags {', '.join(parcel.tags)}"] if parcel.tags else []
    said += [f"notes “{parcel.notes}”"] if parcel.notes else []
    said += [f"commit {parcel.commit}"] if parcel.commit else []
    lines += ["; ".join(said)] if said else []
    lines += [f"file {name}, {bytes_text(size)}" for name, size in parcel.files.items()]
    lines += [f"artifact {name}" for name in parcel.artifacts]
    about = "; ".join(parcel.about_you) or "nothing but the versions of Python and wandb"
    return [*lines, f"of you and this computer: {about}"]


def bytes_text(size: int) -> str:
    """`34 B`, `12.3 kB`, `1.2 MB`."""
    if size < 1_000:
        return f"{size} B"
    return f"{size / 1_000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
