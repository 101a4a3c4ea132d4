"""The person's account at Kaggle, through Kaggle's own client: how it is reached, and what went wrong, as one sentence.

Importing the client calls Kaggle, so only drivers and errands do it, and only when they ask. The key is the client's affair: it
reads it from the environment or its own files, and nothing here sees, keeps or tells it.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from app.jobs.backends.interface import Refused, Unreachable
from engine.contract import OnehourError

log = logging.getLogger("onehour.kaggle")

Answer = TypeVar("Answer")

KEY_PAGE = "https://www.kaggle.com/settings/api"
TIMEOUT_S = 60.0
# What only asks is asked again after these waits, when Kaggle has an error of its own.
WAITS_S = (1.0, 3.0, 9.0)
LATER_S = 60.0
CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota, a limit


class Busy(Unreachable):
    """Kaggle does not do it just now; it may in `after_s` seconds. `soon`: perhaps in a moment already.

    `answered`: it said so, and nothing was done; else nobody knows whether what was asked for was done.
    """

    def __init__(
        self, what: str, after_s: float = LATER_S, *, soon: bool = False, answered: bool = False, fix: str = ""
    ) -> None:
        super().__init__(what, "Kaggle", fix)
        self.after_s, self.soon, self.answered = after_s, soon, answered


class NoEntry(Unreachable):
    """There is no key, or Kaggle does not take it. Nothing but another key helps."""


class Forbidden(Refused):
    """The account may not do this (status 403), or there is no such thing (404, and where it is private 403 too)."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what, "Kaggle")
        self.status = status


class Account:
    """Connects when it is first asked for something. Usable from several threads."""

    def __init__(self, waits_s: tuple[float, ...] = WAITS_S) -> None:
        self.waits_s = waits_s
        self._api: Any = None

    @property
    def user(self) -> str:
        return str(self.api.config_values["username"])

    @property
    def api(self) -> Any:
        """Kaggle's client, signed in. Raises NoEntry or Busy."""
        if self._api is None:
            self._api = self._told(_signed_in)
        return self._api

    def ask(self, call: Callable[[Any], Answer], *, again: bool = True) -> Answer:
        """`call` is given the service clients of one connection. `again`: it only asks, so it may be repeated.

        Raises Busy, NoEntry, Forbidden, and Refused with Kaggle's own words for what it does not take.
        """

        def once() -> Answer:
            with self.api.build_kaggle_client() as services:
                return call(services)

        return self._told(once, again=again)

    def do(self, call: Callable[[Any], Answer], *, again: bool = False) -> Answer:
        """The same for one of the client's own functions: `call` is given the client."""
        return self._told(lambda: call(self.api), again=again)

    def read(self, address: str, start: int, most: int) -> bytes:
        """At most `most` bytes of a file from byte `start`; empty behind its end. The address holds its own permission."""
        import requests

        def once() -> bytes:
            answer = requests.get(address, headers={"Range": f"bytes={start}-{start + most - 1}"}, timeout=TIMEOUT_S)
            if answer.status_code == 416:
                return b""
            answer.raise_for_status()
            return answer.content if answer.status_code == 206 else answer.content[start : start + most]

        return self._told(once)

    def download(self, address: str, path: Path) -> None:
        """The whole file, written to `path` bit by bit."""
        import requests

        def once() -> None:
            with requests.get(address, stream=True, timeout=TIMEOUT_S) as answer, path.open("wb") as file:
                answer.raise_for_status()
                for part in answer.iter_content(CHUNK):
                    file.write(part)
                wanted = answer.headers.get("Content-Length")
                if wanted is not None and file.tell() != int(wanted):
                    raise Busy("a file came only in part", soon=True)

        self._told(once)

    def _told(self, call: Callable[[], Answer], *, again: bool = True) -> Answer:
        """Do `call`; what goes wrong becomes one of our errors."""
        waits = list(self.waits_s) if again else []
        while True:
            try:
                return call()
            except Exception as error:
                found = _as_ours(error)
                if not (waits and isinstance(found, Busy) and found.soon):
                    raise found from error
                time.sleep(waits.pop(0))


@cache
def _client() -> type[Any]:
    """Kaggle's client class. It knows no timeout anywhere, also not while it is imported."""
    import requests

    send = requests.Session.send

    def send_in_time(self: requests.Session, request: Any, **options: Any) -> Any:
        options["timeout"] = options.get("timeout") or TIMEOUT_S
        return send(self, request, **options)

    requests.Session.send = send_in_time  # type: ignore[method-assign]
    from kaggle.api.kaggle_api_extended import KaggleApi

    return KaggleApi


def _signed_in() -> Any:
    try:
        api = _client()()
        # Of the environment as it is now, not as it was when the module was first imported.
        api.args = ["--local"] if os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST" else []
        api.config_values = {}
        api.authenticate()
    except SystemExit:
        raise no_key() from None
    return api


def no_key() -> NoEntry:
    return NoEntry(
        "there is no key that Kaggle takes",
        "Kaggle",
        f"Make a token on {KEY_PAGE} and keep it in ~/.kaggle/access_token, or start again with KAGGLE_API_TOKEN set.",
    )


def _as_ours(error: Exception) -> OnehourError:
    """What the client, or the network below it, raised, as a sentence."""
    import requests

    if isinstance(error, OnehourError):
        return error
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return _of_status(error.response.status_code, _words(error), error.response.headers)
    if isinstance(error, requests.exceptions.Timeout):
        return Busy(f"it did not answer within {TIMEOUT_S:g} s")
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return Busy("its answer cannot be read", soon=True)
    if isinstance(error, requests.exceptions.RequestException):
        return Busy("it cannot be reached", soon=True, fix="Is there a network?")
    if isinstance(error, OSError):  # our disk
        words = f"it cannot be read or written on this computer ({error.strerror or error})"
        return OnehourError(words, str(error.filename or ""), "Free some room." if error.errno in FULL else "")
    if isinstance(error, ValueError | LookupError | TypeError | AttributeError):  # JSON that says something else
        log.warning("an answer of Kaggle's that the client cannot read", exc_info=error)
        return Busy("its answer cannot be read")
    raise error


def _of_status(status: int, words: str, headers: Mapping[str, str]) -> OnehourError:
    if status == 401:
        return NoEntry("it does not take the key", "Kaggle", f"Make a new token on {KEY_PAGE} and put it in place.")
    if status == 429:
        after_s = _after_s(headers.get("Retry-After", ""))
        return Busy(f"it has had too many requests and asks to wait for {after_s:.0f} s", after_s, answered=True)
    if status >= 500:
        return Busy(f"it has an error of its own (HTTP {status})", soon=True)
    if status in (403, 404):
        return Forbidden(words or "it is not there, or not for this account", status)
    return Refused(words or f"it does not take what it was sent (HTTP {status})", "Kaggle")


def _words(error: Exception) -> str:
    """Kaggle's own sentence; the client's line with the address is of no use to a person."""
    words = str(error).strip()
    return "" if " for url: " in words else words.rstrip(".")


def _after_s(text: str) -> float:
    """Retry-After: seconds or a date; a minute where it says neither."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            seconds = LATER_S
    return max(1.0, min(seconds, 86_400.0))
