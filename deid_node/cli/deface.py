"""``deid-node deface``: a folder in, a folder out, no network."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, ReportOption, settings_from

NiftiOption = Annotated[
    bool, typer.Option("--nifti", help="Write each defaced volume as NIfTI too.")
]


def deface(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM files, at any depth.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")],
    config: ConfigOption = None,
    report: ReportOption = None,
    *,
    nifti: NiftiOption = False,
    json: JsonOption = False,
) -> None:
    """De-identify a folder into another folder.

    Example: deid-node deface ./incoming --out ./clean --report private/report.html
    """
    from deid_node.cli.offline import Offline
    from deid_node.cli.summary import finish
    from deid_node.node.nifti import write_nifti
    from deid_node.node.send.folder import FolderDestination

    destination = FolderDestination(name=str(out), folder=out)
    also = partial(write_nifti, folder=out) if nifti else None
    work = Offline(settings_from(config), destination, verb="deface", also=also)
    outcomes, refused = work.run(folder)
    finish(outcomes, refused, report=report, json=json)
