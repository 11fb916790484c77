"""What people see: complaints on standard error, results on standard output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA: Final = 1
"""Version of every ``--json`` answer."""

results: Final = Console(highlight=False, soft_wrap=True, emoji=False)
progress: Final = Console(stderr=True, highlight=False, emoji=False)


def complain(problem: str, *, next_step: str = "") -> None:
    """Write one line that names a problem and what to do next."""
    line = f"deid-node: {problem}" + (f" → {next_step}" if next_step else "")
    progress.print(line, markup=False, soft_wrap=True)


def say(line: str) -> None:
    """Write one line of result."""
    results.print(line, markup=False)


def say_json(answer: dict[str, object]) -> None:
    """Write an answer for machines: one JSON object with its schema's version."""
    results.print(json.dumps({"schema": SCHEMA, **answer}, indent=2, default=str), markup=False)


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    results.print(table)
