"""A series is closed after silence, sooner or later by other signs, and only once."""

from __future__ import annotations

import pytest

from deid_node.errors import SpoolBusy
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.assembly import Assembly, Origin, Place, Visit
from deid_node.node.completeness import Patience
from tests.fakes.assembly import by_silence
from tests.fakes.clock import FakeClock

ONE, TWO = SeriesKey("one"), SeriesKey("two")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def assembly(clock: FakeClock) -> Assembly:
    return by_silence(30, max_open_seconds=100, now=clock)


def test_series_is_open_while_instances_keep_coming(assembly: Assembly, clock: FakeClock) -> None:
    closed = []
    for _ in range(3):
        assembly.arrived(ONE)
        clock.advance(29)
        closed += list(assembly.closed())

    assert closed == []


def test_series_is_closed_once_after_silence(assembly: Assembly, clock: FakeClock) -> None:
    assembly.arrived(ONE)
    clock.advance(30)

    assert list(assembly.closed()) == [ONE]
    assert list(assembly.closed()) == []


def test_series_that_never_falls_silent_is_closed_in_the_end(
    assembly: Assembly, clock: FakeClock
) -> None:
    for _ in range(10):
        assembly.arrived(ONE)
        clock.advance(10)

    assert list(assembly.closed()) == [ONE]


def test_each_series_has_a_silence_of_its_own(assembly: Assembly, clock: FakeClock) -> None:
    assembly.arrived(ONE)
    clock.advance(20)
    assembly.arrived(TWO)
    clock.advance(10)

    assert list(assembly.closed()) == [ONE]


def test_late_instance_opens_the_series_anew(assembly: Assembly, clock: FakeClock) -> None:
    assembly.arrived(ONE)
    clock.advance(99)
    assembly.closed()
    assembly.arrived(ONE)
    clock.advance(29)
    too_early = list(assembly.closed())
    clock.advance(1)

    assert too_early == []
    assert list(assembly.closed()) == [ONE]


PATIENCE = Patience(
    quiet_seconds=30, released_seconds=10, complete_seconds=5, max_open_seconds=1000
)


class Counted:
    """A table of open series whose instances are counted by hand."""

    def __init__(self, clock: FakeClock) -> None:
        self.n_instances = 0
        self.clock = clock
        self.assembly = Assembly(
            PATIENCE, count=lambda _series: self.n_instances, sources={"PACS"}, now=clock
        )

    def arrive(self, visit: Visit, *positions: float, announced: int | None = None) -> None:
        """Take instances at these positions."""
        for each in positions:
            place = Place(position_mm=each, orientation=AXIAL, n_announced=announced)
            origin = Origin(
                visit=visit, study_instance_uid="1.2", series_instance_uid="1.2.3", place=place
            )
            self.n_instances += 1
            self.assembly.arrived(ONE, origin)

    def closes_after(self) -> int:
        """Count the seconds until the series is closed."""
        for seconds in range(2000):
            if self.assembly.closed():
                return seconds
            self.clock.advance(1)
        raise AssertionError("it stays open")


AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.fixture
def counted(clock: FakeClock) -> Counted:
    return Counted(clock)


def test_release_shortens_the_silence_and_an_abort_does_not(clock: FakeClock) -> None:
    seconds = []
    for released in (True, False):
        counted, visit = Counted(clock), Visit("PACS")
        counted.arrive(visit, 0, 1, 2)
        counted.assembly.ended(visit, released=released)
        seconds.append(counted.closes_after())

    assert seconds == [10, 30]


def test_every_association_that_brought_it_must_be_over(counted: Counted) -> None:
    first, second, other = Visit("PACS"), Visit("PACS"), Visit("PACS")
    counted.arrive(first, 0, 1)
    counted.arrive(second, 2)
    counted.assembly.ended(other, released=True)
    counted.assembly.ended(first, released=True)
    counted.clock.advance(12)
    open_still = not counted.assembly.closed()
    counted.assembly.ended(second, released=True)

    assert open_still
    assert list(counted.assembly.closed()) == [ONE]


def test_release_before_the_last_instance_says_nothing_about_it(counted: Counted) -> None:
    first, second = Visit("PACS"), Visit("PACS")
    counted.arrive(first, 0, 1)
    counted.assembly.ended(first, released=True)
    counted.arrive(second, 2)

    assert counted.closes_after() == 30


def test_gap_between_slices_takes_the_release_its_meaning(counted: Counted) -> None:
    visit = Visit("PACS")
    counted.arrive(visit, 0, 1, 3)
    counted.assembly.ended(visit, released=True)

    assert counted.closes_after() == 30


def test_as_many_slices_as_are_announced_are_complete_at_once(counted: Counted) -> None:
    counted.arrive(Visit("PACS"), 0, 1, 2, announced=3)

    assert counted.closes_after() == 5


def test_slices_of_two_directions_tell_nothing(counted: Counted) -> None:
    visit = Visit("PACS")
    counted.arrive(visit, 0, 1, 2, announced=4)
    sagittal = Place(position_mm=0, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0), n_announced=4)
    counted.assembly.arrived(
        ONE,
        Origin(visit=visit, study_instance_uid="", series_instance_uid="1", place=sagittal),
    )
    counted.n_instances += 1

    assert counted.closes_after() == 30


def test_source_is_asked_after_a_short_silence_and_once_for_each(counted: Counted) -> None:
    visit = Visit("PACS")
    counted.arrive(visit, 0, 1, 2)
    too_early = counted.assembly.to_ask()
    counted.clock.advance(5)
    asked = counted.assembly.to_ask()
    meanwhile = counted.assembly.to_ask()
    counted.assembly.answered(ONE, None)
    afterwards = counted.assembly.to_ask()
    counted.arrive(visit, 3)
    counted.clock.advance(10)

    assert (too_early, meanwhile, afterwards) == (None, None, None)
    assert asked is not None
    assert asked[0] == ONE
    assert counted.assembly.to_ask() is not None


def test_source_of_another_caller_is_not_asked(counted: Counted) -> None:
    counted.arrive(Visit("STRANGER"), 0, 1, 2)
    counted.assembly.arrived(TWO)
    counted.clock.advance(20)

    assert counted.assembly.to_ask() is None


@pytest.mark.parametrize(
    ("n_expected", "seconds", "missing"), [(3, 0, None), (None, 25, None), (9, 995, 9)]
)
def test_answer_of_the_source_closes_it_or_keeps_it_open(
    counted: Counted, n_expected: int | None, seconds: int, missing: int | None
) -> None:
    counted.arrive(Visit("PACS"), 0, 1, 2)
    counted.clock.advance(5)
    counted.assembly.to_ask()
    counted.assembly.answered(ONE, n_expected)
    counted.clock.advance(seconds - 1 if seconds else 0)
    before = counted.assembly.closed() if seconds else {}
    counted.clock.advance(1 if seconds else 0)

    assert before == {}
    assert counted.assembly.closed() == {ONE: missing}


def test_answer_about_a_series_that_was_closed_is_dropped(counted: Counted) -> None:
    counted.arrive(Visit("PACS"), 0)
    counted.clock.advance(5)
    counted.assembly.to_ask()
    counted.clock.advance(30)
    closed = counted.assembly.closed()
    counted.assembly.answered(ONE, 7)

    assert closed == {ONE: None}
    assert counted.assembly.closed() == {}


def test_series_of_very_many_slices_takes_no_more_memory(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deid_node.node.assembly.MOST_POSITIONS", 10)
    visit = Visit("PACS")
    counted.arrive(visit, *map(float, range(50)))
    counted.assembly.ended(visit, released=True)

    assert not counted.assembly._open[ONE].positions
    assert counted.closes_after() == 10


def test_release_may_count_more_than_a_number(clock: FakeClock) -> None:
    patience = Patience(
        quiet_seconds=30, released_seconds=3, complete_seconds=20, max_open_seconds=1000
    )
    assembly, visit = Assembly(patience, count=lambda _series: 0, now=clock), Visit("PACS")
    assembly.arrived(ONE, Origin(visit=visit, study_instance_uid="", series_instance_uid="1"))
    assembly.ended(visit, released=True)
    clock.advance(3)

    assert list(assembly.closed()) == [ONE]


def test_series_is_not_forgotten_when_the_instances_of_another_cannot_be_counted(
    clock: FakeClock,
) -> None:
    fails = True

    def count(series: SeriesKey) -> int:
        if fails and series == TWO:
            raise SpoolBusy(seconds=1)
        return 1

    assembly = Assembly(PATIENCE, count=count, sources={"PACS"}, now=clock)
    for series in (ONE, TWO):
        assembly.arrived(series)
        assembly.answered(series, 1)
    clock.advance(1000)
    with pytest.raises(SpoolBusy):
        assembly.closed()
    fails = False

    assert set(assembly.closed()) == {ONE, TWO}
