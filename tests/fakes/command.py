"""The command line, run inside the test's own process."""

from __future__ import annotations

import pytest

from deid_node.cli.app import main


def run(*arguments: object) -> int:
    """Run the command line; return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(each) for each in arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code
