"""Give an instance another Transfer Syntax without losing a bit of its values.

Between Implicit and Explicit VR Little Endian and the deflated one nothing but the encoding
changes (PS3.5 Annex A). Pixel Data in a lossless compression can be unpacked to these. All
else stays as it is: pixels are never compressed here, and those of a lossy compression never
unpacked, since decoders differ in what they make of them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from pydicom import dcmread, dcmwrite, uid

from deid_node.dicom.pixels import layout_of, refuse_other_frames

if TYPE_CHECKING:
    from deid_node.node.outgoing import Outgoing

NATIVE: Final = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
"""What an instance may be given in, best first. Every SCP should take the second
(PS3.5 section 10.1)."""

UNPACKED_WITHOUT_LOSS: Final = frozenset(
    {
        uid.RLELossless,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
        uid.HTJ2KLossless,
        uid.HTJ2KLosslessRPCL,
    }
)


def ways_to_give(transfer_syntax_uid: str) -> tuple[str, ...]:
    """List the Transfer Syntaxes an instance can have without loss, its own first.

    Examples
    --------
    >>> ways_to_give("1.2.840.10008.1.2.4.50")
    ('1.2.840.10008.1.2.4.50',)
    >>> ways_to_give("1.2.840.10008.1.2.5")[1:] == NATIVE
    True
    """
    own = str(transfer_syntax_uid)
    if own not in NATIVE and own not in UNPACKED_WITHOUT_LOSS:
        return (own,)
    return (own, *(str(each) for each in NATIVE if each != own))


def dataset_given_in(instance: Outgoing, transfer_syntax_uid: str) -> bytes:
    """Encode the dataset of an instance anew, without file meta information.

    The whole instance is in memory meanwhile.

    Parameters
    ----------
    instance
        Of a Transfer Syntax that can be changed without loss.
    transfer_syntax_uid
        One of `ways_to_give`.

    Raises
    ------
    PixelsUnusable
        If a frame is not as large as its layout says, or is not whole.
    """
    dataset = dcmread(io.BytesIO(instance.part10()))
    own = uid.UID(instance.transfer_syntax_uid)
    if own.is_encapsulated:
        refuse_other_frames(dataset.PixelData, layout_of(dataset), transfer_syntax_uid=own)
        dataset.decompress(generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = uid.UID(transfer_syntax_uid)
    plain = io.BytesIO()
    dcmwrite(plain, dataset, enforce_file_format=True)
    part10 = plain.getvalue()
    group_length = int.from_bytes(part10[140:144], "little")
    return part10[144 + group_length :]
