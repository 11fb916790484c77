"""A series is closed after silence, or when it has been open too long, and only once."""

from __future__ import annotations

import pytest

from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.assembly import Assembly
from tests.fakes.clock import FakeClock

ONE, TWO = SeriesKey("one"), SeriesKey("two")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def assembly(clock: FakeClock) -> Assembly:
    return Assembly(quiet_seconds=30, max_open_seconds=100, now=clock)


def test_series_is_open_while_instances_keep_coming(assembly: Assembly, clock: FakeClock) -> None:
    closed = []
    for _ in range(3):
        assembly.arrived(ONE)
        clock.advance(29)
        closed += assembly.closed()

    assert closed == []


def test_series_is_closed_once_after_silence(assembly: Assembly, clock: FakeClock) -> None:
    assembly.arrived(ONE)
    clock.advance(30)

    assert assembly.closed() == [ONE]
    assert assembly.closed() == []


def test_series_that_never_falls_silent_is_closed_in_the_end(
    assembly: Assembly, clock: FakeClock
) -> None:
    for _ in range(10):
        assembly.arrived(ONE)
        clock.advance(10)

    assert assembly.closed() == [ONE]


def test_each_series_has_a_silence_of_its_own(assembly: Assembly, clock: FakeClock) -> None:
    assembly.arrived(ONE)
    clock.advance(20)
    assembly.arrived(TWO)
    clock.advance(10)

    assert assembly.closed() == [ONE]


def test_late_instance_opens_the_series_anew(assembly: Assembly, clock: FakeClock) -> None:
    assembly.arrived(ONE)
    clock.advance(99)
    assembly.closed()
    assembly.arrived(ONE)
    clock.advance(29)
    too_early = assembly.closed()
    clock.advance(1)

    assert too_early == []
    assert assembly.closed() == [ONE]
