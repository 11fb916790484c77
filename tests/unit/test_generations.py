"""What comes after a series has left is held or replaces it, whole, and nothing is sent twice over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deid_node.errors import OriginalsMissing, RefusedByPerson, UnevenSlices
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.purge_rows import PurgeRows
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.states import DeliveryState, Generation, Reason, State
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIES = SeriesKey("k7q2m4x9tz3a")
FIRST, SECOND, THIRD = (Generation(series=SERIES, number=n) for n in (1, 2, 3))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite", replaces_late=True, now=FakeClock())
    yield ledger
    ledger.close()


def instance(name: str, digest: str = "d1") -> Kept:
    return Kept(series=SERIES, instance=InstanceKey(name), digest=digest)


def reason(error: type[Exception]) -> Reason:
    return Reason(error=error.__name__, message="why")


def error_of(ledger: Ledger, generation: Generation) -> str | None:
    row = ledger.database.connection.execute(
        "SELECT error FROM series WHERE series = ? AND generation = ?",
        (generation.series, generation.number),
    ).fetchone()
    return row[0]  # type: ignore[no-any-return]


def make_ready(ledger: Ledger, *destinations: str) -> Generation:
    """Close the series and give it a result."""
    assert ledger.received(SERIES)
    claim = ledger.claim()
    assert claim is not None
    assert ledger.ready(claim.generation, destinations or ["archive"])
    return claim.generation


def caller_of(ledger: Ledger) -> str | None:
    """Claim the series, and tell who is said to have sent it."""
    assert ledger.received(SERIES)
    claim = ledger.claim()
    assert claim is not None
    return claim.caller


def delivered(ledger: Ledger, *, purged: bool = False) -> None:
    """Take a series of two instances all the way."""
    ledger.arrived_together([(instance("a"), None), (instance("b"), None)])
    generation = make_ready(ledger)
    DeliveryRows(ledger).settled(generation, "archive")
    if purged:
        PurgeRows(ledger).purged(generation)


@pytest.mark.parametrize("purged", [False, True])
def test_late_instance_has_the_whole_series_worked_on_anew(ledger: Ledger, *, purged: bool) -> None:
    delivered(ledger, purged=purged)

    arrival = ledger.arrived(instance("c"))
    ledger.received(SERIES)
    claim = ledger.claim()

    assert (arrival.generation, arrival.state) == (SECOND, State.RECEIVING)
    assert claim is not None
    assert claim.generation == SECOND
    assert claim.instances == (instance("a"), instance("b"), instance("c"))


def test_earlier_generation_is_sent_until_the_later_one_is_ready_and_not_after(
    ledger: Ledger,
) -> None:
    rows = DeliveryRows(ledger)
    ledger.arrived(instance("a"))
    make_ready(ledger, "archive", "copies")
    rows.failed(FIRST, "copies", OriginalsMissing(n_instances=1), had_success=False)
    ledger.arrived(instance("b"))
    before = (rows.owed_to("archive"), rows.answered(FIRST, "archive", 1, 0))

    make_ready(ledger, "archive", "copies")

    assert before == ([FIRST], True)
    assert rows.owed_to("archive") == rows.owed_to("copies") == [SECOND]
    assert rows.answered(FIRST, "archive", 2, 0) is False
    assert rows.overdue("copies", 0) == []
    assert ledger.states() == {FIRST: State.REPLACED, SECOND: State.READY}


@pytest.mark.parametrize("outcome", ["has it", "refused it", "stored it"])
def test_end_of_an_attempt_that_was_overtaken_changes_nothing(ledger: Ledger, outcome: str) -> None:
    rows = DeliveryRows(ledger)
    ledger.arrived(instance("a"))
    make_ready(ledger)
    ledger.arrived(instance("b"))
    make_ready(ledger)

    if outcome == "stored it":
        rows.stored(FIRST, "archive")
    else:
        rows.settled(FIRST, "archive", reason(UnevenSlices) if outcome == "refused it" else None)

    assert ledger.states() == {FIRST: State.REPLACED, SECOND: State.READY}
    assert error_of(ledger, FIRST) is None
    assert rows.owed_to("archive", DeliveryState.STORED) == []
    assert rows.overdue("archive", 0) == []


def test_dead_letter_that_was_replaced_is_not_sent_again(ledger: Ledger) -> None:
    rows = DeliveryRows(ledger)
    ledger.arrived(instance("a"))
    make_ready(ledger)
    rows.settled(FIRST, "archive", reason(UnevenSlices))
    ledger.arrived(instance("b"))
    make_ready(ledger)

    assert rows.retry(SERIES) == 0
    assert ledger.states() == {FIRST: State.REPLACED, SECOND: State.READY}


def test_each_generation_may_be_replaced(ledger: Ledger) -> None:
    delivered(ledger)
    for name in ("c", "d"):
        ledger.arrived(instance(name))
        make_ready(ledger)

    assert ledger.states() == {
        FIRST: State.REPLACED,
        SECOND: State.REPLACED,
        THIRD: State.READY,
    }
    assert PurgeRows(ledger).replaced() == []
    DeliveryRows(ledger).settled(THIRD, "archive")
    assert PurgeRows(ledger).replaced() == [FIRST, SECOND]
    assert PurgeRows(ledger).purged(FIRST) == ()
    assert PurgeRows(ledger).purged(THIRD) == tuple(instance(name) for name in "abcd")


@pytest.mark.parametrize("replaces", [False, True])
def test_late_instance_with_other_bytes_under_a_known_uid_is_held_for_that(
    ledger: Ledger, *, replaces: bool
) -> None:
    ledger.replaces_late = replaces
    delivered(ledger)

    arrival = ledger.arrived(instance("a", digest="other"))

    assert (arrival.generation, arrival.state) == (SECOND, State.HELD)
    assert error_of(ledger, SECOND) == "DuplicateInstance"
    assert ledger.states()[FIRST] is State.DELIVERED


def test_series_that_waits_for_deleted_instances_goes_on_when_they_come(ledger: Ledger) -> None:
    delivered(ledger, purged=True)
    ledger.arrived(instance("c"))
    ledger.received(SERIES)
    ledger.claim()
    ledger.set_aside(SECOND, State.HELD, reason(OriginalsMissing))

    known = ledger.arrived(instance("a"))

    assert (known.generation, known.state, known.is_known) == (SECOND, State.HELD, True)
    assert ledger.came_back(known.generation)
    assert ledger.states()[SECOND] is State.RECEIVING
    assert error_of(ledger, SECOND) is None


def test_series_that_is_held_for_another_reason_does_not_go_on_by_itself(ledger: Ledger) -> None:
    ledger.arrived(instance("a"))
    ledger.received(SERIES)
    ledger.claim()
    ledger.set_aside(FIRST, State.HELD, reason(UnevenSlices))

    assert not ledger.came_back(FIRST)
    assert ledger.states() == {FIRST: State.HELD}


@pytest.mark.parametrize("purged", [False, True])
def test_what_a_person_refused_stays_refused_whatever_comes(
    ledger: Ledger, *, purged: bool
) -> None:
    ledger.arrived(instance("a"))
    ledger.received(SERIES)
    ledger.claim()
    ledger.set_aside(FIRST, State.REFUSED, reason(RefusedByPerson))
    if purged:
        PurgeRows(ledger).purged(FIRST)

    arrivals = [ledger.arrived(instance(name)) for name in ("a", "b")]

    assert {each.state for each in arrivals} == {State.REFUSED}
    assert ledger.claim() is None
    assert not ledger.received(SERIES)
    assert error_of(ledger, arrivals[-1].generation) == "RefusedByPerson"


def test_series_that_never_left_and_was_purged_may_come_again(ledger: Ledger) -> None:
    ledger.arrived(instance("a"))
    ledger.received(SERIES)
    ledger.claim()
    ledger.set_aside(FIRST, State.REFUSED, reason(UnevenSlices))
    PurgeRows(ledger).purged(FIRST)

    arrival = ledger.arrived(instance("a"))

    assert (arrival.generation, arrival.state) == (SECOND, State.RECEIVING)
    assert not arrival.is_known
    ledger.received(SERIES)
    claim = ledger.claim()
    assert claim is not None
    assert claim.instances == (instance("a"),)


def test_files_of_a_purged_series_are_deleted_only_while_nothing_joined_it(
    ledger: Ledger,
) -> None:
    delivered(ledger, purged=True)
    deleted: list[Kept] = []

    ledger.while_purged(SERIES, deleted.extend)
    first = list(deleted)
    ledger.arrived(instance("c"))
    ledger.while_purged(SERIES, deleted.extend)

    assert first == deleted == [instance("a"), instance("b")]


def test_every_state_is_noted_with_its_time(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = Ledger(tmp_path / "other.sqlite", now=clock)
    began = clock()
    ledger.arrived(instance("a"))
    for step in (lambda: ledger.received(SERIES), ledger.claim, lambda: ledger.unclaim(FIRST)):
        clock.advance(1)
        step()

    rows = ledger.database.connection.execute("SELECT state, at FROM history ORDER BY rowid")
    assert rows.fetchall() == [
        ("receiving", began),
        ("received", began + 1),
        ("claimed", began + 2),
        ("received", began + 3),
    ]
    ledger.close()


def test_caller_is_that_of_the_first_instance(ledger: Ledger) -> None:
    for name, caller in (("a", "CHILDREN"), ("b", "PACS"), ("c", None)):
        ledger.arrived(instance(name), caller)

    assert caller_of(ledger) == "CHILDREN"


def test_caller_of_what_a_crash_left_in_the_spool_is_who_sends_it_again(ledger: Ledger) -> None:
    ledger.arrived(instance("a"))
    ledger.arrived(instance("a"), "CHILDREN")
    ledger.arrived(instance("a"), "PACS")

    assert caller_of(ledger) == "CHILDREN"


def test_caller_of_what_a_crash_left_in_the_spool_is_who_sends_the_rest(ledger: Ledger) -> None:
    ledger.arrived(instance("a"))
    ledger.arrived(instance("b"), "CHILDREN")
    ledger.arrived(instance("a"), "PACS")

    assert caller_of(ledger) == "CHILDREN"


def test_caller_of_a_series_that_nobody_is_known_to_have_sent_is_none(ledger: Ledger) -> None:
    ledger.arrived(instance("a"))

    assert caller_of(ledger) is None


def test_caller_of_a_later_generation_is_that_of_the_first(ledger: Ledger) -> None:
    ledger.arrived(instance("a"), "CHILDREN")
    make_ready(ledger)
    DeliveryRows(ledger).settled(FIRST, "archive")
    arrival = ledger.arrived(instance("b"), "PACS")

    assert arrival.generation == SECOND
    assert caller_of(ledger) == "CHILDREN"
