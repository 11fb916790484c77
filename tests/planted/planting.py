"""Tokens in every place where peers were seen to leak, and where nobody had looked.

The places are those of a comparison of thirteen de-identifiers: nested, private, retired,
mistyped, structural, in the file meta group and before it. Everything here is made up.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.planted.building import dataset_of, written
from tests.planted.classes import INSTANCES
from tests.planted.contents import plant_by_class
from tests.planted.places import TEXT_PLACES
from tests.planted.planter import Planter

if TYPE_CHECKING:
    from collections.abc import Iterable

BASE: Final = ("ZEBRAFISH", "QUENTIN", "MRN-0815-77", "19420707")
"""What the instances themselves say of the patient."""


def planted(kind: str = "MR") -> tuple[Dataset, list[str]]:
    """Give an instance with tokens planted everywhere, and the tokens."""
    dataset, planter = _planted(kind)
    return dataset, [*planter.tokens, *BASE]


def planted_part10(kind: str = "MR", *, implicit: bool = False) -> tuple[bytes, list[str]]:
    """Give the same as a file, with tokens around the dataset as well."""
    dataset, planter = _planted(kind)
    meta = FileMetaDataset()
    for keyword in (
        "SourceApplicationEntityTitle",
        "SendingApplicationEntityTitle",
        "ReceivingApplicationEntityTitle",
    ):
        setattr(meta, keyword, planter.token())
    meta.PrivateInformationCreatorUID = UID(planter.token("UI"))
    meta.PrivateInformation = planter.octets()
    preamble = b"II*\0" + planter.octets() + planter.octets("utf-16-le")
    part10 = written(dataset, implicit=implicit, meta=meta, preamble=preamble.ljust(128, b"\0"))
    part10 += _unknown(planter, implicit=implicit)
    return part10, [*planter.tokens, *BASE]


def surviving(tokens: Iterable[str], part10: bytes) -> list[str]:
    """Pick the tokens that a file holds, in either case, as UTF-8 or UTF-16."""
    folded = part10.lower()
    encodings = ("utf-8", "utf-16-le", "utf-16-be")
    return [
        token
        for token in tokens
        if any(token.lower().encode(encoding) in folded for encoding in encodings)
    ]


def _planted(kind: str) -> tuple[Dataset, Planter]:
    dataset, planter = INSTANCES[kind](), Planter()
    planter.put(dataset, *TEXT_PLACES)
    _plant_sequences(dataset, planter)
    _plant_private(dataset, planter)
    _plant_structures(dataset, planter)
    _plant_mistyped(dataset, planter)
    plant_by_class(kind, dataset, planter)
    return dataset, planter


def _planted_item(planter: Planter, *keywords: str) -> Dataset:
    made = Dataset()
    planter.put(made, *keywords)
    return made


def _plant_sequences(dataset: Dataset, planter: Planter) -> None:
    code = _planted_item(
        planter, "CodeValue", "CodingSchemeDesignator", "CodeMeaning", "PatientName"
    )
    dataset.AnatomicRegionSequence = Sequence([code])
    deep = _planted_item(planter, "TextValue")
    deep.ConceptNameCodeSequence = Sequence([_copy(code)])
    context = _planted_item(planter, "PersonName")
    context.ContentItemModifierSequence = Sequence([deep])
    dataset.AcquisitionContextSequence = Sequence([context])
    for keyword, inside in {
        "RequestAttributesSequence": (
            "RequestedProcedureID",
            "ScheduledProcedureStepDescription",
            "ScheduledProcedureStepID",
            "AccessionNumber",
        ),
        "OriginalAttributesSequence": ("ModifyingSystem", "SourceOfPreviousValues"),
        "SourceImageSequence": ("ReferencedSOPInstanceUID", "PatientName"),
        "ReferencedImageSequence": ("ReferencedSOPInstanceUID", "PatientID"),
        "ReferringPhysicianIdentificationSequence": ("InstitutionName", "PersonAddress"),
        "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID"),
        "PerformedProtocolCodeSequence": ("CodeValue", "CodeMeaning"),
        "ReferencedPatientSequence": ("ReferencedSOPInstanceUID",),
        "UDISequence": ("UniqueDeviceIdentifier", "DeviceDescription"),
        "ModifiedAttributesSequence": ("PatientName", "PatientBirthDate"),
        "ReferencedRequestSequence": ("RequestedProcedureDescription", "AccessionNumber"),
        "GraphicAnnotationSequence": ("GraphicLayer", "UnformattedTextValue"),
        "PrivateDataElementCharacteristicsSequence": ("PrivateCreatorReference",),
        "AuthorObserverSequence": ("PersonName", "InstitutionName"),
        "ContrastBolusAgentSequence": ("CodeMeaning", "CodeValue"),
    }.items():
        setattr(dataset, keyword, Sequence([_planted_item(planter, *inside)]))
    previous = dataset.OriginalAttributesSequence[0]
    modified = _planted_item(planter, "PatientName", "PatientID", "PatientBirthDate")
    previous.ModifiedAttributesSequence = Sequence([modified])
    physician = dataset.ReferringPhysicianIdentificationSequence[0]
    identity = _planted_item(planter, "CodeValue", "CodeMeaning", "LongCodeValue")
    identity.EquivalentCodeSequence = Sequence([_planted_item(planter, "URNCodeValue")])
    physician.PersonIdentificationCodeSequence = Sequence([identity])


def _plant_private(dataset: Dataset, planter: Planter) -> None:
    for group, creator in ((0x0029, "SIEMENS CSA HEADER"), (0x0019, "SIEMENS MR HEADER")):
        block = dataset.private_block(group, creator, create=True)
        block.add_new(0x10, "OB", planter.octets())
        block.add_new(0x0C, "LO", planter.token())
    unknown = dataset.private_block(0x0077, planter.token(), create=True)
    unknown.add_new(0x01, "SQ", Sequence([_planted_item(planter, "PatientName")]))
    unknown.add_new(0x02, "UN", planter.octets())
    unknown.add_new(0x03, "OB", planter.octets("utf-16-le"))
    dataset.add_new(0x00791001, "LO", planter.token())  # no creator
    public = dataset.AnatomicRegionSequence[0]
    public.private_block(0x0011, "PLANTED", create=True).add_new(0x01, "LT", planter.token())


def _plant_structures(dataset: Dataset, planter: Planter) -> None:
    for tag, vr in (
        (0x60003000, "OW"),
        (0x60023000, "OW"),
        (0x50003000, "OW"),
        (0xFFFCFFFC, "OB"),
        (0x00109999, "UN"),
        (0x00420011, "OB"),
        (0x00281408, "OW"),
        (0x00283006, "OW"),
        (0x04000110, "OB"),
        (0x04000305, "OB"),
    ):
        dataset.add_new(tag, vr, planter.octets())
    dataset.add_new(0x00282000, "OB", planter.octets("utf-16-be"))  # ICC Profile
    for number in (0x60004000, 0x60000022, 0x60001500, 0x50000022, 0x40080042):
        dataset.add_new(number, "LO", planter.token())
    icon = Dataset()
    icon.add_new(0x7FE00010, "OW", planter.octets())
    dataset.IconImageSequence = Sequence([icon])
    signature = Dataset()
    signature.add_new(0x04000115, "OB", planter.octets())
    dataset.add_new(0xFFFAFFFA, "SQ", Sequence([signature]))
    encrypted = Dataset()
    encrypted.add_new(0x04000520, "OB", planter.octets())
    dataset.EncryptedAttributesSequence = Sequence([encrypted])
    planter.put(dataset, "InstanceCreatorUID", "DeviceUID", "SynchronizationFrameOfReferenceUID")
    planter.put(
        dataset,
        "DateOfLastCalibration",
        "ScheduledStudyStartDate",
        "PatientDeathDateInAlternativeCalendar",
    )


def _plant_mistyped(dataset: Dataset, planter: Planter) -> None:
    """Plant where a VR is not what the dictionary says."""
    for keyword, vr in (("EchoTime", "LT"), ("Rows", "OB")):
        wrong = Dataset()
        known = tag_for_keyword(keyword)
        assert known is not None
        value = planter.token() if vr == "LT" else planter.octets()
        wrong.add(DataElement(known, vr, value))
        dataset.add_new(0x00081199 if keyword == "Rows" else 0x00081115, "SQ", Sequence([wrong]))


def _unknown(planter: Planter, *, implicit: bool) -> bytes:
    """Encode known attributes that arrive as UN: text, a sequence, UTF-16 among numbers."""
    name = planter.octets()
    inside = struct.pack("<HHI", 0x0010, 0x0010, len(name)) + name
    entry = struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside
    return b"".join(
        struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        + (struct.pack("<I" if implicit else "<2s2xI", *(() if implicit else (b"UN",)), len(value)))
        + value
        for tag, value in (
            (0x00102297, planter.octets()),  # Responsible Person
            (0x00181060, planter.octets()),  # Trigger Time
            (0x00081110, entry),  # Referenced Study Sequence
            (0x00189089, planter.octets("utf-16-le").ljust(24, b"\0")),
        )
    )


def _copy(dataset: Dataset) -> Dataset:
    return dataset_of({element.keyword: element.value for element in dataset})
