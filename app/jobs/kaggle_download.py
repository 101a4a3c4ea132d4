"""The competition's data, fetched through Kaggle's client: goes on where it stopped, and is put in place whole."""

from __future__ import annotations

import filecmp
import re
import shutil
import threading
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from app.jobs import errands, kaggle_origin, sample_challenge
from app.jobs.backends.interface import Refused
from app.jobs.kaggle_account import Account, Busy, Forbidden
from app.jobs.kaggle_competition import page_of, rules_not_accepted, slug_of, unknown
from app.jobs.kaggle_errand import patient, told
from app.journal.home import Home
from app.journal.store import Journal
from app.journal.tables import Challenge, Errand
from engine.contract import OnehourError

SAY_S = 1.0
RESERVE = 200_000_000  # bytes that stay free


def ask(journal: Journal, competition: str, into: Path, challenge_id: int | None = None) -> Errand:
    """Let the data of a competition be downloaded into the folder `into`."""
    with journal.writing() as db:
        return errands.ask(
            db, "download", slug_of(competition), journal.now(), challenge_id=challenge_id, into=str(into)
        )


def place(home: Home, challenge: Challenge | None, competition: str | None, into: Path | None) -> tuple[str, Path]:
    """Which competition, and where to: the challenge's own into its data folder, another one into a folder of its name."""
    if competition is None and challenge is None:
        raise OnehourError("there is no challenge yet", fix="Name the competition, as in its address.")
    own = "" if challenge is None else slug_of(challenge.competition)
    slug = slug_of(competition or own)
    if slug == sample_challenge.SLUG:
        raise OnehourError("the sample is drawn, not downloaded")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", slug):
        raise OnehourError(f"{slug!r} is no competition's name", fix=f"It stands in its address: {page_of('NAME')}")
    if into is None:
        into = Path(challenge.data_dir) if challenge is not None and slug == own else home.data_dir / slug
    return slug, into.expanduser().absolute()


def is_there(folder: Path, slug: str) -> bool:
    """Whether the folder holds all that a download brought."""
    origin = kaggle_origin.of(folder)
    return origin is not None and origin.competition == slug and all((folder / name).is_file() for name in origin.looks)


@patient
def download(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Download, unpack beside the target, then put every file in place. A file that is there already stays as it is."""
    into, slug = Path(told(errand)["into"]), errand.subject
    account = Account()
    part = into.parent / f".{into.name}.download"
    try:
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnehourError(f"the folder cannot be made ({error.strerror})", where=str(part)) from None
    packed = part / f"{slug}.zip"
    if not (part / "whole").exists():
        _fetch(journal, errand, account, slug, packed)
        (part / "whole").touch()
    errands.say(journal, errand.id, "unpacking")
    unpacked = part / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    names = unpack(packed, unpacked)
    kept = put_in_place(unpacked, into, names)
    kaggle_origin.keep(into, slug, [name for name in names if name not in kept])
    shutil.rmtree(part)
    return {"account": account.user, "folder": str(into), "files": len(names), "kept": kept}


def _fetch(journal: Journal, errand: Errand, account: Account, slug: str, packed: Path) -> None:
    """The zip, whole; the client goes on with what an earlier download left of it."""
    over = threading.Event()

    def act(api: Any) -> None:
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        with api.build_kaggle_client() as services:
            answer = services.competitions.competition_api_client.download_data_files(request)
            total = int(answer.headers.get("Content-Length") or 0)
            require_room(packed.parent, 2 * total - (packed.stat().st_size if packed.exists() else 0))
            watcher = threading.Thread(target=_tell, args=(journal, errand.id, packed, total, over))
            watcher.start()
            try:
                api.download_file(answer, str(packed), services.http_client(), quiet=True, resume=True)
            finally:
                over.set()
                watcher.join()

    try:
        account.do(act)
    except Forbidden as error:
        raise (unknown(slug) if error.status == 404 else rules_not_accepted(error, slug)) from error


def _tell(journal: Journal, errand_id: int, packed: Path, total: int, over: threading.Event) -> None:
    while not over.wait(SAY_S):
        there = packed.stat().st_size if packed.exists() else 0
        of = f" of {total / 1e6:.0f} MB, {there / total:.0%}" if total else " MB"
        errands.say(journal, errand_id, f"{there / 1e6:.0f}{of}")


def unpack(packed: Path, target: Path) -> list[str]:
    """The names of what came out, below `target`. A `train.zip` inside becomes the folder `train`, as Kaggle's own kernels see it."""
    names = _extract(packed, target)
    for name in [name for name in names if name.endswith(".zip")]:
        inner = target / name
        folder = inner.with_suffix("")
        if not folder.exists():
            found = _extract(inner, folder)
            # train.zip may hold train/a.jpg or a.jpg.
            if found and all(PurePosixPath(one).parts[0] == folder.name for one in found):
                (folder / folder.name).rename(inner.with_suffix(".part"))
                folder.rmdir()
                inner.with_suffix(".part").rename(folder)
            inner.unlink()
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())


def _extract(packed: Path, target: Path) -> list[str]:
    try:
        with zipfile.ZipFile(packed) as archive:
            for one in archive.infolist():
                parts = PurePosixPath(one.filename).parts
                if one.filename.startswith("/") or ".." in parts or "\\" in one.filename:
                    raise Refused(f"the download holds a file {one.filename!r}, which leads elsewhere", str(packed))
            require_room(packed.parent, sum(one.file_size for one in archive.infolist()))
            archive.extractall(target)
            return [one.filename for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, EOFError) as error:
        packed.unlink()
        (packed.parent / "whole").unlink(missing_ok=True)
        raise Busy(f"what was downloaded is no zip ({error}); it is fetched anew") from None


def put_in_place(unpacked: Path, into: Path, names: list[str]) -> list[str]:
    """Put all of it into an empty place at once, else file by file; the names of other files that stood there and stay."""
    if not into.exists() or not any(into.iterdir()):
        if into.exists():
            into.rmdir()
        unpacked.rename(into)
        return []
    kept = []
    for name in names:
        target = into / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (unpacked / name).rename(target)
        elif not target.is_file() or not filecmp.cmp(unpacked / name, target, shallow=False):
            kept.append(name)
    return kept


def require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise OnehourError(
            f"{(needed + RESERVE) / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free", where=str(folder)
        )
