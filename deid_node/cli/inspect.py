"""``deid-node inspect``: what would happen to each element of a file, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deid_node.cli.options import ConfigOption, JsonOption, ProfileOption
from deid_node.cli.output import results, say, say_json

if TYPE_CHECKING:
    from deid_node.pipeline.inspection import Inspection, Row

COLOURS: Final = {
    "remove": "red",
    "empty": "yellow",
    "dummy": "yellow",
    "keep": "green",
    "clean": "magenta",
}
"""Others are what a value became: cyan."""


def inspect(
    file: Annotated[Path, typer.Argument(help="A DICOM file.")],
    profile: ProfileOption = None,
    config: ConfigOption = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Show what stays as it is, too.")] = False,
    json: JsonOption = False,
) -> None:
    """Show what would happen to each element of a file, and why; never a value.

    Nothing is written. No key is needed, nor the site's table of patients.

    Example: deid-node inspect IM0001.dcm --profile research-mr
    """
    import secrets

    from deid_node.cli.options import settings_from
    from deid_node.config.profile_file import load_profile
    from deid_node.headers.pseudonyms import KEY_BYTES, Pseudonyms
    from deid_node.node.scrub_file import read_part10
    from deid_node.pipeline.inspection import inspect as inspection_of

    chosen = load_profile(profile or settings_from(config).profile)
    key = Pseudonyms(secrets.token_bytes(KEY_BYTES)).naming(lambda _patient: "NAMED")
    found = inspection_of(read_part10(file), chosen, key)
    rows = [row for row in found.rows if every or row.changed]
    if json:
        say_json(
            {
                "profile": f"{chosen.name} {chosen.version}",
                "sop_class": found.sop_class,
                "held": found.held and type(found.held).__name__,
                "reason": found.held and str(found.held),
                "elements": [_as_json(row) for row in rows],
                "added": list(found.added),
            }
        )
        return
    _tell(found, rows, f"{chosen.name} {chosen.version}")


def _as_json(row: Row) -> dict[str, object]:
    return {
        "path": row.name,
        "tags": [f"{tag:08X}" for tag in row.path],
        "vr": row.vr,
        "type": row.type,
        "count": row.count,
        "gone": row.gone,
        "bytes": row.length,
        "action": row.action.value,
        "planned": row.planned.value,
        "authority": row.authority,
        "why": row.why,
        "changed": row.changed,
    }


def _tell(found: Inspection, rows: list[Row], profile: str) -> None:
    """Write a table for a person."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("element", "VR", "type", "bytes", "action", "by", "why"):
        table.add_column(column, overflow="fold", justify="right" if column == "bytes" else "left")
    for row in rows:
        action = row.action.value
        some = f" {row.gone} of {row.count}" if 0 < row.gone < row.count else ""
        table.add_row(
            Text("  " * (len(row.path) - 1) + row.name.rpartition(".")[2]),
            row.vr or "?",
            row.type or "–",
            "–" if row.length is None else str(row.length),
            Text(f"{action}{', gone' if some else ''}{some}", style=COLOURS.get(action, "cyan")),
            row.authority,
            Text(row.why),
        )
    results.print(table)
    say(f"{found.sop_class}, profile {profile}: {len(found.rows)} elements, {len(rows)} shown")
    say("preamble and file meta information are made anew")
    if found.added:
        say(f"added: {', '.join(found.added)}")
    if found.held is not None:
        say(f"WOULD BE HELD: {type(found.held).__name__}: {found.held} → {found.held.next_step}")
