"""Records kept elsewhere: what is found in a diary, a Notion export, a list of submissions; line by line what cannot be read."""

import io
import zipfile
from datetime import date
from pathlib import Path

import pytest

from app.exchange import diary, foreign_records, source, submissions_csv
from app.exchange.csv_rows import rows_of
from app.exchange.found import Found
from app.exchange.written_date import starts_with_date
from app.journal.home import CHECKOUT
from engine.contract import OnehourError

pytestmark = pytest.mark.unit

STARTS_ON = date(2026, 3, 2)
ID = "0123456789abcdef0123456789abcdef"

DIARY = """# Humpback diary

Everything I did.

## 2019-02-12: first CNN

Read the **starter kernel**.
- colour helps
- [x] download data
- [ ] look at `grey` crops

| model | CV | LB | private |
|---|---|---|---|
| resnet18 | 0.41 | 0.382 | - |
| **resnet34** | 0.45 | 0.401 | 0.41 |

### Todo
- try 384 px

### Day 3 – siamese

```
## 2019-01-01 not a heading
- [ ] not a todo
```
画像を見た。

## Papers

| paper | author | what |
|---|---|---|
| [ArcFace](https://arxiv.org/abs/1801.07698) | Deng et al. | margin |
"""


def test_a_diary_gives_notes_todos_submissions_and_references() -> None:
    found = diary.read("README.md", DIARY, STARTS_ON)
    assert found.problems == []
    assert [(note.on, note.title, note.where) for note in found.notes] == [
        (date(2019, 2, 12), "", "README.md:5"),
        (date(2026, 3, 4), "", "README.md:20"),
        (None, "Humpback diary", "README.md:1"),
    ]
    assert found.notes[0].body.startswith("## first CNN\n\nRead the **starter kernel**.\n- colour helps")
    assert "- try 384 px" in found.notes[0].body, "a lower heading belongs to its day"
    assert found.notes[1].body.endswith("画像を見た。")
    assert "Papers" in found.notes[2].body
    assert [(todo.on, todo.title, todo.done) for todo in found.todos] == [
        (date(2019, 2, 12), "download data", True),
        (date(2019, 2, 12), "look at grey crops", False),
        (date(2019, 2, 12), "try 384 px", False),
    ]
    assert [(one.file_name, one.description, one.public, one.private) for one in found.submissions] == [
        ("resnet18", "cv 0.41", 0.382, None),
        ("resnet34", "cv 0.45", 0.401, 0.41),
    ]
    (reference,) = found.references
    assert (reference.url, reference.title, reference.author, reference.taken) == (
        "https://arxiv.org/abs/1801.07698",
        "ArcFace",
        "Deng et al.",
        "what: margin",
    )


def test_day_numbers_are_counted_from_the_diarys_own_first_day_where_it_tells_it() -> None:
    found = diary.read("d.md", "## Day 3\nb\n\n## Day 2 (2019-02-12)\na\n\n## Day 2\nmore", STARTS_ON)
    assert [(note.on, note.body) for note in found.notes] == [
        (date(2019, 2, 13), "b"),
        (date(2019, 2, 12), "a\n\nmore"),
    ]


def test_what_a_diary_gets_wrong_is_told_by_file_and_line() -> None:
    text = "## 2019-02-31\nlost\n- [ ] lost too\n\n## Day 0\n\n## 2019-02-12\n| file | LB |\n|---|---|\n| a | best |\n| b | 0.4 |\n"
    found = diary.read("d.md", text, STARTS_ON)
    assert [(problem.where, problem.reason) for problem in found.problems] == [
        ("d.md:1", "'2019-02-31' is no day of the calendar"),
        ("d.md:5", "days are counted from 1"),
        ("d.md:10", "'best' is no score"),
    ]
    assert [one.file_name for one in found.submissions] == ["b"]
    assert found.todos == []


@pytest.mark.parametrize(
    "written",
    [
        "2019-02-12",
        "2019/2/12",
        "2019年2月12日",
        "February 12, 2019",
        "Feb 12, 2019 9:41 AM",
        "@12 Feb. 2019",
        "**12th February 2019**",
    ],
)
def test_a_date_is_read_as_people_write_it(written: str) -> None:
    day = starts_with_date(written)
    assert day is not None
    assert day[0] == date(2019, 2, 12)


@pytest.mark.parametrize(
    "written", ["day 12", "2019", "", "Version 2.1, 2019", "2019-02-123", "1/2 done", "12.02.1 released"]
)
def test_what_names_no_day_of_a_calendar_is_no_date(written: str) -> None:
    assert starts_with_date(written) is None


@pytest.mark.parametrize("written", ["12/02/2019", "**12.02.2019**", "1-2-2019: crops", "12/02/19", "@12 / 02 / 2019"])
def test_a_date_that_can_mean_two_days_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="can mean two days"):
        starts_with_date(written)


def test_a_heading_whose_date_can_mean_two_days_is_told_with_its_line_and_its_text_is_not_taken() -> None:
    text = "# Diary\n\n## 2026-11-21\nfine\n\n## 12/02/2026: unclear\n- [ ] whose day\n"
    assert diary.is_diary("## 12/02/2026: unclear")
    found = diary.read("d.md", text, STARTS_ON)
    reason = "'12/02/2026' can mean two days; write the year first, as in 2019-02-12"
    assert [(problem.where, problem.reason) for problem in found.problems] == [("d.md:6", reason)]
    assert [note.body for note in found.notes] == ["fine", "# Diary"]
    assert found.todos == []


@pytest.mark.parametrize(
    ("columns", "cells", "name", "said"),
    [
        ("run | CV | LB", "resnet18 | 0.41 | 0.382", "resnet18", "cv 0.41"),
        ("# | CV | try | LB", "1 | 0.41 | **larger crops** | 0.382", "larger crops", "# 1, cv 0.41"),
        ("CV | note | LB", "0.41 | - | 0.382", "submission", "cv 0.41, note -"),
    ],
)
def test_a_score_is_named_by_what_the_diary_says(columns: str, cells: str, name: str, said: str) -> None:
    rule = "|".join("---" for _ in columns.split("|"))
    (sent,) = diary.read("d.md", f"## 2019-02-12\n| {columns} |\n|{rule}|\n| {cells} |\n", STARTS_ON).submissions
    assert (sent.file_name, sent.description) == (name, said)


SUBMISSIONS = """fileName,date,description,status,publicScore,privateScore
sub.csv,2019-02-12 18:22:33.123,"first, ""honest"" one",SubmissionStatus.COMPLETE,0.382,0.39
sub.csv,2019-02-12T19:22:33Z,again,complete,0.401,
bad.csv,2019-02-13 00:00:00,broke,error,,
"""


def test_a_list_of_submissions_is_read_with_moments_in_utc() -> None:
    found = Found()
    found.add(submissions_csv.read(rows_of("s.csv", SUBMISSIONS, found)))
    assert found.problems == []
    assert [(one.at, one.description, one.public, one.private) for one in found.submissions] == [
        (1_549_995_753_123, 'first, "honest" one', 0.382, 0.39),
        (1_549_999_353_000, "again", 0.401, None),
        (1_550_016_000_000, "broke", None, None),
    ]


def test_half_right_rows_are_told_by_line_and_the_others_found() -> None:
    text = (
        SUBMISSIONS
        + "a.csv,yesterday,,complete,0.4,\nb.csv,2019-02-14,,complete,nan?,\nc.csv,2019-02-14\n,2019-02-14,,complete,1,\n"
    )
    found = Found()
    found.add(submissions_csv.read(rows_of("s.csv", text, found)))
    assert len(found.submissions) == 3
    assert sorted((problem.where, problem.reason) for problem in found.problems) == [
        ("s.csv:5", "'yesterday' is no moment such as 2019-02-12 18:22:33"),
        ("s.csv:6", "'nan?' is no score"),
        ("s.csv:7", "2 cells where the header has 6"),
        ("s.csv:8", "a submission without a file name"),
    ]


def test_a_csv_with_an_open_quote_is_told() -> None:
    found = Found()
    rows_of("s.csv", 'fileName,date\n"a,b\n', found)
    assert found.problems[0].reason.startswith("this is no CSV")


NOTION = {
    f"Whales {ID}.md": f"# Whales\n\n[Journal](Journal%20{ID}.csv)\n\n- [ ] plan the week\n- [x] done some day\n",
    f"Whales/Journal {ID}.csv": 'Name,Date\nshown only,"February 1, 2019"\n',
    f"Whales/Journal {ID}_all.csv": (
        "\ufeffName,Date,Hours\n"
        'Crops,"February 12, 2019 9:41 AM",1\n'
        'Siamese,"February 12, 2019",\n'
        "2019-02-13,,2\n"
        "No day,,\n"
        'Wrong,"February 31, 2019",\n'
    ),
    f"Whales/Journal {ID}/Crops {ID}.md": (
        "# Crops\n\nDate: February 12, 2019 9:41 AM\nHours: 1\n\nThe left tip is cut.\n\n- [ ] mend it\n- [x] look\n"
    ),
    f"Whales/References {ID}.csv": (
        "Name,URL,Author,Type,Notes\n"
        "ArcFace,https://arxiv.org/abs/1801.07698,Deng,Paper,the margin\n"
        "Evil,javascript:alert(1),,,\n"
    ),
    f"Whales/Tasks {ID}.csv": 'Task,Done,Due\nread,No,"February 20, 2019"\nsee,Yes,2019-02-21\nold,Yes,\nwhen,No,12/02/2019\n',
    f"Whales/Ideas {ID}.md": "# Ideas\n\nNote: this is no property\nbecause text follows at once.\n",
    f"Whales/picture {ID}.png": "",
}


def packed(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


def laid_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_notion_export_gives_its_journal_todos_and_references(tmp_path: Path) -> None:
    found = foreign_records.read(laid_out(tmp_path / "out", NOTION), STARTS_ON)
    bodies = {note.on or note.title: note.body for note in found.notes}
    assert [note.title for note in found.notes if note.on] == ["Crops · Siamese", ""]
    assert bodies == {
        date(2019, 2, 12): (
            "## Crops\n\n- hours: 1\n\nThe left tip is cut.\n\n- [ ] mend it\n- [x] look\n\n## Siamese"
        ),
        date(2019, 2, 13): "- hours: 2",
        "Whales": f"[Journal](Journal%20{ID}.csv)\n\n- [ ] plan the week\n- [x] done some day",
        "Ideas": "Note: this is no property\nbecause text follows at once.",
    }
    assert sorted((str(todo.on), todo.title, todo.done) for todo in found.todos) == [
        ("2019-02-12", "look", True),
        ("2019-02-12", "mend it", False),
        ("2019-02-20", "read", False),
        ("2019-02-21", "see", True),
        ("None", "plan the week", False),
    ]
    assert [(one.title, one.author, one.kind, one.taken) for one in found.references] == [
        ("ArcFace", "Deng", "paper", "the margin"),
        ("Evil", "", "", ""),
    ]
    assert sorted((problem.where, problem.reason) for problem in found.problems) == [
        (f"Whales/Journal {ID}_all.csv:5", "a row without a date"),
        (f"Whales/Journal {ID}_all.csv:6", "'February 31, 2019' is no day of the calendar"),
        (f"Whales/Tasks {ID}.csv:5", "'12/02/2019' can mean two days; write the year first, as in 2019-02-12"),
    ]
    assert found.others == 1


def test_a_zip_and_a_zip_in_a_zip_read_like_the_folder(tmp_path: Path) -> None:
    plain = foreign_records.read(laid_out(tmp_path / "out", NOTION), STARTS_ON)
    (tmp_path / "a.zip").write_bytes(packed(NOTION))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("Export-Part-1.zip", packed(NOTION))
    assert foreign_records.read(tmp_path / "a.zip", STARTS_ON) == plain
    assert foreign_records.read(tmp_path / "b.zip", STARTS_ON) == plain


@pytest.mark.parametrize("name", ["../evil.md", "/etc/evil.md", "a/../../evil.md", "..\\evil.md", "C:\\evil.md"])
def test_a_zip_with_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    bad = tmp_path / "in" / "bad.zip"
    bad.write_bytes(packed({"good.md": "x", name: "evil"}))
    with pytest.raises(OnehourError, match="leads out of its folder"):
        source.read(bad)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "bad.zip"]


def test_what_is_no_zip_or_half_a_zip_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    for data in (b"", b"PK no zip", packed(NOTION)[:-40]):
        bad.write_bytes(data)
        with pytest.raises(OnehourError, match="this zip cannot be read"):
            source.read(bad)
    spoilt = bytearray(packed({"a.md": "word " * 500}))
    spoilt[40] ^= 0xFF
    bad.write_bytes(spoilt)
    with pytest.raises(OnehourError, match="this zip cannot be read"):
        source.read(bad)


def test_what_is_too_large_is_refused_whatever_the_zip_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_FILE_BYTES", 1_000)
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(packed({"a.md": "0" * 5_000}))
    assert bomb.stat().st_size < 1_000
    with pytest.raises(OnehourError, match=r"a\.md: the file is larger"):
        source.read(bomb)
    (tmp_path / "a.md").write_text("0" * 5_000)
    with pytest.raises(OnehourError, match=r"a\.md: the file is larger"):
        source.read(tmp_path / "a.md")
    monkeypatch.setattr(source, "MAX_FILES", 2)
    with pytest.raises(OnehourError, match="more than"):
        source.read(laid_out(tmp_path / "many", {f"{number}.md": "x" for number in range(3)}))


def test_a_file_that_is_not_utf8_is_told_by_line_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("first\nna\u00efve\n".encode("latin-1"))
    (tmp_path / "b.md").write_text("b")
    read = source.read(tmp_path)
    assert read.texts == {"b.md": "b"}
    assert [(problem.where, problem.reason[:24]) for problem in read.problems] == [
        ("a.md:2", "not UTF-8 (byte 0xef); s")
    ]


def test_a_path_with_nothing_to_read_is_refused_by_name(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "no such file"), (tmp_path, "no Markdown and no CSV")):
        with pytest.raises(OnehourError, match=reason):
            source.read(path)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(OnehourError, match="no Markdown file, CSV file, folder or zip"):
        source.read(tmp_path / "photo.jpg")
    (tmp_path / "a.csv").write_text("colour,size\nred,1\n")
    (problem,) = foreign_records.read(tmp_path / "a.csv", STARTS_ON).problems
    assert problem.where == "a.csv:1"


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(OnehourError, match="no Markdown"):
        source.read(tmp_path / "in")


def test_the_articles_history_can_be_imported_as_an_example() -> None:
    found = foreign_records.read(CHECKOUT / "docs" / "examples" / "article-history.csv", STARTS_ON)
    assert [one.public for one in found.submissions] == [0.541, 0.452, 0.486, 0.611, None, 0.8]
    assert found.problems == []
