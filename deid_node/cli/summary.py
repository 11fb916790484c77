"""The end of `send` and `deface`: a table or JSON, the HTML report, the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from deid_node.cli.output import complain, say, say_json, say_table
from deid_node.cli.report import ReportRow, report_page
from deid_node.errors import NotDicom, OutputUnwritable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deid_node.cli.offline import Outcome
    from deid_node.errors import InstanceRefused

MOST_COMPLAINTS: Final = 20
"""Complain of so many files one by one, then only count."""


def finish(
    outcomes: Sequence[Outcome],
    refused: Sequence[tuple[Path, InstanceRefused]],
    *,
    report: Path | None,
    json: bool,
) -> None:
    """Tell what became of every series, and exit with the code that says it.

    Raises
    ------
    OutputUnwritable
        If the report cannot be written.
    typer.Exit
        With 0 if every series was delivered; else with the code of the first that was not.
    """
    if report is not None:
        _write_report(outcomes, report)
    if json:
        say_json(
            {
                "series": [each.as_json() for each in outcomes],
                "files": [
                    {"file": str(path), "reason": str(error), "next_step": error.next_step}
                    for path, error in refused
                ],
            }
        )
    else:
        _tell(outcomes, refused)
    # A stray text file beside a series is no failure; an instance that cannot be read is.
    broken = [error for _, error in refused if not isinstance(error, NotDicom)]
    codes = [each.exit_code for each in outcomes] + [error.exit_code for error in broken]
    raise typer.Exit(next((code for code in codes if code), 0))


def _tell(outcomes: Sequence[Outcome], refused: Sequence[tuple[Path, InstanceRefused]]) -> None:
    """Write the summary for a person."""
    say_table(
        ("series", "outcome", "files", "removed", "time", "before/after picture"),
        [
            (
                each.series[:12],
                each.state,
                str(each.n_files),
                f"{each.removed_ml:.0f} ml" if each.record else "–",
                f"{each.seconds:.1f} s",
                str(each.picture or "–"),
            )
            for each in outcomes
        ],
    )
    for each in outcomes:
        if each.reason:
            complain(
                f"series {each.series[:12]} {each.state}: {each.reason}", next_step=each.next_step
            )
    for path, error in refused[:MOST_COMPLAINTS]:
        complain(f"{path}: {error}", next_step=error.next_step)
    if len(refused) > MOST_COMPLAINTS:
        complain(f"and {len(refused) - MOST_COMPLAINTS} more files that belong to no series")
    n_delivered = sum(not each.reason for each in outcomes)
    say(f"{n_delivered} of {len(outcomes)} series delivered")


def _write_report(outcomes: Sequence[Outcome], report: Path) -> None:
    """Write the HTML page, as a whole or not at all."""
    rows = [
        ReportRow(
            series=each.series,
            outcome=each.state,
            reason=each.reason,
            next_step=each.next_step,
            n_instances=each.n_files,
            removed_ml=each.removed_ml,
            seconds=each.seconds,
            stages=each.stages,
            record=each.record,
            picture=each.picture.read_bytes() if each.picture else None,
        )
        for each in outcomes
    ]
    draft = report.with_name(f".{report.name}.part")
    try:
        draft.write_text(report_page(rows), encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(report)
    except OSError:
        raise OutputUnwritable(f"report {report} cannot be written") from None
    finally:
        draft.unlink(missing_ok=True)
