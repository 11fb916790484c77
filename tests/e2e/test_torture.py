"""A few kills of the campaign that `make torture` runs with two hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.campaign import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_kills_at_random_lose_nothing_and_let_nothing_out(tmp_path: Path) -> None:
    campaign, evidence = run(tmp_path, kills=10, seed=3, tell=False)

    assert evidence.is_clean, dict(evidence.rows())
    assert campaign.kills == 10
    assert min(evidence.acknowledged, evidence.canaries, evidence.witnesses) > 0
    assert evidence.stored >= evidence.acknowledged
