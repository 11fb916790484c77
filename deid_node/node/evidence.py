"""Keep the before/after picture of a series on the trusted side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.node.durable import make_private_folder, write_file
from deid_node.pipeline.picture import draw

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.pipeline.deidentify import Evidence

PICTURE: Final = "before-after.png"


def keep_picture(folder: Path, series: str, evidence: Evidence) -> Path:
    """Draw the evidence into the private work folder.

    Parameters
    ----------
    folder : Path
        The spool folder; the picture goes to ``work/<series>/`` in it.
    series : str
        Pseudonym of the source series.
    evidence : Evidence
        Before, after and mask.

    Returns
    -------
    Path
        The picture, mode 0600. It shows the face and is never sent.
    """
    private = folder / "work" / series
    make_private_folder(private)
    write_file(private / PICTURE, [draw(evidence)])
    return private / PICTURE
