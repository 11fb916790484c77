"""Short words for long datasets, and how they are written as Part 10 files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.sr.coding import Code


def dataset_of(values: Mapping[str, object]) -> Dataset:
    """Build a dataset from keywords; a list of datasets is a sequence."""
    dataset = Dataset()
    for keyword, value in values.items():
        if isinstance(value, list) and all(isinstance(each, Dataset) for each in value):
            setattr(dataset, keyword, Sequence(value))
        else:
            setattr(dataset, keyword, value)
    return dataset


def coded(code: Code) -> Dataset:
    """Write a code of the standard as an item."""
    return dataset_of(
        {
            "CodeValue": code.value,
            "CodingSchemeDesignator": code.scheme_designator,
            "CodeMeaning": code.meaning,
        }
    )


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Point at an instance."""
    return dataset_of(
        {"ReferencedSOPClassUID": sop_class_uid, "ReferencedSOPInstanceUID": sop_instance_uid}
    )


def written(
    dataset: Dataset,
    *,
    implicit: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    meta: FileMetaDataset | None = None,
    preamble: bytes = b"\0" * 128,
) -> bytes:
    """Write a dataset as a Part 10 file, under file meta attributes that are given or none."""
    meta = FileMetaDataset() if meta is None else meta
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else UID(syntax)
    meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    buffer = io.BytesIO()
    file = FileDataset(buffer, dataset, file_meta=meta, preamble=preamble)
    dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


def keywords(dataset: Dataset) -> set[str]:
    """Name every attribute at the top level."""
    return {keyword_for_tag(tag) for tag in dataset.keys()}  # noqa: SIM118 - values stay raw


BRAIN = codes.SCT.Brain
"""Brain, as the standard codes it."""
