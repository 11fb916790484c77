"""The ledger makes only the steps of its table, and none is lost or made twice."""

from __future__ import annotations

import itertools
import sqlite3
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from deid_node.errors import KeyUnusable, SpoolBusy, SpoolFull, SpoolUnwritable
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node import ledger_database
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.ledger_database import move
from deid_node.node.purge_rows import PurgeRows
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.states import TRANSITIONS, Generation, Reason, State
from tests.fakes.clock import FakeClock
from tests.fakes.faults import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIES = SeriesKey("k7q2m4x9tz3a")
FIRST = Generation(series=SERIES, number=1)
LATE = Generation(series=SERIES, number=2)
DAY = 86400.0
REASON = Reason(error="UnevenSlices", message="5 slices: one gap is 2 mm", error_id=None)

STEPS = {
    (State.RECEIVING, State.RECEIVED),
    (State.RECEIVING, State.HELD),
    (State.RECEIVED, State.CLAIMED),
    (State.RECEIVED, State.RECEIVING),
    (State.CLAIMED, State.READY),
    (State.CLAIMED, State.HELD),
    (State.CLAIMED, State.REFUSED),
    (State.CLAIMED, State.RECEIVED),
    (State.CLAIMED, State.RECEIVING),
    (State.READY, State.DELIVERED),
    (State.READY, State.HELD),
    (State.READY, State.REPLACED),
    (State.DELIVERED, State.PURGED),
    (State.DELIVERED, State.REPLACED),
    (State.REPLACED, State.PURGED),
    (State.HELD, State.RECEIVING),
    (State.HELD, State.RECEIVED),
    (State.HELD, State.READY),
    (State.HELD, State.REFUSED),
    (State.HELD, State.REPLACED),
    (State.REFUSED, State.RECEIVING),
    (State.REFUSED, State.RECEIVED),
    (State.REFUSED, State.PURGED),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite", now=clock)
    yield ledger
    ledger.close()


def instance(name: str = "a1", digest: str = "d1", series: SeriesKey = SERIES) -> Kept:
    return Kept(series=series, instance=InstanceKey(name), digest=digest)


def bring_to(ledger: Ledger, state: State) -> None:
    """Take a series of one instance to `state` by the methods the node uses."""
    ledger.arrived(instance())
    if state is State.RECEIVING:
        return
    ledger.received(SERIES)
    if state is State.RECEIVED:
        return
    ledger.claim()
    if state in {State.HELD, State.REFUSED}:
        ledger.set_aside(FIRST, state, REASON)
    if state in {State.READY, State.DELIVERED, State.PURGED}:
        ledger.ready(FIRST, ["archive"])
    if state in {State.DELIVERED, State.PURGED}:
        DeliveryRows(ledger).settled(FIRST, "archive")
    if state is State.REPLACED:
        ledger.ready(FIRST, ["archive"])
        ledger.replaces_late = True
        make_ready_anew(ledger)
    if state is State.PURGED:
        PurgeRows(ledger).purged(FIRST)


def make_ready_anew(ledger: Ledger) -> None:
    """Have a late instance replace the first generation."""
    ledger.arrived(instance("late"))
    ledger.received(SERIES)
    claim = ledger.claim()
    assert claim is not None
    assert ledger.ready(claim.generation, ["archive"])


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_every_pair_of_states_is_a_step_or_an_error(
    ledger: Ledger, before: State, after: State
) -> None:
    bring_to(ledger, before)
    assert ledger.states()[FIRST] is before

    if (before, after) in STEPS:
        with ledger._transaction() as database:
            assert move(database, FIRST, before, after, at=0)
        assert ledger.states()[FIRST] is after
    else:
        with pytest.raises(ValueError, match="no step"), ledger._transaction() as database:
            move(database, FIRST, before, after, at=0)
        assert ledger.states()[FIRST] is before


def test_table_of_steps_covers_every_state() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", [s for s in State if s is not State.READY])
def test_step_from_a_state_that_is_past_is_not_made(ledger: Ledger, state: State) -> None:
    bring_to(ledger, state)

    if state is not State.CLAIMED:
        assert not ledger.ready(FIRST, ["archive"])
        assert not ledger.set_aside(FIRST, State.HELD, REASON)
    assert ledger.states()[FIRST] is state


def test_longest_waiting_series_is_claimed_first_and_once(ledger: Ledger, clock: FakeClock) -> None:
    for name in ("second", "first"):
        ledger.arrived(instance(series=SeriesKey(name)))
    ledger.received(SeriesKey("first"))
    clock.advance(1)
    ledger.received(SeriesKey("second"))

    claims = [ledger.claim(), ledger.claim(), ledger.claim()]

    assert [claim and claim.generation.series for claim in claims] == ["first", "second", None]


def test_claim_names_every_instance(ledger: Ledger) -> None:
    ledger.arrived(instance("b2"))
    ledger.arrived(instance("a1"))
    ledger.arrived(instance("a1", digest="d2"))
    ledger.received(SERIES)

    claim = ledger.claim()

    assert claim is not None
    assert claim.instances == (instance("a1"), instance("a1", digest="d2"), instance("b2"))


@pytest.mark.parametrize(
    "state", [State.RECEIVED, State.CLAIMED, State.HELD, State.REFUSED, State.RECEIVING]
)
def test_late_instance_reopens_a_series_of_which_nothing_has_left(
    ledger: Ledger, state: State
) -> None:
    bring_to(ledger, state)

    arrival = ledger.arrived(instance("b2"))

    assert (arrival.generation, arrival.state) == (FIRST, State.RECEIVING)
    ledger.received(SERIES)
    claim = ledger.claim()
    assert claim is not None
    assert len(claim.instances) == 2


def test_result_of_a_series_that_was_reopened_is_not_taken(ledger: Ledger) -> None:
    bring_to(ledger, State.CLAIMED)
    ledger.arrived(instance("b2"))

    assert not ledger.ready(FIRST, ["archive"])
    assert DeliveryRows(ledger).owed_to("archive") == []


@pytest.mark.parametrize("state", [State.READY, State.DELIVERED, State.PURGED])
def test_late_instance_of_a_series_that_may_have_left_is_held(ledger: Ledger, state: State) -> None:
    bring_to(ledger, state)

    first = ledger.arrived(instance("b2"))
    second = ledger.arrived(instance("c3"))

    assert (first.generation, first.state) == (LATE, State.HELD)
    assert (second.generation, second.state) == (LATE, State.HELD)
    assert ledger.states() == {FIRST: state, LATE: State.HELD}


def test_late_instance_of_a_series_that_a_destination_refused_is_held_by_itself(
    ledger: Ledger,
) -> None:
    bring_to(ledger, State.READY)
    DeliveryRows(ledger).settled(FIRST, "archive", REASON)

    arrival = ledger.arrived(instance("b2"))

    assert arrival.generation == LATE
    assert ledger.states() == {FIRST: State.HELD, LATE: State.HELD}


@pytest.mark.parametrize("state", list(State))
def test_repeated_instance_changes_nothing(ledger: Ledger, state: State) -> None:
    bring_to(ledger, state)
    before = ledger.states()

    arrival = ledger.arrived(instance())

    assert arrival.is_known
    assert arrival.state is before[arrival.generation]
    assert ledger.states() == before


def test_series_is_delivered_when_the_last_destination_has_it(ledger: Ledger) -> None:
    bring_to(ledger, State.CLAIMED)
    ledger.ready(FIRST, ["archive", "copies"])

    after_one = DeliveryRows(ledger).settled(FIRST, "copies")
    owed = (DeliveryRows(ledger).owed_to("archive"), DeliveryRows(ledger).owed_to("copies"))
    after_both = DeliveryRows(ledger).settled(FIRST, "archive")

    assert after_one is State.READY
    assert owed == ([FIRST], [])
    assert after_both is State.DELIVERED


def test_refusal_of_one_destination_does_not_keep_another_from_getting_it(ledger: Ledger) -> None:
    bring_to(ledger, State.CLAIMED)
    ledger.ready(FIRST, ["archive", "copies"])

    assert DeliveryRows(ledger).settled(FIRST, "archive", REASON) is State.READY
    assert DeliveryRows(ledger).owed_to("copies") == [FIRST]
    assert DeliveryRows(ledger).settled(FIRST, "copies") is State.HELD


def test_only_what_was_delivered_long_enough_ago_is_purged(
    ledger: Ledger, clock: FakeClock
) -> None:
    bring_to(ledger, State.DELIVERED)

    assert PurgeRows(ledger).delivered_before(clock() - 1) == []
    assert PurgeRows(ledger).delivered_before(clock()) == [FIRST]
    assert PurgeRows(ledger).purged(FIRST) == (instance(),)


def test_what_was_written_survives_and_is_synced(tmp_path: Path, ledger: Ledger) -> None:
    bring_to(ledger, State.READY)

    again = Ledger(tmp_path / "ledger.sqlite")

    assert again.states() == {FIRST: State.READY}
    assert again.database.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert again.database.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    again.close()


def test_failed_step_leaves_nothing_half_done(ledger: Ledger) -> None:
    bring_to(ledger, State.CLAIMED)

    with pytest.raises(sqlite3.IntegrityError):
        ledger.ready(FIRST, ["archive", "archive"])

    assert ledger.states() == {FIRST: State.CLAIMED}
    assert ledger.ready(FIRST, ["archive"])


def test_full_disk_answers_out_of_resources(ledger: Ledger) -> None:
    pages = ledger.database.connection.execute("PRAGMA page_count").fetchone()[0]
    ledger.database.connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(SpoolFull) as caught:
        any(ledger.arrived(instance(f"instance-{n:060}")).is_known for n in range(1000))

    assert caught.value.dimse_status == 0xA700


def test_locked_ledger_answers_out_of_resources_and_works_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_database, "BUSY_SECONDS", 0.1)
    ledger = Ledger(tmp_path / "other.sqlite")
    with locked(tmp_path / "other.sqlite"), pytest.raises(SpoolBusy) as caught:
        ledger.arrived(instance())
    ledger.arrived(instance())
    ledger.close()

    assert caught.value.dimse_status == 0xA700


def test_ledger_that_cannot_be_written_answers_out_of_resources_and_works_again_later(
    ledger: Ledger,
) -> None:
    ledger.belongs_to("fingerprint")
    ledger.database.connection.execute("PRAGMA query_only = 1")
    for write in (ledger.answers, lambda: ledger.arrived(instance())):
        with pytest.raises(SpoolUnwritable) as caught:
            write()
        assert caught.value.dimse_status == 0xA700
    ledger.database.connection.execute("PRAGMA query_only = 0")

    assert ledger.answers()
    assert not ledger.arrived(instance()).is_known


def test_thread_waits_for_another_no_longer_than_a_person_would(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_database, "BUSY_SECONDS", 0.1)
    waited: list[BaseException] = []

    def answer() -> None:
        try:
            ledger.answers()
        except SpoolBusy as error:
            waited.append(error)

    with ledger.database.transaction():
        other = threading.Thread(target=answer)
        other.start()
        other.join(60)

    assert len(waited) == 1
    assert ledger.answers()


def test_clock_that_is_set_back_changes_no_state_and_the_order_only(
    ledger: Ledger, clock: FakeClock
) -> None:
    bring_to(ledger, State.RECEIVED)
    clock.advance(-7 * DAY)
    ledger.arrived(instance(series=SeriesKey("later")))
    ledger.received(SeriesKey("later"))

    due = ledger.due(2)
    claims = [ledger.claim(each) for each in due]

    assert set(due) == {FIRST, Generation(series=SeriesKey("later"), number=1)}
    assert None not in claims


def test_ledger_of_another_key_is_refused(ledger: Ledger) -> None:
    ledger.belongs_to("one")
    ledger.belongs_to("one")

    with pytest.raises(KeyUnusable):
        ledger.belongs_to("two")


def test_only_the_owner_can_read_it(tmp_path: Path, ledger: Ledger) -> None:
    bring_to(ledger, State.READY)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes == {0o600}


def test_ledger_of_this_release_is_opened_without_a_write(tmp_path: Path, ledger: Ledger) -> None:
    """A node starts on a full disk, where nothing can be written."""
    bring_to(ledger, State.READY)
    before = ledger.database.connection.execute("PRAGMA data_version").fetchone()

    Ledger(tmp_path / "ledger.sqlite").close()

    assert ledger.database.connection.execute("PRAGMA data_version").fetchone() == before
