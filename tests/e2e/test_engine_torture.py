"""A node that is killed over and over by SIGKILL loses no series, and none is stuck."""

from __future__ import annotations

import pytest

from bench.engine import torture


@pytest.mark.slow
@pytest.mark.parametrize("seed", [6, 16])
def test_twenty_kills_at_random_lose_nothing(seed: int) -> None:
    n_kills = 20

    told = torture("dbos", 40, n_kills, seed)

    assert (told["lost"], told["stuck"]) == (0, False)
    # At the worst, one result and one instance at each of two destinations for each kill.
    assert 0 <= int(str(told["redone"])) <= 3 * n_kills
