"""The end of `scrub`: a progress bar, a table or JSON, the list of what was held."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deid_node.cli.output import complain, progress, say, say_json, say_table
from deid_node.errors import InstanceRefused, NotDicom, OutputUnwritable
from deid_node.node.durable import make_private_folder, write_file
from deid_node.node.input_folder import files_below
from deid_node.node.scrub_file import NOT_DICOM, NotWritten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deid_node.node.scrub_folder import Written

    Outcome = Written | NotWritten

EVERY: Final = 16
"""Files between two looks at the bar; a look costs more than a file's book-keeping."""
MOST_COMPLAINTS: Final = 20
"""Complain of so many files one by one, then only count."""
HELD: Final = "held.csv"


def watched(outcomes: Iterable[Outcome], folder: Path) -> list[Outcome]:
    """Gather outcomes behind a bar; on standard error, and only where a person looks."""
    if not progress.is_terminal:
        return list(outcomes)
    gathered = []
    with Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=progress,
        transient=True,
    ) as bar:
        task = bar.add_task("scrub", total=sum(1 for _ in files_below(folder)))
        for each in outcomes:
            gathered.append(each)
            if len(gathered) % EVERY == 0:
                bar.update(task, completed=len(gathered))
    return gathered


def write_held(outcomes: Sequence[Outcome], folder: Path) -> None:
    """List the files that were not written, for whoever may see their names.

    Raises
    ------
    OutputUnwritable
        If the list cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["file", "state", "error", "reason", "next_step"])
    for each in _doubtful(outcomes):
        rows.writerow([each.path, each.state, each.error, each.reason, each.next_step])
    try:
        make_private_folder(folder)
        write_file(folder / HELD, [text.getvalue().encode("utf-8", "surrogateescape")])
    except OSError:
        raise OutputUnwritable(f"{folder / HELD} cannot be written") from None


def finish(outcomes: Sequence[Outcome], folder: Path, out: Path, *, json: bool) -> None:
    """Tell what became of the files, and exit with the code that says it.

    Raises
    ------
    NotDicom
        If no file was DICOM.
    typer.Exit
        With 0 if every instance was written, else 65.
    """
    states = Counter(_state(each) for each in outcomes)
    if states[NOT_DICOM] == len(outcomes):
        raise NotDicom(f"no DICOM instance among the {len(outcomes)} files of {folder}")
    doubtful = _doubtful(outcomes)
    if json:
        say_json(
            {
                "files": len(outcomes),
                "states": dict(states),
                "not_written": [
                    {
                        "file": str(each.path),
                        "state": each.state,
                        "error": each.error,
                        "reason": each.reason,
                        "next_step": each.next_step,
                    }
                    for each in doubtful
                ],
            }
        )
    else:
        _tell(outcomes, out)
    raise typer.Exit(InstanceRefused.exit_code if doubtful else 0)


def _tell(outcomes: Sequence[Outcome], out: Path) -> None:
    """Write the summary for a person."""
    rows = Counter((_state(each), getattr(each, "error", "")) for each in outcomes)
    say_table(
        ("outcome", "files", "why"),
        [(state, str(count), error) for (state, error), count in sorted(rows.items())],
    )
    doubtful = _doubtful(outcomes)
    for each in doubtful[:MOST_COMPLAINTS]:
        complain(f"{each.path}: {each.error}: {each.reason}", next_step=each.next_step)
    if len(doubtful) > MOST_COMPLAINTS:
        complain(
            f"and {len(doubtful) - MOST_COMPLAINTS} more files were not written",
            next_step="--held FOLDER lists them all",
        )
    say(f"{sum(_state(each) == 'written' for each in outcomes)} instances written to {out}")


def _state(outcome: Outcome) -> str:
    if isinstance(outcome, NotWritten):
        return outcome.state
    return "repeated" if outcome.repeats else "written"


def _doubtful(outcomes: Sequence[Outcome]) -> list[NotWritten]:
    """Pick the instances that were not written; a stray text file is none."""
    return [each for each in outcomes if isinstance(each, NotWritten) and each.state != NOT_DICOM]
