"""``deid-node mapping``: what an honest broker does with a crosswalk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import JsonOption
from deid_node.cli.output import complain, say, say_json

app = typer.Typer(
    help="The crosswalk of an honest broker: old and new identifiers.", no_args_is_help=True
)


@app.command()
def keygen(
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the private key.")],
    *,
    json: JsonOption = False,
) -> None:
    """Make the broker's keys: the private one stays, FILE.pub goes to the node.

    Example: deid-node mapping keygen --out broker.key
    """
    from deid_node.node.records.broker_key import create_broker_key, public_path

    create_broker_key(out)
    if json:
        say_json({"private": str(out), "public": str(public_path(out))})
        return
    say(f"wrote {out}; keep it away from the node, and a copy in a safe")
    say(f"wrote {public_path(out)}; the node's `--recipient`")


@app.command()
def export(
    crosswalk: Annotated[Path, typer.Option("--crosswalk", help="The file that a node wrote.")],
    key: Annotated[Path, typer.Option("--key", help="The broker's private key.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables.")],
    *,
    midi: Annotated[
        bool, typer.Option("--midi", help="Write the two tables of the MIDI-B validator instead.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace tables that exist.")] = False,
    json: JsonOption = False,
) -> None:
    """Decrypt a crosswalk into CSV tables, which IDENTIFY patients.

    Example: deid-node mapping export --crosswalk site.xwalk --key broker.key --out private
    """
    from deid_node.node.records.crosswalk_export import open_crosswalk, write_tables

    opened = open_crosswalk(crosswalk, key)
    paths = write_tables(opened, out, midi=midi, force=force)
    if json:
        say_json(
            {
                "files": [str(path) for path in paths],
                "links": len(opened.links),
                "sessions_without_end": opened.n_open,
                "torn_record_dropped": opened.torn,
                "ambiguous": opened.n_ambiguous(),
            }
        )
        return
    for path in paths:
        say(f"wrote {path}")
    if opened.torn:
        complain("the last record broke off, and was dropped", next_step="run its files again")
    if opened.n_open:
        complain(
            f"{opened.n_open} sessions have no end: killed, at work, or cut off",
            next_step="compare with the audit log",
        )
    if opened.n_ambiguous():
        complain(
            f"{opened.n_ambiguous()} identifiers have several pseudonyms",
            next_step="several keys were at work; keep one crosswalk for each",
        )
