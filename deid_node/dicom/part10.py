"""Datasets as the bytes of a DICOM Part 10 file, with a preamble and file meta of our own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedInstance:
    """One instance as it will lie on disk and go over the wire.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        As in the file meta information. The SOP Instance UID is a pseudonym.
    part10 : bytes
        Preamble, ``DICM``, file meta information and dataset (PS3.10 section 7).
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    part10: bytes
