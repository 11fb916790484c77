"""Whether what the instance says was done to it is said in full, and is borne out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from deid_node.headers.verification.checks import Remark
from deid_node.headers.verification.opened import OPTION_OF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.verification.opened import Opened

PLACEHOLDER_DAYS: Final = ("19000101", "00010101", "18000101", "19700101", "00000000")
_REMOVED: Final = 0x00120062
_METHOD: Final = 0x00120063
_METHOD_CODES: Final = 0x00120064
_BURNED_IN: Final = 0x00280301
_FACE: Final = 0x00280302
_LONGITUDINAL: Final = 0x00280303
_MODALITY: Final = 0x00080060
_BODY_PART: Final = 0x00180015
_SHIFTED_BY_DICTIONARY: Final = frozenset({0x0008010B, 0x00080106, 0x00080107})
"""Context group versions: dates of the standard."""
_BODY: Final = re.compile(
    r"(ABDOMEN|ANKLE|ARM|BREAST|CHEST|ELBOW|FOOT|HAND|HEART|HIP|KNEE|LEG|PELVIS|PROSTATE|[CLT]SPINE"
    r"|SHOULDER|THIGH|WRIST).*"
)
"""Body parts in which there is no face (Annex L of PS3.16)."""


def declared(file: Opened) -> Iterator[Remark]:
    """Check what the instance says of its own de-identification."""
    if file.text(_REMOVED).upper() != "YES":
        yield Remark("not-declared", "PatientIdentityRemoved")
    yield from _codes(file)
    yield from _dates(file)
    burned_in = file.text(_BURNED_IN).upper()
    if burned_in == "YES":
        yield Remark("burned-in", "BurnedInAnnotation")
    if "113101" in file.codes and burned_in != "NO":
        yield Remark("pixels-claim", "BurnedInAnnotation")
    yield from _face(file)


def _codes(file: Opened) -> Iterator[Remark]:
    unknown = set(file.codes) - OPTION_OF.keys() - {"113100"}
    if not file.codes and not file.texts(_METHOD):
        yield Remark("method-codes", "DeidentificationMethod")
    elif unknown or {"113106", "113107"} <= set(file.codes):
        yield Remark("method-codes", "DeidentificationMethodCodeSequence")


def _dates(file: Opened) -> Iterator[Remark]:
    said = file.text(_LONGITUDINAL).upper()
    expected = {"UNMODIFIED": {"113106"}, "MODIFIED": {"113107"}, "REMOVED": set[str]()}
    claimed = {"113106", "113107"} & set(file.codes)
    if said not in expected or (file.codes and claimed != expected[said]):
        yield Remark("dates-claim", "LongitudinalTemporalInformationModified")
    if said == "REMOVED":
        for each in file.attributes:
            dated = each.vr in {"DA", "DT"} and each.tag not in _SHIFTED_BY_DICTIONARY
            if dated and any(not text.startswith(PLACEHOLDER_DAYS) for text in each.texts):
                yield Remark("dates-remain", each.where)


def _face(file: Opened) -> Iterator[Remark]:
    said, claimed = file.text(_FACE).upper(), "113102" in file.codes
    if (said == "NO") is not claimed and (claimed or file.codes):
        yield Remark("face-claim", "RecognizableVisualFeatures")
    body = _BODY.fullmatch(file.text(_BODY_PART).upper()) is not None
    if file.text(_MODALITY) == "MR" and said != "NO" and not body:
        yield Remark("face", "RecognizableVisualFeatures")
