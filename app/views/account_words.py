"""The account at Kaggle, as pages tell of it: whose it is and when it answered last, never its key."""

from __future__ import annotations

from app.jobs.kaggle_looks import AccountStatus
from app.journal.days import local
from app.views.desk import plain


def account_words(account: AccountStatus, time_zone: str) -> str:
    """`tester answered on 2026-03-02 at 20:14`, and what went wrong since; never a key."""

    def when(at: int | None) -> str:
        return "" if at is None else f"{local(at, time_zone):%Y-%m-%d at %H:%M}"

    said = [f"{plain(account.user)} answered on {when(account.last_contact_at)}"] if account.last_contact_at else []
    if account.error:
        said.append(f":red[✗] {when(account.error_at)}: {plain(account.error)}")
    return " · ".join(said) or "Kaggle was not asked yet."
