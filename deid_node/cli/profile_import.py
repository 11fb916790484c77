"""``deid-node profile import``: rules that a site already has, as a profile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from deid_node.cli.options import JsonOption
from deid_node.cli.output import complain, progress, say, say_json
from deid_node.errors import ForeignProfileUnreadable, OutputUnwritable

if TYPE_CHECKING:
    from deid_node.config.importing.compose import Draft
    from deid_node.config.importing.statements import Reading

_LONGEST_NAME: Final = 40
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")

FileArgument = Annotated[
    Path, typer.Argument(help="A CTP anonymizer script or a deid recipe.", metavar="FILE")
]
FormatOption = Annotated[
    Literal["ctp", "deid"] | None,
    typer.Option("--format", help="What FILE is. Found out by default.", show_default=False),
]
NameOption = Annotated[
    str | None,
    typer.Option(help="Name of the profile. Default: made of the file's.", show_default=False),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="File to write. Default: print.", show_default=False),
]
LenientOption = Annotated[
    bool,
    typer.Option("--lenient", help="Remove the attributes of lines that cannot be expressed."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the file that --out names.")]


def import_profile(
    file: FileArgument,
    format: FormatOption = None,  # noqa: A002 - the option's name
    name: NameOption = None,
    out: OutOption = None,
    *,
    lenient: LenientOption = False,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Turn a CTP script or a deid recipe into a profile; refuse, by line, what it cannot say.

    Example: deid-node profile import DicomAnonymizer.script --out site.yaml
    """
    from deid_node.config.importing.compose import compose
    from deid_node.config.importing.read import read_foreign

    called = _name(name, file)
    _check_target(out, force=force)
    try:
        reading = read_foreign(_content(file), format=format)
    except ForeignProfileUnreadable as error:
        raise ForeignProfileUnreadable(f"{file.name}: {error}") from None
    draft = compose(reading, name=called, lenient=lenient)
    is_refused = bool(reading.refusals) and not lenient
    if out is not None and not is_refused:
        _write(out, draft.text)
    if json:
        say_json(_answer(reading, draft, called, out=out, is_refused=is_refused))
    else:
        _report(reading, draft)
        if out is None and not is_refused:
            say(draft.text.rstrip())
    if is_refused:
        complain(
            f"{file.name}: cannot be expressed in a profile: "
            f"{len(reading.refusals)} of its lines; nothing was written",
            next_step="change them, or add --lenient to remove the attributes they name",
        )
        raise typer.Exit(65)


def _name(given: str | None, file: Path) -> str:
    name = given or re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("._-")[:_LONGEST_NAME]
    if _NAME.fullmatch(name) is None or name == "basic":
        raise typer.BadParameter(
            "a profile's name has 1 to 40 of a-z, 0-9, '.', '_', '-', and is not 'basic'",
            param_hint="--name",
        )
    return name


def _check_target(out: Path | None, *, force: bool) -> None:
    if out is None:
        return
    if out.suffix not in {".yaml", ".yml"} or out.stem == "basic":
        raise typer.BadParameter(
            "the file's name ends in .yaml and is not basic.yaml", param_hint="--out"
        )
    if out.exists() and not force:
        raise typer.BadParameter(f"{out} exists; add --force to replace it", param_hint="--out")


def _content(file: Path) -> bytes:
    """Read one byte more than is accepted at most."""
    from deid_node.config.importing.statements import MOST_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError:
        raise ForeignProfileUnreadable("cannot be read") from None


def _write(out: Path, text: str) -> None:
    from deid_node.node.durable import write_file

    try:
        write_file(out, [text.encode()])
    except OSError:
        raise OutputUnwritable(f"{out} cannot be written") from None


def _report(reading: Reading, draft: Draft) -> None:
    for refusal in reading.refusals:
        line = f"line {refusal.line}: refused: {refusal.about} {refusal.said}: {refusal.reason}"
        progress.print(line, markup=False, soft_wrap=True)
    for remark in draft.remarks:
        progress.print(f"line {remark.line}: {remark.text}", markup=False, soft_wrap=True)
    counts = ", ".join(
        f"{n} {what.replace('_', ' ')}" for what, n in _counts(reading, draft).items()
    )
    progress.print(f"lines: {counts}", markup=False, soft_wrap=True)


def _counts(reading: Reading, draft: Draft) -> dict[str, int]:
    lines = {each.line for each in reading.statements}
    return {
        "imported": len(lines) + (reading.unlisted_line is not None),
        "by_node": len(reading.by_node),
        "refused": len(reading.refusals),
        "disabled": reading.disabled,
        "warnings": len(draft.remarks),
    }


def _answer(
    reading: Reading, draft: Draft, name: str, *, out: Path | None, is_refused: bool
) -> dict[str, object]:
    """Put all that is said into JSON types; a refused profile is not among it."""
    from deid_node.headers.plan import name_of

    return {
        "profile": name,
        "format": reading.format,
        "written": None if is_refused or out is None else str(out),
        "lines": _counts(reading, draft),
        "imported": [
            {
                "line": each.line,
                "said": each.said,
                "action": each.meaning.action.value,
                "attributes": [each.mask] if each.mask else [name_of(tag) for tag in each.tags],
            }
            for each in reading.statements
        ],
        "by_node": list(reading.by_node),
        "refused": [
            {"line": r.line, "about": r.about, "said": r.said, "reason": r.reason}
            for r in reading.refusals
        ],
        "warnings": [{"line": r.line, "text": r.text} for r in draft.remarks],
        "yaml": None if is_refused else draft.text,
    }
