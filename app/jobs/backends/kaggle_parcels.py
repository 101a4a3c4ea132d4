"""What a kernel reads of this computer, as private datasets: one a parcel, named by its content, so nothing is sent twice."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.jobs.backends.interface import Refused
from app.jobs.backends.kaggle_script import PARCEL
from app.jobs.kaggle_account import Account, Busy, Forbidden
from app.jobs.programme import Input
from app.journal.home import COMMAND
from engine.contract import OnehourError
from engine.run_folder import file_sha256, write_json

READY, FAILED = "ready", "failed"
NAME = re.compile(r"onehour-[a-z0-9-]+-[0-9a-f]{16}")
# In what Kaggle says when the account's room for private datasets is used up.
ROOM_WORDS = ("quota", "storage", "limit", "space", "exceed")
POLL_S = 5.0
LONGEST_S = 1_800.0  # until Kaggle has made a dataset of what was sent


@dataclass(frozen=True)
class Parcel:
    """Files of this computer under the names that they have inside. `what` is said to a person: "engine", "data"."""

    what: str
    files: tuple[tuple[str, Path], ...]

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for _, path in self.files)


def is_parcel(slug: str) -> bool:
    """Whether a dataset of that name was made of a parcel."""
    return NAME.fullmatch(slug) is not None


def of_input(what: str, one: Input) -> Parcel:
    """The file, or what its patterns name below the folder. Raises Refused when nothing is there."""
    if one.path.is_file():
        return Parcel(what, ((one.path.name, one.path),))
    found = {path for pattern in one.only or ("**/*",) for path in one.path.glob(pattern) if path.is_file()}
    if not found:
        raise Refused(f"there is nothing to send of the {what}", str(one.path))
    return Parcel(what, tuple(sorted((str(path.relative_to(one.path)), path) for path in found)))


class Parcels:
    """Those of one account. `folder` keeps what is being sent, and the digests of what did not change since."""

    def __init__(self, account: Account, folder: Path, poll_s: float = POLL_S) -> None:
        self.account, self.folder, self.poll_s = account, folder, poll_s

    def send(self, parcel: Parcel, say: Callable[[str], None], stop: threading.Event) -> str:
        """The slug of a dataset that holds the parcel and can be used; made unless it is there. May take long.

        Raises Busy and what else the account does; Refused when Kaggle cannot make a dataset of it.
        """
        slug = f"onehour-{parcel.what}-{self._digest(parcel)[:16]}"
        status = self.status(slug)
        if status == FAILED:
            self.account.do(lambda api: api.dataset_delete(self.account.user, slug, no_confirm=True))
            status = ""
        if not status:
            self._create(slug, parcel, say)
        waited_s = 0.0
        while (status := self.status(slug)) != READY:
            if status == FAILED:
                raise Refused(f"Kaggle could not make a dataset of the {parcel.what}", f"{self.account.user}/{slug}")
            if stop.is_set() or waited_s > LONGEST_S:
                raise Busy(f"the dataset {slug} is not ready yet")
            say(f"Kaggle is unpacking the {parcel.what}")
            stop.wait(self.poll_s)
            waited_s += self.poll_s
        return slug

    def status(self, slug: str) -> str:
        """`ready`, `failed`, another word while Kaggle works on it; empty when there is no such dataset."""

        def asked(services: Any) -> str:
            from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetStatusRequest

            request = ApiGetDatasetStatusRequest()
            request.owner_slug, request.dataset_slug = self.account.user, slug
            return str(services.datasets.dataset_api_client.get_dataset_status(request).status.name)

        try:
            name = self.account.ask(asked)
        except Forbidden:
            return ""
        return {"READY": READY, "FAILED": FAILED, "DELETED": ""}.get(name, "unpacking")

    def _create(self, slug: str, parcel: Parcel, say: Callable[[str], None]) -> None:
        folder = self.folder / slug
        packed = folder / PARCEL
        if not packed.is_file():
            say(f"the {parcel.what} is being packed")
            _pack(parcel, packed)
        say(f"the {parcel.what} is being sent to Kaggle ({packed.stat().st_size / 1e6:.1f} MB)")
        self.account.do(lambda api: _create(api, slug, self.account.user, folder))
        shutil.rmtree(folder)

    def _digest(self, parcel: Parcel) -> str:
        """SHA-256 of names and contents. Files that look as they did (size, date) are not read again."""
        looks = _hash((name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in parcel.files)
        kept = self.folder / "digests.json"
        try:
            known = json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        if looks not in known:
            known[looks] = _hash((name, file_sha256(path)) for name, path in parcel.files)
            write_json(kept, known)
        return str(known[looks])


def _create(api: Any, slug: str, owner: str, folder: Path) -> None:
    """Upload what lies in `folder` and make a private dataset of it."""
    from kaggle.api.kaggle_api_extended import ResumableUploadContext
    from kagglesdk.blobs.types.blob_api_service import ApiBlobType
    from kagglesdk.datasets.types.dataset_api_service import ApiCreateDatasetRequest

    request = ApiCreateDatasetRequest()
    request.owner_slug, request.slug, request.title = owner, slug, slug
    request.license_name, request.is_private, request.files = "other", True, []
    with ResumableUploadContext() as context:
        api.upload_files(request, None, str(folder), ApiBlobType.DATASET, context, quiet=True)
        if not request.files:  # the client says nothing when an upload fails
            raise Busy(f"what was sent for {slug} did not arrive")
        with api.build_kaggle_client() as services:
            answer = services.datasets.dataset_api_client.create_dataset(request)
    if answer.error:
        words = answer.error.rstrip(".")
        is_full = any(word in words.lower() for word in ROOM_WORDS)
        fix = f"Delete what earlier runs left there: {COMMAND} backend tidy kaggle" if is_full else ""
        raise Refused(words, f"dataset {slug}", fix)


def _pack(parcel: Parcel, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    need, free = round(parcel.size * 1.05) + (1 << 20), shutil.disk_usage(target.parent).free
    if free < need:
        raise OnehourError(
            f"to pack the {parcel.what} takes {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free", str(target.parent)
        )
    part = target.with_suffix(".part")
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT, dereference=True) as archive:
        for name, path in parcel.files:
            archive.add(path, name, recursive=False)
    part.replace(target)


def _hash(rows: Iterable[Sequence[Any]]) -> str:
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, ensure_ascii=True).encode() + b"\n")
    return total.hexdigest()
