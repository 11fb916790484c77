"""Keep the before/after picture of a series on the trusted side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.errors import NoSuchSeries, SpoolKeyUnusable
from deid_node.node.at_rest.names import is_sealed
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.durable import make_private_folder, write_file
from deid_node.pipeline.picture import draw

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.config.schema import Settings
    from deid_node.node.at_rest.sealing import Sealing
    from deid_node.pipeline.deidentify import Evidence

PICTURE: Final = "before-after.png"


def keep_picture(
    folder: Path, series: str, evidence: Evidence, sealing: Sealing | None = None
) -> Path:
    """Draw the evidence into the private work folder.

    Parameters
    ----------
    folder : Path
        The spool folder; the picture goes to ``work/<series>/`` in it.
    series : str
        Pseudonym of the source series.
    evidence : Evidence
        Before, after and mask.
    sealing : Sealing, optional
        Encrypts the picture, under a key of its own: it may stay longer than the series.

    Returns
    -------
    Path
        The picture, mode 0600. It shows the face and is never sent.
    """
    private = folder / "work" / series
    make_private_folder(private)
    picture = draw(evidence)
    if sealing is None:
        write_file(private / PICTURE, [picture])
    else:
        sealer = sealing.sealer(private, _name(series))
        write_file(private / PICTURE, [*sealer.seal([picture]), *sealer.end()])
    return private / PICTURE


def picture_of(settings: Settings, series: str) -> tuple[str, bytes]:
    """Find the picture of a series by the beginning of its key, and decrypt it if need be.

    Returns
    -------
    str, bytes
        The whole key, and the picture as PNG.

    Raises
    ------
    NoSuchSeries
        If none or several series with a picture have such a key.
    KeyUnusable, SpooledFileDamaged
        If it cannot be decrypted.
    """
    folder = settings.spool.folder
    found = [path for path in (folder / "work").glob(f"*/{PICTURE}") if _is_of(path, series)]
    if len(found) != 1:
        raise NoSuchSeries(n_found=len(found))
    [path] = found
    content, key = path.read_bytes(), path.parent.name
    if is_sealed(content):
        sealing = open_sealing(folder, settings.spool.encrypt_key)
        if sealing is None:
            raise SpoolKeyUnusable("the picture is encrypted, and [spool] encrypt_key names no key")
        content = sealing.unseal(path, _name(key))
    return key, content


def _is_of(path: Path, series: str) -> bool:
    return path.parent.name.startswith(series)


def _name(series: str) -> str:
    """Say what the file is to whoever decrypts it."""
    return f"{series}/{PICTURE}"
