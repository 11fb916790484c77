"""UIDs this node knows by name: its own implementation, and what it can take in."""

from __future__ import annotations

from typing import Final

from pydicom import uid
from pydicom._uid_dict import UID_dictionary

IMPLEMENTATION_CLASS_UID: Final = "2.25.241593620468204736201840712936174812465"
"""Names this implementation in file meta information and associations (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME: Final = "DEID_NODE_0_1"
"""At most 16 characters, PS3.7 D.3.3.2.3."""

DEFACEABLE: Final = frozenset({uid.MRImageStorage})
"""SOP Classes whose instances this node can deface and send on."""

ENCAPSULATED: Final = frozenset(
    known
    for known, (_, kind, *_) in UID_dictionary.items()
    if kind == "Transfer Syntax" and uid.UID(known).is_encapsulated
)
"""Transfer Syntaxes of the standard whose Pixel Data comes in fragments, PS3.5 A.4."""


def written_syntax(transfer_syntax_uid: str) -> str:
    """Transfer Syntax in which an instance is written that came in another one.

    Examples
    --------
    >>> written_syntax("1.2.840.10008.1.2.4.90"), written_syntax("1.2.840.10008.1.2")
    ('1.2.840.10008.1.2.4.90', '1.2.840.10008.1.2.1')
    """
    encapsulated = transfer_syntax_uid in ENCAPSULATED
    return transfer_syntax_uid if encapsulated else uid.ExplicitVRLittleEndian


def sop_class_name(sop_class_uid: str) -> str:
    """Name a SOP Class for a message.

    Returns
    -------
    str
        The standard's name, or ``"unknown"``: a raw value never reaches a message.

    Examples
    --------
    >>> sop_class_name("1.2.840.10008.5.1.4.1.1.2")
    'CT Image Storage'
    >>> sop_class_name("1.2.3.4")
    'unknown'
    """
    entry = UID_dictionary.get(sop_class_uid)
    return entry[0] if entry is not None else "unknown"
