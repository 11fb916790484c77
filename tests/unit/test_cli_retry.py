"""A dead letter is owed again by a word of a person, and nothing else is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deid_node.errors import PeerRefusedInstance
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.states import Generation, Reason, State
from tests.fakes.command import run
from tests.fakes.sender import Sender, some_instances

if TYPE_CHECKING:
    from pathlib import Path

REASON = Reason(error=PeerRefusedInstance.__name__, message="refused")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a site whose series abc1 and abc2 are dead letters at two destinations and one."""
    monkeypatch.chdir(tmp_path)
    assert run("init", "--folder", tmp_path) == 0
    spool = tmp_path / "spool"
    spool.mkdir()
    sender = Sender(spool)
    rows = DeliveryRows(sender.ledger)
    for name, refusing in (("abc1", ("archive", "cloud")), ("abc2", ("archive",))):
        generation = sender.owe(name, some_instances(1), ["archive", "cloud"])
        for destination in ("archive", "cloud"):
            rows.settled(generation, destination, REASON if destination in refusing else None)
    sender.close()
    return tmp_path


def states(site: Path) -> dict[str, State]:
    sender = Sender(site / "spool")
    found = {str(each.series): state for each, state in sender.ledger.states().items()}
    sender.close()
    return found


def owed(site: Path, destination: str) -> list[Generation]:
    sender = Sender(site / "spool")
    found = DeliveryRows(sender.ledger).owed_to(destination)
    sender.close()
    return found


@pytest.mark.parametrize(("more", "n"), [((), 2), (("--to", "cloud"), 1), (("--to", "none"), 0)])
def test_dead_letter_is_owed_again(
    site: Path, capfd: pytest.CaptureFixture[str], more: tuple[str, ...], n: int
) -> None:
    capfd.readouterr()
    config = ("--config", site / "deid-node.toml")

    assert run("retry", "abc1", *more, *config, "--json") == 0

    told = json.loads(capfd.readouterr().out)
    assert (told["series"], told["n_destinations"]) == ("abc1", n)
    assert states(site) == {"abc1": State.READY if n else State.HELD, "abc2": State.HELD}
    assert len(owed(site, "cloud")) == (n > 0)
    assert len(owed(site, "archive")) == (n > 1)


@pytest.mark.parametrize("series", ["abc", "xyz"])
def test_key_that_is_not_one_series_changes_nothing(
    site: Path, capfd: pytest.CaptureFixture[str], series: str
) -> None:
    before = states(site)

    assert run("retry", series, "--config", site / "deid-node.toml") == 64

    assert "series have a key that begins so" in capfd.readouterr().err
    assert states(site) == before


def test_without_a_ledger_there_is_nothing_to_retry(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run("init", "--folder", tmp_path)

    assert run("retry", "abc", "--config", tmp_path / "deid-node.toml") == 74

    assert "there is no ledger" in capfd.readouterr().err
