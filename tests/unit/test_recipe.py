"""A recipe has one digest, whatever process asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
ASK = "from tests.fakes.recipe import recipe_of; print(recipe_of().digest)"


def test_digest_is_the_same_after_a_restart() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", ASK],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1
