"""A clock that goes only when it is told to."""

from __future__ import annotations


class FakeClock:
    """Seconds that a test moves on.

    Parameters
    ----------
    now
        What it shows first, in seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
