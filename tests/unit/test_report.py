"""The report is one page that tells the outcome, shows the pictures and loads nothing."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from deid_node.cli.report import ReportRow, report_page

PICTURE = b"\x89PNG\r\n\x1a\n not looked at"
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Outline(HTMLParser):
    """Keeps tags and text, and whether every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def held(**more: object) -> ReportRow:
    facts: dict[str, object] = {
        "series": "c3p0zz19aabbccdd",
        "outcome": "held",
        "reason": "the face mask is implausible: 12 ml",
        "next_step": "look at the picture; then `deid-node retry KEY`",
        **more,
    }
    return ReportRow(**facts)  # type: ignore[arg-type]


def delivered(**more: object) -> ReportRow:
    return held(
        **{"series": "q7k2m4x9tz3a", "outcome": "delivered", "reason": "", "next_step": "", **more}
    )


def test_every_tag_is_closed_in_order() -> None:
    record = {"profile": "p 1", "method_codes": ["113100"], "deeds": {"remove PatientAddress": 3}}

    page = Outline(report_page([held(), delivered(picture=PICTURE, record=record)]))

    assert page.open == []


def test_a_held_series_tells_why_and_what_to_do() -> None:
    page = Outline(report_page([held()]))

    assert "the face mask is implausible: 12 ml" in page.text
    assert "deid-node retry KEY" in page.text
    assert "0 of 1 series delivered" in page.text


def test_what_was_not_delivered_stands_first() -> None:
    page = report_page([delivered(), held(), delivered(series="zzzz")])

    assert page.index("c3p0zz19aabb") < page.index("q7k2m4x9tz3a")


@pytest.mark.parametrize("field", ["series", "outcome", "reason", "next_step"])
def test_no_text_becomes_markup(field: str) -> None:
    page = report_page([held(**{field: "<script>alert(1)</script>"})])

    assert "<script" not in page
    assert "alert" in page or field == "series"


def test_nothing_in_a_record_becomes_markup() -> None:
    record = {"profile": "<i>", "model": "<i>", "deeds": {"<i>": 1}}

    page = report_page([delivered(record=record, stages={"<i>": 1.0})])

    assert "<i>" not in page
    assert page.count("&lt;i&gt;") == 4


def test_the_picture_is_inside_the_page_unchanged() -> None:
    page = report_page([delivered(picture=PICTURE)])

    inside = re.findall(r"src='data:image/png;base64,([^']+)'", page)

    assert [base64.b64decode(each) for each in inside] == [PICTURE]


def test_a_page_with_a_picture_warns_that_it_shows_faces() -> None:
    with_picture = Outline(report_page([delivered(picture=PICTURE)]))
    without = Outline(report_page([delivered()]))

    assert "Shows faces." in with_picture.text
    assert "Shows faces." not in without.text


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = report_page([held(), delivered(picture=PICTURE)])

    outline = Outline(page)

    assert not {"script", "link", "iframe", "form"} & set(outline.tags)
    assert not [v for k, v in outline.attributes if k in {"src", "href"} and v and "data:" not in v]
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_an_outcome_that_the_page_does_not_know_is_shown_as_one_to_look_at() -> None:
    page = report_page([delivered(), delivered(series="unheard-of", outcome="quarantined")])

    assert page.index("unheard-of") < page.index("q7k2m4x9tz3a")
    assert '<article class="stop">' in page
    assert "quarantined" in page


def test_the_record_is_told_in_words() -> None:
    record = {
        "profile": "research-mr 1",
        "method_codes": ("113100", "113102"),
        "n_voxels_removed": 412309,
        "deeds": {"remove PatientAddress": 176},
    }

    text = Outline(report_page([delivered(record=record, stages={"mask": 0.8})])).text

    assert "research-mr 1" in text
    assert "113100, 113102" in text
    assert "412,309" in text
    assert "remove PatientAddress" in text
    assert "time for mask" in text


def test_a_page_about_nothing_says_so() -> None:
    assert "No series was found." in report_page([])
