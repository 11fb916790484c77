"""Fixtures that every test may use."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("night", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

PROJECT = Path(__file__).parents[1]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run whole nodes first: files are handed to processes in this order, the short ones last."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with `heads`, `labels` and `zoo`, unpacked once; skips where it is not at hand."""
    script = PROJECT.parent / "shared" / "data" / "unpack.sh"
    if not script.exists():
        pytest.skip("the shared test data is not beside the project")
    with (PROJECT / "pyproject.toml").open() as lock:  # one of the processes unpacks, others wait
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["bash", str(script)], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Find a real DICOM program by name; in CI its absence is a failure, elsewhere a skip."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None and os.environ.get("CI"):
            pytest.fail(f"{program} is not installed: `make peers` installs it")
        if path is None:
            pytest.skip(f"{program} is not installed: `make peers` installs it")
        return path

    return find
