"""The errand that tells what runs have left in the account at Kaggle, and deletes it when a person says so.

Datasets are known by their names, also those that another home of the account has sent: Kaggle allows an account so much room for
private ones. Kernels are those of this home's attempts, once what they left was brought home.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from app.jobs.backends.kaggle_notes import Note, Notes
from app.jobs.backends.kaggle_parcels import is_parcel
from app.jobs.kaggle_account import Account, Forbidden
from app.jobs.kaggle_errand import patient, told
from app.journal.store import Journal
from app.journal.tables import Errand

PAGE_SIZE, MOST_PAGES = 100, 50


@patient
def look(journal: Journal, errand: Errand) -> dict[str, Any]:
    """Answers {"datasets": [[name, bytes]], "kernels": [slug]}, what was there; asked with `delete` it is gone now."""
    account, notes = Account(), Notes(journal.home.jobs_dir / "kaggle")
    datasets, kernels = _datasets(account), dict(_kernels(notes))
    if told(errand).get("delete"):
        for slug, _ in datasets:
            _gone(account, lambda api, slug=slug: api.dataset_delete(account.user, slug, no_confirm=True))
        for attempt, note in kernels.items():
            _gone(account, lambda api, note=note: api.kernels_delete(f"{account.user}/{note.slug}", no_confirm=True))
            notes.keep(attempt, replace(note, pushed=False))
    return {"datasets": datasets, "kernels": [note.slug for note in kernels.values()]}


def _datasets(account: Account) -> list[tuple[str, int]]:
    """Our parcels among the account's own datasets, the largest first, and their bytes."""
    found, token = {}, ""
    for _ in range(MOST_PAGES):
        answer = account.ask(partial(_page, token=token))
        for one in answer.datasets or []:
            slug = one.ref.rpartition("/")[2]
            if is_parcel(slug):
                found[slug] = one.total_bytes or 0
        token = answer.next_page_token or ""
        if not token:
            break
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))


def _page(services: Any, token: str) -> Any:
    from kagglesdk.datasets.types.dataset_api_service import ApiListDatasetsRequest
    from kagglesdk.datasets.types.dataset_enums import DatasetSelectionGroup

    request = ApiListDatasetsRequest()
    request.group = DatasetSelectionGroup.DATASET_SELECTION_GROUP_MY
    request.page_size, request.page_token = PAGE_SIZE, token
    return services.datasets.dataset_api_client.list_datasets(request)


def _kernels(notes: Notes) -> Iterator[tuple[str, Note]]:
    """By attempt: those that are over and home, and still there as far as is known."""
    for path in sorted(notes.root.glob("*/note.json")):
        note = notes.of(path.parent.name)
        if note.is_over and note.is_home and note.pushed:
            yield path.parent.name, note


def _gone(account: Account, delete: Any) -> None:
    try:
        account.do(delete)
    except Forbidden:  # somebody else has deleted it
        return
