"""``deid-node send``: an offline folder to a destination."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, ReportOption, settings_from


def send(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM files, at any depth.")],
    to: Annotated[str, typer.Option("--to", help="A destination's NAME, or host:port/AET.")],
    config: ConfigOption = None,
    report: ReportOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """De-identify a folder and send the result to a destination.

    Example: deid-node send /mnt/cd --to archive.example.org:4242/ORTHANC
    """
    from deid_node.cli.offline import Offline
    from deid_node.cli.summary import finish
    from deid_node.node.send.destination import find_destination

    settings = settings_from(config)
    destination = find_destination(to, settings)
    with closing(destination):
        outcomes, refused = Offline(settings, destination, verb="send").run(folder)
    finish(outcomes, refused, report=report, json=json)
