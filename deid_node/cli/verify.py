"""``deid-node verify``: check that nothing of a person is left in a folder, whoever made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deid_node.cli.options import JsonOption

if TYPE_CHECKING:
    from deid_node.headers.needles import Identifiers
    from deid_node.headers.verification.checks import Remark

    Remarks = tuple[tuple[str, Remark], ...]

FOUND: Final = 65
"""Exit code where a leak or a doubt was found; EX_DATAERR of sysexits.h."""
MOST_SHOWN: Final = 20
"""Remarks that are shown one by one; --json gives all."""

OriginalsOption = Annotated[
    Path | None,
    typer.Option(
        "--originals",
        help="Folder with what the folder was made from: its identifiers are searched for.",
        show_default=False,
    ),
]


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder with de-identified files, of any tool.")],
    originals: OriginalsOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Check that nothing of a person is left in a folder; 0 if so, else 65.

    No value of an element is ever shown. What is drawn into pixels is not looked at.

    Example: deid-node verify ./clean --originals ./incoming
    """
    from deid_node.cli.output import say_json
    from deid_node.headers.verification.verifier import Verifier

    paths = _files(folder)
    verifier = Verifier(None if originals is None else _identifiers(_files(originals)))
    for path in _ticking(paths, "verify"):
        verifier.look(path.relative_to(folder).as_posix(), _content(path))
    remarks = verifier.finish()
    if json:
        say_json(_as_json(remarks, n_files=len(paths)))
    else:
        _tell(remarks, n_files=len(paths))
    graves = {remark.severity.value for _, remark in remarks} & {"leak", "doubt"}
    raise typer.Exit(FOUND if graves else 0)


def _files(folder: Path) -> list[Path]:
    """List the files of a folder at every depth.

    Raises
    ------
    UsageError
        If there is none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise typer.BadParameter(f"no file in {folder}")
    return paths


def _content(path: Path) -> bytes:
    """Read a file; one that cannot be read counts as one without content, which is remarked."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _identifiers(paths: list[Path]) -> Identifiers:
    """Collect the identifiers of every original that is DICOM, and tell how many are not."""
    from deid_node.cli.output import complain
    from deid_node.errors import InstanceRefused
    from deid_node.headers.needles import joined
    from deid_node.headers.second_look import source_identifiers

    found = []
    for path in _ticking(paths, "originals"):
        try:
            found.append(source_identifiers(_content(path)))
        except InstanceRefused:
            continue
    if len(found) < len(paths):
        n_unread = len(paths) - len(found)
        complain(
            f"{n_unread} of {len(paths)} originals cannot be read as DICOM",
            next_step="nothing of these was searched for",
        )
    return joined(found)


def _ticking(paths: list[Path], what: str) -> Iterator[Path]:
    """Give one path after another, with a progress bar on standard error."""
    from rich.progress import track

    from deid_node.cli.output import progress

    yield from track(paths, description=what, console=progress, transient=True)


def _as_json(remarks: Remarks, *, n_files: int) -> dict[str, object]:
    return {
        "n_files": n_files,
        "counts": _counts(remarks),
        "remarks": [
            {
                "file": path,
                "check": remark.check,
                "severity": remark.severity.value,
                "where": remark.where,
            }
            for path, remark in remarks
        ],
    }


def _counts(remarks: Remarks) -> dict[str, int]:
    counts = Counter(remark.severity.value for _, remark in remarks)
    return {severity: counts[severity] for severity in ("leak", "doubt", "note")}


def _tell(remarks: Remarks, *, n_files: int) -> None:
    """Write a table of checks, the gravest remarks one by one, and the sum."""
    from deid_node.cli.output import say, say_table
    from deid_node.headers.verification.checks import CHECKS, Severity

    checks = Counter(remark.check for _, remark in remarks)
    if checks:
        files = Counter(check for _, check in {(path, each.check) for path, each in remarks})
        say_table(
            ("check", "", "files", "remarks", "what it means"),
            [
                (name, check.severity.value, str(files[name]), str(checks[name]), check.says)
                for name, check in CHECKS.items()
                if checks[name]
            ],
        )
    gravest_first = sorted(remarks, key=lambda remark: list(CHECKS).index(remark[1].check))
    grave = [each for each in gravest_first if each[1].severity is not Severity.NOTE]
    for path, remark in grave[:MOST_SHOWN]:
        say(f"{remark.severity.value}: {path}: {remark.check} {remark.where}".rstrip())
    if len(grave) > MOST_SHOWN:
        say(f"and {len(grave) - MOST_SHOWN} more; --json lists all")
    counts = _counts(remarks)
    say("{} files: {leak} leaks, {doubt} doubts, {note} notes".format(n_files, **counts))
