"""What goes on behind a call that returns at once: sending, bringing home."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from app.jobs.backends.interface import Refused, Unreachable, words_of
from engine.contract import OnehourError

log = logging.getLogger("onehour.jobs")


class Work(threading.Thread):
    """What goes on behind a call. `words` say what it does now; `error` is what ended it."""

    def __init__(self, act: Callable[[Work], None]) -> None:
        super().__init__(daemon=True)  # a driver that ends does not wait for it: the next one begins it again
        self.act, self.words, self.stop = act, "", threading.Event()
        self.error: OnehourError | None = None
        self.start()

    def say(self, words: str) -> None:
        self.words = words

    def run(self) -> None:
        try:
            self.act(self)
        except (Unreachable, Refused) as error:
            self.error = error
        except (OSError, OnehourError) as error:  # a full disk here may be mended
            self.error = Unreachable(words_of(error))
        except Exception as error:
            log.exception("behind a call")
            self.error = Refused(f"{type(error).__name__}: {error}")
