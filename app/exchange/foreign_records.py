"""Records kept elsewhere, read whatever they are: a diary, a Notion export, a list of submissions, or a folder of all of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from app.exchange import diary, notion, source, submissions_csv
from app.exchange.csv_rows import columns_of, rows_of
from app.exchange.found import Found


def read(path: Path, starts_on: date) -> Found:
    """Everything found at `path`; `starts_on` is the challenge's first day. Raises OnehourError as `source.read` does."""
    given = source.read(path)
    found = Found(problems=list(given.problems), others=given.others)
    texts = given.texts
    pages = {name: notion.page_of(name, text) for name, text in texts.items() if not name.lower().endswith(".csv")}
    taken: set[str] = set()
    for name in notion.whole_tables([name for name in texts if name.lower().endswith(".csv")]):
        columns = columns_of(texts[name])
        if submissions_csv.is_list_of_submissions(columns):
            found.add(submissions_csv.read(rows_of(name, texts[name], found)))
        elif notion.is_table(columns):
            table, used = notion.read_table(name, rows_of(name, texts[name], found), pages)
            found.add(table)
            taken |= used
        else:
            found.cannot(
                f"{name}:1",
                "its columns say neither submissions (fileName, date, publicScore), references (URL), todos (Done) nor days (Date)",
            )
    for name, page in pages.items():
        if name in taken:
            continue
        found.add(diary.read(name, texts[name], starts_on) if diary.is_diary(texts[name]) else notion.read_page(page))
    return found
