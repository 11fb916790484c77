"""``deid-node scrub``: headers only, a folder in, a folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, KeyOption, ProfileOption

DurableOption = Annotated[
    bool,
    typer.Option(
        "--durable", help="Sync every file to the disk: slower, survives a power failure."
    ),
]


def scrub(
    folder: Annotated[
        Path, typer.Argument(help="Folder with DICOM files, at any depth; no links.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")],
    profile: ProfileOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes.")] = 1,
    held: Annotated[
        Path | None,
        typer.Option(
            "--held",
            help="Folder for held.csv, the list of files not written; it repeats their names.",
            show_default=False,
        ),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            "--audit",
            help="Append one sealed line for each instance to this file. Default: [audit] file.",
            show_default=False,
        ),
    ] = None,
    crosswalk: Annotated[
        Path | None,
        typer.Option(
            "--crosswalk",
            help="Append old and new identifiers, encrypted. Default: [crosswalk] file.",
            show_default=False,
        ),
    ] = None,
    recipient: Annotated[
        Path | None,
        typer.Option(
            "--recipient",
            help="Public key of the broker who may read the crosswalk. Default: [crosswalk].",
            show_default=False,
        ),
    ] = None,
    *,
    durable: DurableOption = False,
    json: JsonOption = False,
) -> None:
    """De-identify headers, of every SOP Class the profile accepts. Pixels and FACES stay.

    Text in pixels goes where a region of the profile is meant for the instance.

    For heads use `deface`. Here nothing claims that a face was removed.

    The node never sends the result anywhere.

    A file appears whole or not at all, also after kill -9; none replaces another.

    What is doubtful is held: listed, and not written.

    Example: deid-node scrub ./incoming --out ./clean --profile basic --key site.key
    """
    from contextlib import ExitStack

    from deid_node.cli.scrub_summary import finish, watched, write_held
    from deid_node.cli.site import site_from
    from deid_node.node.output_folder import refuse_inside
    from deid_node.node.scrub_folder import FolderScrub, refuse_overlap

    site = site_from(config, profile=profile, key=key)
    records = site.records(audit=audit, crosswalk=crosswalk, recipient=recipient)
    refuse_overlap(folder, out)
    for private in filter(None, (held, records.audit, records.crosswalk)):
        refuse_inside(private, out)
    with ExitStack() as stack:
        work = FolderScrub(
            site.profile,
            site.pseudonyms,
            durable=durable,
            jobs=jobs,
            audit=records.open_audit(stack, verb="scrub", durable=durable),
            crosswalk=records.open_crosswalk(stack, durable=durable),
        )
        outcomes = watched(work.run(folder, out), folder)
    if held is not None:
        write_held(outcomes, held)
    finish(outcomes, folder, out, json=json)
