"""A person's word about a held series does what the table says, is put on record, and no more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from deid_node.errors import (
    ImplausibleFaceMask,
    LateInstances,
    PeerRefusedInstance,
    RefusedByPerson,
    UnevenSlices,
)
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.evidence import NOTHING_REMOVED, PICTURE
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.states import Generation, Reason, State
from tests.fakes.command import run

if TYPE_CHECKING:
    from pathlib import Path

WORD = ("--who", "A. Reader", "--why", "looked at it")


@dataclass(frozen=True)
class Site:
    """A node that does not run, with what its ledger holds."""

    folder: Path

    @property
    def config(self) -> tuple[str, Path]:
        return ("--config", self.folder / "deid-node.toml")

    def ledger(self) -> Ledger:
        return Ledger(self.folder / "spool" / "ledger.sqlite")

    def held(self, name: str, error: type[Exception], *, picture: str | None = None) -> None:
        """Make a series of one instance that is held."""
        series = SeriesKey(name)
        ledger = self.ledger()
        ledger.arrived(Kept(series=series, instance=InstanceKey("i"), digest="d"))
        ledger.received(series)
        assert ledger.claim() is not None
        reason = Reason(error=error.__name__, message="why it is held")
        ledger.set_aside(Generation(series=series, number=1), State.HELD, reason, picture=picture)
        ledger.close()

    def delivered(self, name: str, *, refused: bool = False, late: int = 0) -> None:
        """Make a series that an archive has, or refused, and late instances of it."""
        series = SeriesKey(name)
        ledger = self.ledger()
        ledger.arrived(Kept(series=series, instance=InstanceKey("i"), digest="d"), "CHILDREN")
        ledger.received(series)
        claim = ledger.claim()
        assert claim is not None
        ledger.ready(claim.generation, ["archive"])
        reason = Reason(error=PeerRefusedInstance.__name__, message="no") if refused else None
        DeliveryRows(ledger).settled(claim.generation, "archive", reason)
        for n in range(late):
            ledger.arrived(Kept(series=series, instance=InstanceKey(f"late{n}"), digest="d"))
        ledger.close()

    def states(self) -> dict[tuple[str, int], State]:
        ledger = self.ledger()
        found = {(str(each.series), each.number): s for each, s in ledger.states().items()}
        ledger.close()
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        ledger = self.ledger()
        found = ledger.database.connection.execute(query).fetchall()
        ledger.close()
        return found


@pytest.fixture
def site(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Site:
    assert run("init", "--folder", tmp_path) == 0
    (tmp_path / "spool").mkdir()
    capfd.readouterr()
    return Site(tmp_path)


def told(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capfd.readouterr().out)  # type: ignore[no-any-return]


def test_release_has_the_series_judged_again_and_says_who_and_why(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.held("abc1", UnevenSlices)

    assert run("hold", "release", "abc", *WORD, *site.config, "--json") == 0

    answer = told(capfd)
    assert (answer["series"], answer["generation"], answer["verdict"]) == ("abc1", 1, "released")
    assert site.states() == {("abc1", 1): State.RECEIVED}
    assert site.rows("SELECT verdict, error, who, why FROM decision") == [
        ("released", "UnevenSlices", "A. Reader", "looked at it")
    ]
    assert site.rows("SELECT error, accepted FROM series") == [(None, None)]


def test_accepted_is_what_there_is_a_picture_of(site: Site) -> None:
    site.held("abc1", ImplausibleFaceMask, picture="the digest")

    assert run("hold", "release", "abc1", "--accept", *WORD, *site.config) == 0

    ledger = site.ledger()
    claim = ledger.claim()
    ledger.close()
    assert claim is not None
    assert claim.accepted == "the digest"
    assert site.rows("SELECT verdict FROM decision") == [("accepted",)]


def test_plain_release_takes_an_acceptance_back(site: Site) -> None:
    site.held("abc1", ImplausibleFaceMask, picture="the digest")
    run("hold", "release", "abc1", "--accept", *WORD, *site.config)
    ledger = site.ledger()
    ledger.claim()
    again = Reason(error="ImplausibleFaceMask", message="another")
    ledger.set_aside(
        Generation(series=SeriesKey("abc1"), number=1), State.HELD, again, picture="other"
    )
    ledger.close()

    assert run("hold", "release", "abc1", *WORD, *site.config) == 0

    assert site.rows("SELECT accepted FROM series") == [(None,)]


@pytest.mark.parametrize(
    ("error", "picture", "why"),
    [
        (UnevenSlices, "digest", "does not show that it is well"),
        (RefusedByPerson, "digest", "does not show that it is well"),
        (ValueError, "digest", "does not show that it is well"),
        (ImplausibleFaceMask, None, "no picture"),
        (ImplausibleFaceMask, NOTHING_REMOVED, "nothing would be removed"),
    ],
)
def test_what_no_person_can_vouch_for_is_not_accepted(
    site: Site,
    capfd: pytest.CaptureFixture[str],
    error: type[Exception],
    picture: str | None,
    why: str,
) -> None:
    site.held("abc1", error, picture=picture)

    assert run("hold", "release", "abc1", "--accept", *WORD, *site.config) == 64

    complaint = capfd.readouterr().err
    assert why in complaint
    assert "cannot be accepted" in complaint
    assert complaint.count("\n") == 1
    assert site.states() == {("abc1", 1): State.HELD}
    assert site.rows("SELECT * FROM decision") == []


def test_dead_letter_is_not_released_but_retried(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.delivered("abc1", refused=True)

    assert run("hold", "release", "abc1", *WORD, *site.config) == 64

    assert "deid-node retry" in capfd.readouterr().err
    assert site.states() == {("abc1", 1): State.HELD}


def test_release_of_late_instances_works_on_the_whole_series(site: Site) -> None:
    site.delivered("abc1", late=2)
    assert site.rows("SELECT error FROM series WHERE generation = 2") == [(LateInstances.__name__,)]

    assert run("hold", "release", "abc1", *WORD, *site.config) == 0

    ledger = site.ledger()
    claim = ledger.claim()
    ledger.close()
    assert claim is not None
    assert claim.generation.number == 2
    assert [each.instance for each in claim.instances] == ["i", "late0", "late1"]


def test_where_two_generations_wait_one_must_be_named(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.delivered("abc1", refused=True, late=1)

    assert run("hold", "release", "abc1", *WORD, *site.config) == 64
    complaint = capfd.readouterr().err
    assert run("hold", "release", "abc1", "--generation", "2", *WORD, *site.config) == 0

    assert "generations 1, 2 are; add --generation" in complaint
    assert site.states() == {("abc1", 1): State.HELD, ("abc1", 2): State.RECEIVED}


def test_refused_is_the_end_until_somebody_releases_it(site: Site) -> None:
    site.held("abc1", UnevenSlices)

    assert run("hold", "refuse", "abc1", *WORD, *site.config) == 0
    refused = site.states()
    ledger = site.ledger()
    more = ledger.arrived(Kept(series=SeriesKey("abc1"), instance=InstanceKey("j"), digest="d"))
    ledger.close()
    reason = site.rows("SELECT error, reason FROM series")
    assert run("hold", "release", "abc1", *WORD, *site.config) == 0

    assert refused == {("abc1", 1): State.REFUSED}
    assert more.state is State.REFUSED
    assert reason == [("RefusedByPerson", "refused by a person; before that: UnevenSlices")]
    assert site.states() == {("abc1", 1): State.RECEIVED}
    assert site.rows("SELECT verdict FROM decision ORDER BY rowid") == [
        ("refused",),
        ("released",),
    ]


@pytest.mark.parametrize("verb", ["release", "refuse"])
def test_what_does_not_wait_is_named_and_left_alone(
    site: Site, capfd: pytest.CaptureFixture[str], verb: str
) -> None:
    site.delivered("abc1")

    assert run("hold", verb, "abc1", *WORD, *site.config) == 64

    complaint = capfd.readouterr().err
    assert "the series is delivered: only what is held" in complaint
    assert complaint.count("\n") == 1
    assert site.states() == {("abc1", 1): State.DELIVERED}


@pytest.mark.parametrize("key", ["abc", "xyz"])
@pytest.mark.parametrize(
    "verb", [("hold", "release"), ("hold", "refuse"), ("hold", "show"), ("status",), ("purge",)]
)
def test_key_that_is_not_one_series_is_one_clear_line(
    site: Site, capfd: pytest.CaptureFixture[str], verb: tuple[str, ...], key: str
) -> None:
    site.held("abc1", UnevenSlices)
    site.held("abc2", UnevenSlices)
    word = WORD if verb in {("hold", "release"), ("hold", "refuse")} else ()

    assert run(*verb, key, *word, *site.config) == 64

    complaint = capfd.readouterr().err
    assert "series have a key that begins so" in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("word", ["", "  ", "two\nlines", "x" * 201])
def test_word_must_be_a_line(site: Site, word: str) -> None:
    site.held("abc1", UnevenSlices)

    assert run("hold", "release", "abc1", "--who", "me", "--why", word, *site.config) == 64
    assert site.states() == {("abc1", 1): State.HELD}


def test_word_is_in_the_audit_log_before_the_series_moves(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = site.folder / "audit.jsonl"
    settings = site.folder / "deid-node.toml"
    settings.write_text(settings.read_text() + f'\n[audit]\nfile = "{audit}"\n')
    site.held("abc1", UnevenSlices)
    site.held("abc2", UnevenSlices)

    assert run("hold", "release", "abc1", *WORD, *site.config) == 0
    audit.chmod(0o400)
    monkeypatch.setattr("deid_node.node.records.audit.AuditLog.append", broken)
    assert run("hold", "release", "abc2", *WORD, *site.config) == 74

    [line] = [json.loads(each) for each in audit.read_text().splitlines()]
    assert line["disposition"] == "released"
    assert (line["series"], line["reason"]) == ("abc1", "UnevenSlices")
    assert (line["who"], line["why"]) == ("A. Reader", "looked at it")
    assert site.states()[("abc2", 1)] is State.HELD


def broken(*_arguments: object) -> None:
    from deid_node.errors import AuditUnusable  # noqa: PLC0415 - as the log raises it

    raise AuditUnusable("the audit log cannot be written")


def test_list_and_show_tell_what_can_be_done(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.held("mask", ImplausibleFaceMask, picture="digest")
    site.delivered("dead", refused=True)
    picture = site.folder / "spool" / "work" / "mask" / PICTURE
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"png")
    capfd.readouterr()

    run("hold", "list", *site.config, "--json")
    listed = told(capfd)["held"]
    run("hold", "show", "mask", *site.config, "--json")
    [shown] = told(capfd)["generations"]
    run("hold", "show", "mask", *site.config)
    text = capfd.readouterr().out
    run("hold", "list", *site.config)
    table = capfd.readouterr().out

    assert [(each["series"], each["release"]) for each in listed] == [
        ("mask", "accept"),
        ("dead", "retry"),
    ]
    assert shown["picture"] == str(picture)
    assert shown["release"] == "accept"
    assert shown["error"] == "ImplausibleFaceMask"
    assert str(picture) in text
    assert "--accept" in text
    assert "ImplausibleFaceMask" in table


def test_status_of_a_series_tells_states_destinations_and_decisions(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    site.delivered("abc1", refused=True, late=1)
    run("hold", "refuse", "abc1", "--generation", "2", *WORD, *site.config)
    capfd.readouterr()

    run("status", "abc1", *site.config, "--json")
    answer = told(capfd)
    run("status", "abc1", *site.config)
    text = capfd.readouterr().out

    first, second = answer["generations"]
    assert [step["state"] for step in first["history"]] == [
        *("receiving", "received", "claimed", "ready", "held")
    ]
    [sent] = first["destinations"]
    assert (sent["destination"], sent["state"], sent["error"]) == (
        *("archive", "refused"),
        "PeerRefusedInstance",
    )
    [decision] = second["decisions"]
    assert (decision["verdict"], decision["who"]) == ("refused", "A. Reader")
    assert first["caller"] == second["caller"] == "CHILDREN"
    for word in (
        "first from CHILDREN",
        "generation 1: held",
        "generation 2: refused",
        "archive: refused",
        "A. Reader",
    ):
        assert word in text


def test_status_stays_on_one_screen(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    for n in range(30):
        site.held(f"abc{n}", UnevenSlices)
    capfd.readouterr()

    run("status", *site.config)

    screen = capfd.readouterr().out
    assert "24 more wait for a person" in screen
    assert screen.count("\n") < 30
