"""Find out whether and how the spool is encrypted; loads no cryptography where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.errors import SpoolKeyUnusable
from deid_node.node.at_rest.names import RECEIVED, wrapped_keys

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.node.at_rest.sealing import Sealing


def open_sealing(spool: Path, key_file: Path | None) -> Sealing | None:
    """Find out whether the spool can be read with the key of the settings.

    Parameters
    ----------
    spool
        Folder of the spool.
    key_file
        Master key; None for a spool in the clear.

    Returns
    -------
    Sealing or None
        What encrypts; None if nothing does.

    Raises
    ------
    KeyUnusable
        If the file cannot be used.
    SpoolKeyUnusable
        If it is not the key that the spool was written under, or the spool has one and the
        settings do not.
    """
    if key_file is None:
        if any(wrapped_keys(spool, places=RECEIVED)):
            raise SpoolKeyUnusable("the spool is encrypted, and [spool] encrypt_key names no key")
        return None
    # Loading the cryptography is for those who use it.
    from deid_node.node.at_rest.sealing import Sealing  # noqa: PLC0415 - see above
    from deid_node.node.at_rest.series_keys import MasterKey  # noqa: PLC0415 - see above

    master = MasterKey.from_file(key_file)
    all_kept = [path.read_bytes() for path in wrapped_keys(spool)]
    n_foreign = sum(master.unwrap(kept) is None for kept in all_kept)
    if n_foreign:
        raise SpoolKeyUnusable(
            f"{n_foreign} of {len(all_kept)} series in the spool were encrypted under another key"
            f" than {key_file}"
        )
    return Sealing(master)
