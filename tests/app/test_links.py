"""The links of a note: what is one, what only looks like one, where they lead, and what is made harmless."""

from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.journal.links import Known, LinkKind, find, harmless, linked, targets

pytestmark = pytest.mark.unit

KNOWN = Known(
    date(2026, 3, 2), 60, {"grey images": 7}, {"humpback_001-r01", "humpback_001"}, {"arxiv-1708-02002", "focal"}
)


@pytest.mark.parametrize(
    ("body", "kind", "found"),
    [
        ("see [[day-12]] and [[day-012]]", LinkKind.DAY, ["12"]),
        ("see [[Grey images]]", LinkKind.NOTE, ["Grey images"]),
        ("#crops, (#tta) and #crops again #画像", LinkKind.TAG, ["crops", "tta", "画像"]),
        ("# heading\n#3 a#b http://x.org/#frag &#39; ##two \\#no", LinkKind.TAG, []),
        ("@humpback_001-r01, @humpback_001.", LinkKind.RUN, ["humpback_001-r01", "humpback_001"]),
        ("me@humpback_001-r01 @someone @humpback_1", LinkKind.RUN, []),
        ("as in &focal-loss, &arxiv-1708-02002.", LinkKind.REFERENCE, ["focal-loss", "arxiv-1708-02002"]),
        ("R&D, a&b, &amp; & &", LinkKind.REFERENCE, []),
        ("`#no` and ``@humpback_001-r01 ` `` then #yes", LinkKind.TAG, ["yes"]),
        ("```\n#no\n```\n#yes\n~~~py\n#no\n~~~", LinkKind.TAG, ["yes"]),
        ("````\n```\n#no\n````\n#yes", LinkKind.TAG, ["yes"]),
        ("```\nnever closed #no", LinkKind.TAG, []),
        ("[words](https://x.org/a#no) https://x.org/#no <https://x.org/?a=1&no> #yes", LinkKind.TAG, ["yes"]),
        ("https://x.org/?a=1&focal", LinkKind.REFERENCE, []),
    ],
)
def test_links_are_found_outside_code_and_addresses(body: str, kind: LinkKind, found: list[str]) -> None:
    assert targets(body, kind) == found


def test_links_lead_somewhere_and_unknown_ones_stay_text() -> None:
    body = "[[day-12]] [[day-61]] [[Grey Images]] [[grey]] #tta @humpback_001-r01 @humpback_009-r01 &focal &other"
    assert linked(body, KNOWN) == (
        "[day-12](/journal?day=2026-03-13) [[day-61]] [Grey Images](/journal?note=7) [[grey]] [#tta](/journal?tag=tta)"
        r" [@humpback\_001-r01](/runs?run=humpback_001-r01) @humpback_009-r01 [&focal](/references?reference=focal) &other"
    )


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)>"),
        ("[x](javascript:alert(1))", r"[x]\(javascript:alert(1))"),
        ("[x]( JaVaScript:alert(1))", r"[x]\( JaVaScript:alert(1))"),
        ("[x](<javascript:alert(1)>)", r"[x]\(\<javascript:alert(1)>)"),
        ("[x](&#106;avascript:alert(1))", r"[x]\(&#106;avascript:alert(1))"),
        ("[x](data:text/html,hi)", r"[x]\(data:text/html,hi)"),
        ("[x]: javascript:alert(1)", r"\[x]: javascript:alert(1)"),
        ("<javascript:alert(1)>", r"\<javascript:alert(1)>"),
        ("[x](https://x.org) <https://x.org> ![](/api/image/a.png) a < b", None),
        ("[x]: https://x.org", None),
        ("`<script>` and\n```html\n<script>[x](javascript:1)\n```\n", None),
    ],
)
def test_what_could_be_executed_is_shown_as_text_and_code_as_it_is(body: str, shown: str | None) -> None:
    assert harmless(body) == (body if shown is None else shown)


@given(st.text(alphabet="ab1[]()#@&`~\n <>:_-/\\", max_size=80))
def test_links_lie_in_order_inside_the_note_and_nothing_but_escapes_is_added(body: str) -> None:
    last = 0
    for link in find(body):
        assert last <= link.start < link.end <= len(body)
        assert link.target in body[link.start : link.end] or link.kind is LinkKind.DAY
        last = link.end
    assert harmless(body).replace("\\", "") == body.replace("\\", "")


@pytest.mark.parametrize("piece", ["`", "`` ` ", "[x](", "```\n", "[[a", "](a b ", "&a-", "<a", "#" * 50, "~~~ a\n"])
def test_no_note_takes_more_than_linear_time(piece: str) -> None:
    body = (piece * (100_000 // len(piece) + 1))[:100_000]
    began = time.process_time()
    linked(body, KNOWN)
    assert time.process_time() - began < 1
