"""From what is known of a series to complete, incomplete or how long to wait: the whole table."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from deid_node.node.completeness import Closed, Patience, Signals, Stack, Wait, judge, stack_of

PATIENCE = Patience(
    quiet_seconds=30, released_seconds=10, complete_seconds=5, max_open_seconds=3600
)
SIGNALS = Signals(quiet_for=0, open_for=100)
WHOLE = {"stack": Stack.EVEN, "n_instances": 20, "n_announced": 20}


@pytest.mark.parametrize(
    ("known", "silence"),
    [
        ({}, 30),
        ({"stack": Stack.EVEN}, 30),
        ({"stack": Stack.GAPS}, 30),
        ({"is_released": True}, 10),
        ({"is_released": True, "stack": Stack.EVEN}, 10),
        ({"is_released": True, "stack": Stack.GAPS}, 30),
        (WHOLE, 5),
        ({**WHOLE, "is_released": True}, 5),
        ({**WHOLE, "stack": Stack.GAPS}, 30),
        ({**WHOLE, "stack": Stack.UNKNOWN}, 30),
        ({**WHOLE, "n_instances": 19}, 30),
        ({**WHOLE, "n_instances": 21}, 30),
        ({"n_expected": 20, "n_instances": 20}, 5),
        ({"n_expected": 20, "n_instances": 21}, 5),
        ({"n_expected": 20, "n_instances": 20, "stack": Stack.GAPS}, 5),
        ({"is_being_asked": True}, 30),
        ({"is_being_asked": True, "is_released": True}, 30),
        ({**WHOLE, "is_being_asked": True}, 30),
    ],
)
def test_silence_that_is_needed(known: dict[str, object], silence: float) -> None:
    signals = replace(SIGNALS, **known)  # type: ignore[arg-type]

    before = judge(replace(signals, quiet_for=silence - 1), PATIENCE)
    after = judge(replace(signals, quiet_for=silence), PATIENCE)

    assert before == Wait(seconds=1)
    assert after is Closed.COMPLETE


def test_what_the_source_still_has_is_waited_for_but_not_without_end() -> None:
    short = replace(SIGNALS, n_expected=20, n_instances=19, quiet_for=99, is_released=True)

    assert judge(short, PATIENCE) == Wait(seconds=3500)
    assert judge(replace(short, open_for=3600), PATIENCE) is Closed.INCOMPLETE
    assert judge(replace(short, open_for=3600, n_instances=20), PATIENCE) is Closed.COMPLETE


def test_no_sign_keeps_a_series_open_for_ever() -> None:
    for released, stack, announced, expected, asked in itertools.product(
        (False, True), Stack, (None, 20), (None, 20), (False, True)
    ):
        signals = Signals(
            quiet_for=0,
            open_for=3600,
            is_released=released,
            stack=stack,
            n_instances=3,
            n_announced=announced,
            n_expected=expected,
            is_being_asked=asked,
        )
        assert isinstance(judge(signals, PATIENCE), Closed)


def test_only_the_source_makes_the_node_wait_beyond_the_quiet_time() -> None:
    for released, stack, announced, asked in itertools.product(
        (False, True), Stack, (None, 20), (False, True)
    ):
        signals = Signals(
            quiet_for=30,
            open_for=100,
            is_released=released,
            stack=stack,
            n_instances=3,
            n_announced=announced,
            is_being_asked=asked,
        )
        assert judge(signals, PATIENCE) is Closed.COMPLETE


def test_no_wait_is_longer_than_the_quiet_time_that_was_chosen() -> None:
    hasty = replace(PATIENCE, quiet_seconds=1)
    for known in ({}, {"is_released": True}, WHOLE, {"n_expected": 1, "n_instances": 1}):
        signals = replace(SIGNALS, quiet_for=1, **known)
        assert judge(signals, hasty) is Closed.COMPLETE


def test_wait_ends_with_the_time_that_a_series_may_be_open() -> None:
    assert judge(replace(SIGNALS, open_for=3590), PATIENCE) == Wait(seconds=10)


@pytest.mark.parametrize(
    ("positions", "stack"),
    [
        ([], Stack.UNKNOWN),
        ([0, 1], Stack.UNKNOWN),
        ([0, 1, 2], Stack.EVEN),
        ([2.5, -1, 0.75], Stack.EVEN),
        ([0, 1, 3], Stack.GAPS),
        ([0, 1, 2, 3, 5, 6], Stack.GAPS),
        ([0, 5.004, 10, 15.003], Stack.EVEN),
        ([0, 0.1, 0.205, 0.3], Stack.EVEN),
        ([0, 0.2, 1, 2, 3], Stack.GAPS),
    ],
)
def test_stack_is_even_or_has_gaps(positions: list[float], stack: Stack) -> None:
    for order in (positions, positions[::-1]):
        assert stack_of(order) is stack
