"""The competitions of the Kaggle double: data, submissions that are scored, limits, a leaderboard."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SUBMISSION_POLLS = 2


def told(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@dataclass
class Sent:
    """A submission; scored after it was listed `polls` times."""

    ref: int
    at: datetime
    file_name: str
    content: bytes
    description: str
    polls: int = SUBMISSION_POLLS
    status: str = "PENDING"
    public: str = ""
    private: str = ""
    error: str = ""


@dataclass
class Competition:
    slug: str
    files: dict[str, bytes] = field(default_factory=dict)
    truth: dict[str, tuple[str, str]] = field(default_factory=dict)  # image → (label, Public or Private)
    rules_accepted: bool = True
    category: str = "Featured"
    awards_points: bool = True
    a_day: int = 5
    deadline: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(days=30))
    team: str = "The testers"
    sent: list[Sent] = field(default_factory=list)
    others: list[tuple[str, float, float]] = field(default_factory=list)  # team, public and private score
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def zipped(self) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(zipfile.ZipInfo(name, (2019, 1, 1, 0, 0, 0)), content)
        return packed.getvalue()

    def today(self, now: datetime) -> int:
        return sum(one.at.date() == now.date() and one.status != "ERROR" for one in self.sent)

    def limits(self, now: datetime) -> dict[str, Any]:
        today = self.today(now)
        return {"numToday": today, "numTotal": len(self.sent), "numAllowedNow": max(0, self.a_day - today)}

    def take(self, file_name: str, content: bytes, description: str, now: datetime) -> Sent:
        ref = 1000 + len(self.sent)
        self.sent.append(Sent(ref, now, file_name, content, description))
        return self.sent[-1]

    def listed(self) -> list[dict[str, Any]]:
        """The newest first, as Kaggle lists them; each look brings what is pending nearer to its score."""
        for one in self.sent:
            one.polls -= 1
            if one.status == "PENDING" and one.polls < 0:
                self._score(one)
        return [self._row(one) for one in sorted(self.sent, key=lambda one: (one.at, one.ref), reverse=True)]

    def _row(self, one: Sent) -> dict[str, Any]:
        return {
            "ref": one.ref,
            "totalBytes": len(one.content),
            "date": told(one.at),
            "description": one.description,
            "errorDescription": one.error,
            "fileName": one.file_name,
            "publicScore": one.public,
            "privateScore": one.private if self.is_over(self.now()) else "",
            "status": one.status,
            "submittedBy": "tester",
            "teamName": self.team,
            "url": f"https://www.kaggle.com/submissions/{one.ref}",
        }

    def _score(self, one: Sent) -> None:
        rows = list(csv.reader(io.StringIO(one.content.decode("utf-8"))))[1:]
        answers = {row[0]: row[1].split()[:5] for row in rows if len(row) == 2}
        if set(answers) != set(self.truth) or len(answers) != len(rows):
            one.status, one.error = "ERROR", "ERROR: The submission must have the ids of the sample submission."
            return
        one.status = "COMPLETE"
        for half in ("Public", "Private"):
            reached = [
                1 / (answers[image].index(label) + 1) if label in answers[image] else 0.0
                for image, (label, usage) in self.truth.items()
                if usage == half
            ]
            score = f"{sum(reached) / len(reached):.5f}" if reached else ""
            one.public, one.private = (score, one.private) if half == "Public" else (one.public, score)

    def is_over(self, now: datetime) -> bool:
        return now > self.deadline

    def board(self, *, private: bool = False) -> list[tuple[int, str, str]]:
        """(team's id, name, score), the best first; ours among them with its best score."""
        mine = [float(one.private if private else one.public) for one in self.sent if one.status == "COMPLETE"]
        rows = [(100 + number, name, said[private]) for number, (name, *said) in enumerate(self.others)]
        if mine:
            rows.append((7, self.team, max(mine)))
        rows.sort(key=lambda row: -row[2])
        return [(team, name, f"{score:.5f}") for team, name, score in rows]

    def rank(self, now: datetime) -> int:
        """Ours, from 1; 0 without a score."""
        names = [name for _, name, _ in self.board(private=self.is_over(now))]
        return names.index(self.team) + 1 if self.team in names else 0

    def described(self, now: datetime) -> dict[str, Any]:
        return {
            "id": 1,
            "ref": f"https://www.kaggle.com/competitions/{self.slug}",
            "title": self.slug.replace("-", " "),
            "category": self.category,
            "deadline": told(self.deadline),
            "teamCount": len(self.board()),
            "userHasEntered": self.rules_accepted,
            "userRank": self.rank(now),
            "maxDailySubmissions": self.a_day,
            "awardsPoints": self.awards_points,
        }

    def leaderboard_zip(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["TeamId", "TeamName", "LastSubmissionDate", "Score"])
        for team, name, score in self.board():
            writer.writerow([team, name, "2026-03-01 10:00:00", score])
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"{self.slug}-publicleaderboard.csv", "\ufeff" + text.getvalue())
        return packed.getvalue()
