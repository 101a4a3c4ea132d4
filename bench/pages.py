"""How quick the pages are on a year's record, against an empty Streamlit page in the same run: `make bench-pages`.

365 days, 10,000 runs, 5,000 todos, 2,000 references (tests/e2e/year.py); about three minutes.

cold   a browser that was never here: until the page's last words are visible
warm   the same browser again, its cache filled
rerun  from a click to the button that the rerun draws in its place
server milliseconds that the script itself takes, without a browser

Ratios are to be compared, milliseconds only within one run: medians, on whatever else this machine does (the load average says
how much that is).
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))  # for the tests' year

from app.journal.home import Home  # noqa: E402
from app.keeper import HOST, server_command  # noqa: E402
from tests.e2e.year import write_year  # noqa: E402

LOADS, RERUNS, SCRIPTS = 5, 9, 15
CHROMIUM = Path("/usr/bin/chromium")
EMPTY = """
import streamlit as st
paused = st.session_state.setdefault("paused", False)
def turn(): st.session_state.paused = not st.session_state.paused
st.button("Resume" if paused else "Pause", on_click=turn)
st.text("the end")
"""
OURS = """
import time
begun = time.perf_counter()
from importlib import import_module
import streamlit as st
from app.journal import challenges, sittings
from app.views import desk
from app.views.session_bar import session_bar
journal = desk.current_journal()
with journal.reading() as db:
    at = sittings.sitting(db, challenges.active(db), journal.now())
session_bar(journal, at)
import_module("app.views.PAGE").show(journal, at)
st.session_state.script_ms = 1000 * (time.perf_counter() - begun)
"""
EMPTY_TIMED = (
    "import time\nbegun = time.perf_counter()\n"
    + EMPTY
    + "st.session_state.script_ms = 1000 * (time.perf_counter() - begun)\n"
)
# Page → what is visible last on it.
LAST_WORDS = {
    "today": "Queued now it ends about",
    "journal": "earlier revisions",
    "week": "Still open",
    "scores": "Type in a leaderboard score",
    "references": "Credits",
    "runs": "Nothing is written yet.",
}
DAILY_PAGES, MOST_MS = ("today", "journal", "week"), 50
# From the click until the other button stands in its place and the script is done, measured inside the page. While a rerun
# is under way old and new elements stand side by side.
RERUN_JS = """([from, to]) => new Promise((done) => {
  const button = (name) => [...document.querySelectorAll("button")].find((b) => b.innerText.trim().startsWith(name));
  const still = () => document.querySelector("[data-test-script-state]").dataset.testScriptState === "notRunning";
  const when = (here, gone, then) =>
    button(here) && !button(gone) && still() ? then() : requestAnimationFrame(() => when(here, gone, then));
  when(from, to, () => {
    const begun = performance.now();
    button(from).click();
    when(to, from, () => done(performance.now() - begun));
  });
})"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="onehour-bench-") as folder:
        home = Home(Path(folder) / "home")
        (Path(folder) / "data").mkdir()
        home.path.mkdir()
        os.environ["ONEHOUR_HOME"] = str(home.path)
        write_year(home, Path(folder) / "data")
        empty_script = Path(folder) / "empty.py"
        empty_script.write_text(EMPTY)
        ours_port, empty_port = free_port(), free_port()
        empty_command = server_command(empty_port)
        empty_command[empty_command.index("run") + 1] = str(empty_script)
        rows: dict[str, tuple[float, float, float, float]] = {}
        with (
            serving(empty_command, empty_port) as empty_url,
            serving(server_command(ours_port), ours_port) as ours_url,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=str(CHROMIUM) if CHROMIUM.exists() else None,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            rows["empty"] = (*browsed(browser, empty_url, "the end"), script_ms(EMPTY_TIMED))
            for name, words in LAST_WORDS.items():
                rows[name] = (*browsed(browser, f"{ours_url}/{name}", words), script_ms(OURS.replace("PAGE", name)))
            browser.close()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(
        f"{'page':<11}{'rerun':>8}{'warm':>8}{'cold':>8}   |{'rerun ms':>10}{'warm ms':>10}{'cold ms':>10}{'server ms':>11}"
    )
    for name, row in rows.items():
        ratios = "".join(f"{ms / base:>8.1f}" for ms, base in zip(row[:3], rows["empty"][:3], strict=True))
        print(f"{name:<11}{ratios}   |" + "".join(f"{ms:>10.0f}" for ms in row[:3]) + f"{row[3]:>11.1f}")
    for name in DAILY_PAGES:
        if rows[name][3] > MOST_MS:
            print(f"{name} takes the server more than {MOST_MS} ms: {rows[name][3]:.1f}")


def browsed(browser: Browser, url: str, words: str) -> tuple[float, float, float]:
    """Median milliseconds of rerun, warm load and cold load."""
    cold, warm = [], []
    for _ in range(LOADS):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        cold.append(loaded(page, url, words))
        warm.append(loaded(page, url, words))
        if len(cold) < LOADS:
            context.close()
    reruns = []
    for count in range(RERUNS):
        reruns.append(page.evaluate(RERUN_JS, ["Pause", "Resume"] if count % 2 == 0 else ["Resume", "Pause"]))
        page.wait_for_timeout(300)  # let the rest of the rerun arrive, so that the next click meets a still page
    if RERUNS % 2:
        page.evaluate(RERUN_JS, ["Resume", "Pause"])
    page.context.close()
    return statistics.median(reruns), statistics.median(warm), statistics.median(cold)


def loaded(page: Page, url: str, words: str) -> float:
    begun = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.get_by_text(words).first.wait_for()
    return 1000 * (time.perf_counter() - begun)


def script_ms(script: str) -> float:
    from streamlit.testing.v1 import AppTest

    at = AppTest.from_string(script)
    times = []
    for _ in range(SCRIPTS):
        at.run(timeout=30)
        times.append(at.session_state.script_ms)
    return statistics.median(times)


@contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://{HOST}:{port}"
    try:
        wait_until(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_until(true: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 60
    while not true():
        if time.monotonic() > ends_at:
            raise SystemExit("the server does not answer")
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/_stcore/health", timeout=1):
            return True
    except (URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
