"""One competition as the account sees it: its facts, its submissions and what may still be sent, its leaderboard."""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.jobs.backends.interface import Refused
from app.jobs.kaggle_account import Account, Busy, Forbidden
from app.journal.days import to_ms
from app.scores.position import TeamScore
from app.scores.sent_submissions import COMPLETE, ERROR, PENDING, AtKaggle

PAGE_SIZE = 100
MOST_PAGES = 100
LARGEST_LEADERBOARD = 200_000_000  # bytes, unpacked
LARGEST_SUBMISSION = 200_000_000
# Kaggle's own words for competitions that award no medals.
WITHOUT_MEDALS = ("playground", "getting started", "gettingstarted", "community", "recruitment")


def slug_of(competition: str) -> str:
    """`humpback-whale-identification` of that or of the competition's address."""
    return competition.rstrip("/").rpartition("/")[2].strip()


def page_of(slug: str) -> str:
    return f"https://www.kaggle.com/competitions/{slug}"


@dataclass(frozen=True)
class Facts:
    """`rank` is ours as the account tells it; None when it tells none."""

    rank: int | None
    deadline_at: int | None
    a_day: int | None
    awards_medals: bool


@dataclass(frozen=True)
class Limits:
    sent_today: int
    left_today: int


class Competition:
    def __init__(self, account: Account, slug: str) -> None:
        self.account, self.slug = account, slug

    def facts(self) -> Facts:
        """Raises Refused when Kaggle knows no such competition."""
        answer = self.account.do(lambda api: api.competitions_list(search=self.slug, group="all"), again=True)
        known = (answer.competitions or []) if answer is not None else []
        found = next((one for one in known if one is not None and slug_of(one.ref or one.url or "") == self.slug), None)
        if found is None:
            raise unknown(self.slug)
        category = (found.category or "").lower()
        return Facts(
            rank=found.user_rank or None,
            deadline_at=_ms(found.deadline),
            a_day=found.max_daily_submissions or None,
            awards_medals=bool(found.awards_points) and category not in WITHOUT_MEDALS,
        )

    def submissions(self) -> list[AtKaggle]:
        """All of the account's team, the newest first."""
        token, found = "", []
        for _ in range(MOST_PAGES):
            rows, token = self._submissions(token)
            found += rows
            if not token:
                break
        return found

    def _submissions(self, token: str) -> tuple[list[AtKaggle], str]:
        def asked(services: Any) -> tuple[list[AtKaggle], str]:
            from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

            request = ApiListSubmissionsRequest()
            request.competition_name, request.page_size, request.page_token = self.slug, PAGE_SIZE, token
            answer = services.competitions.competition_api_client.list_submissions(request)
            rows = [_at_kaggle(one) for one in answer.submissions or [] if one is not None]
            return rows, answer.next_page_token or ""

        return self.account.ask(asked)

    def content(self, ref: int) -> bytes:
        """What was sent under this number."""

        def asked(services: Any) -> str:
            from kagglesdk.competitions.types.competition_api_service import ApiDownloadSubmissionRequest

            request = ApiDownloadSubmissionRequest()
            request.submission_id = ref
            with services.competitions.competition_api_client.download_submission(request) as answer:
                return str(answer.url)

        return self.account.read(self.account.ask(asked), 0, LARGEST_SUBMISSION)

    def limits(self) -> Limits:
        answer = self.account.do(lambda api: api.competition_get_submission_limits(self.slug), again=True)
        return Limits(answer.num_today, answer.num_allowed_now)

    def send(self, path: Path, message: str) -> int:
        """Send a file, once; returns its number. Busy when nobody knows whether it arrived."""
        answer = self.account.do(lambda api: api.competition_submit(str(path), message, self.slug, quiet=True))
        if not answer.ref:
            raise Busy(f"it has not taken the file ({answer.message or 'no reason given'})")
        return int(answer.ref)

    def leaderboard(self) -> list[TeamScore]:
        """The public one, the best first."""

        def asked(services: Any) -> bytes:
            from kagglesdk.competitions.types.competition_api_service import ApiDownloadLeaderboardRequest

            request = ApiDownloadLeaderboardRequest()
            request.competition_name = self.slug
            return bytes(services.competitions.competition_api_client.download_leaderboard(request).content)

        return read_leaderboard(self.account.ask(asked))

    def final_leaderboard(self) -> list[TeamScore]:
        """The private one of a competition that is over, the best first."""
        token, found = "", []
        for _ in range(MOST_PAGES):
            rows, token = self._leaderboard_page(token)
            found += rows
            if not token:
                break
        return found

    def _leaderboard_page(self, token: str) -> tuple[list[TeamScore], str]:
        def asked(services: Any) -> tuple[list[TeamScore], str]:
            from kagglesdk.competitions.types.competition_api_service import ApiGetLeaderboardRequest

            request = ApiGetLeaderboardRequest()
            request.competition_name, request.page_size, request.page_token = self.slug, PAGE_SIZE, token
            answer = services.competitions.competition_api_client.get_leaderboard(request)
            rows = [TeamScore(one.team_name or "", number(one.score)) for one in answer.submissions or []]
            return rows, answer.next_page_token or ""

        return self.account.ask(asked)


def read_leaderboard(packed: bytes) -> list[TeamScore]:
    """The rows of the CSV in Kaggle's zip, in their order, or in that of its column Rank where it has one."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            info = next(one for one in archive.infolist() if one.filename.endswith(".csv"))
            if info.file_size > LARGEST_LEADERBOARD:
                raise Busy("its leaderboard is too large to be one")
            text = archive.read(info).decode("utf-8-sig")
    except (zipfile.BadZipFile, StopIteration, UnicodeDecodeError):
        raise Busy("its leaderboard cannot be read") from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    named = {re.sub(r"[^a-z]", "", name.lower()): name for name in rows.fieldnames or []}
    if "teamname" not in named or "score" not in named:
        raise Busy(f"its leaderboard has other columns than we know: {', '.join(rows.fieldnames or [])}")
    read = list(rows)
    if "rank" in named and all((row[named["rank"]] or "").isdigit() for row in read):
        read.sort(key=lambda row: int(row[named["rank"]]))
    return [TeamScore(row[named["teamname"]] or "", number(row[named["score"]])) for row in read]


def _at_kaggle(one: Any) -> AtKaggle:
    status = {"PENDING": PENDING, "COMPLETE": COMPLETE, "ERROR": ERROR}[one.status.name]
    return AtKaggle(
        ref=int(one.ref),
        at=_ms(one.date) or 0,
        file_name=one.file_name or "",
        message=one.description or "",
        size=int(one.total_bytes or 0),
        status=status,
        public=number(one.public_score),
        private=number(one.private_score),
        error=one.error_description or "",
        team=one.team_name or "",
    )


def number(text: str | None) -> float | None:
    """A score as Kaggle spells it: a string, empty where there is none."""
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _ms(moment: datetime | None) -> int | None:
    """Kaggle's moments are UTC and say no zone."""
    return None if moment is None else to_ms(moment.replace(tzinfo=UTC))


def unknown(slug: str) -> Refused:
    return Refused(
        f"there is no competition {slug!r} at Kaggle", "Kaggle", f"Its name stands in its address: {page_of('NAME')}"
    )


def rules_not_accepted(error: Forbidden, slug: str) -> Refused:
    """Kaggle refuses a competition's data until its rules are accepted in the browser."""
    return Refused(
        f"it lets this account not have the data of {slug} ({error.what})",
        "Kaggle",
        f"Accept the rules on {page_of(slug)}/rules, then ask again.",
    )
