"""Tell at the end of a run how much of Table E.1-1 and of the zoo was gone through."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the tests of the table recorded as gone through; print what others tell."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in getattr(report, "user_properties", ()):
            if name == "told":
                terminalreporter.write_line(text)
    for way in ("decided", "written"):
        runs = [
            dict(report.user_properties)
            for report in terminalreporter.stats.get("passed", [])
            if ("table", way) in getattr(report, "user_properties", ())
        ]
        if not runs:
            continue
        columns, iods = ({run[key] for run in runs} for key in ("column", "iod"))
        levels = {run["level"] for run in runs}
        rows = {run["rows"] for run in runs}
        total = sum(run["rows"] for run in runs)
        terminalreporter.write_line(
            f"Table E.1-1, {way}: {'–'.join(map(str, sorted(rows)))} rows × {len(columns)} columns"
            f" × {len(iods)} IODs × {len(levels)} levels = {total} as the standard says"
        )
