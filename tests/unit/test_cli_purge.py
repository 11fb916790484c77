"""Files are deleted on a confirmed word, where nothing waits for them, and nothing else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.evidence import PICTURE
from deid_node.node.ledger import Ledger
from deid_node.node.outbox import Outbox
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.spool import Spool
from deid_node.node.states import Reason, State
from tests.fakes.command import run
from tests.fakes.sender import some_instances

if TYPE_CHECKING:
    from pathlib import Path


class Site:
    """A node that does not run, and its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.config = ("--config", folder / "deid-node.toml")

    def series(self, name: str, state: State) -> None:
        """Bring a series with original, result and picture to a state."""
        key = SeriesKey(name)
        ledger = Ledger(self.spool / "ledger.sqlite")
        ledger.arrived(
            Spool(self.spool / "received", reserve_bytes=0).keep(key, InstanceKey("i"), [b"face"])
        )
        ledger.received(key)
        claim = ledger.claim()
        assert claim is not None
        Outbox(self.spool / "outbox").keep(name, some_instances(1))
        picture = self.spool / "work" / name / PICTURE
        picture.parent.mkdir(parents=True)
        picture.write_bytes(b"png")
        reason = Reason(error="NotDicom", message="not DICOM")
        if state in {State.HELD, State.REFUSED}:
            ledger.set_aside(claim.generation, state, reason, picture="digest")
        elif state is not State.CLAIMED:
            ledger.ready(claim.generation, ["archive"], picture="digest")
            if state is State.DELIVERED:
                DeliveryRows(ledger).settled(claim.generation, "archive")
            else:
                DeliveryRows(ledger).stored(claim.generation, "archive")
        ledger.close()

    def states(self) -> dict[str, State]:
        ledger = Ledger(self.spool / "ledger.sqlite")
        found = {str(each.series): state for each, state in ledger.states().items()}
        ledger.close()
        return found

    def files(self) -> set[str]:
        """Name the series of which there is any file."""
        return {
            path.relative_to(self.spool).parts[1]
            for folder in ("received", "outbox", "work")
            for path in (self.spool / folder).rglob("*")
            if path.is_file()
        }


@pytest.fixture
def site(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Site:
    assert run("init", "--folder", tmp_path) == 0
    (tmp_path / "spool").mkdir()
    capfd.readouterr()
    return Site(tmp_path)


@pytest.mark.parametrize("state", [State.DELIVERED, State.REFUSED])
def test_everything_of_a_series_is_deleted_but_only_on_a_word(
    site: Site, capfd: pytest.CaptureFixture[str], state: State
) -> None:
    site.series("abc1", state)
    site.series("other", state)

    assert run("purge", "abc1", *site.config) == 64
    complaint = capfd.readouterr().err
    before = (site.states(), site.files())
    assert run("purge", "abc1", "--yes", *site.config, "--json") == 0

    assert "nothing was deleted; the files of 1 series would be" in complaint
    assert before == ({"abc1": state, "other": state}, {"abc1", "other"})
    assert json.loads(capfd.readouterr().out)["purged"] == ["abc1"]
    assert site.states() == {"abc1": State.PURGED, "other": state}
    assert site.files() == {"other"}


@pytest.mark.parametrize("state", [State.CLAIMED, State.READY, State.HELD])
def test_what_somebody_waits_for_is_not_deleted(
    site: Site, capfd: pytest.CaptureFixture[str], state: State
) -> None:
    """READY here is a series that is stored at a destination that has not committed to it."""
    site.series("abc1", state)

    assert run("purge", "abc1", "--yes", *site.config) == 64

    complaint = capfd.readouterr().err
    assert f"the series is {state.value}: only what is delivered, refused, replaced" in complaint
    assert (site.states(), site.files()) == ({"abc1": state}, {"abc1"})


def test_all_that_is_refused_or_was_delivered_before_a_day_is_deleted_together(site: Site) -> None:
    site.series("delivered", State.DELIVERED)
    site.series("refused", State.REFUSED)
    site.series("held", State.HELD)
    now = datetime.now(UTC).astimezone()
    yesterday, tomorrow = ((now + timedelta(days=n)).strftime("%Y-%m-%dT%H:%M:%S") for n in (-1, 1))

    assert run("purge", "--delivered-before", yesterday, "--yes", *site.config) == 0
    first = site.files()
    assert run("purge", "--delivered-before", tomorrow, "--yes", *site.config) == 0
    second = site.files()
    assert run("purge", "--refused", "--yes", *site.config) == 0

    assert first == {"delivered", "refused", "held"}
    assert second == {"refused", "held"}
    assert site.files() == {"held"}


@pytest.mark.parametrize("which", [(), ("abc1", "--refused")])
def test_it_must_be_said_what_is_deleted(
    site: Site, capfd: pytest.CaptureFixture[str], which: tuple[str, ...]
) -> None:
    site.series("abc1", State.REFUSED)

    assert run("purge", *which, "--yes", *site.config) == 64

    assert "name one" in capfd.readouterr().err
    assert site.files() == {"abc1"}
