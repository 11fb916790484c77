"""Say in a dataset what was done to it: PS3.15 E.1.1 and E.3, CID 7050."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.headers.confidentiality import Option
from deid_node.headers.profile import Action, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deid_node.headers.scrub import Deed

BASIC: Final = ("113100", "Basic Application Confidentiality Profile")
CODES: Final = {
    Option.CLEAN_PIXEL_DATA: ("113101", "Clean Pixel Data Option"),
    Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES: (
        "113102",
        "Clean Recognizable Visual Features Option",
    ),
    Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.RETAIN_FULL_DATES: (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    Option.RETAIN_MODIFIED_DATES: (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    Option.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
}
"""Codes and meanings of CID 7050."""

_REPLACING: Final = frozenset(
    {Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.SET, Action.PSEUDONYM}
)
"""Actions after which nothing of the old value is left."""

_TEXT_LENGTH: Final = 64
"""Longest value of VR LO."""


def declare(
    dataset: Dataset,
    *,
    profile: Profile,
    deeds: Iterable[Deed],
    face_removed: bool,
    node: str = "deid-node",
    recipe: str = "",
) -> Dataset:
    """Add to a scrubbed dataset what was done to it.

    Everything follows from the deeds, so an option that found nothing to keep or clean in
    this instance is not claimed, and the Basic Profile is not claimed where a rule of the
    profile was weaker than it.

    Parameters
    ----------
    dataset
        Scrubbed; it is not changed. Earlier declarations are replaced.
    profile
        The profile that was applied.
    deeds
        What `scrub` reports for this instance.
    face_removed
        Whether the face was removed from the pixels, and that was checked.
    node
        Name and version of the program.
    recipe
        Short digest of the recipe; nothing that identifies a patient.

    Returns
    -------
    Dataset
        A copy with (0012,0062), (0012,0063), (0012,0064), (0028,0302) and (0028,0303).
        (0028,0301) is NO if a deed says that pixel data was cleaned of text; else it stays as
        the source states it.
    """
    done = tuple(deeds)
    declared = Dataset()
    declared.update(dataset)
    method = [node, f"profile {profile.name} {profile.version}", f"PS3.15 {profile.edition}"]
    if recipe:
        method.append(f"recipe {recipe}")
    _set(declared, 0x00120062, "YES")
    _set(declared, 0x00120063, [part[:_TEXT_LENGTH] for part in method])
    _set(declared, 0x00120064, Sequence([_coded(*code) for code in _codes(done, face_removed)]))
    _set(declared, 0x00280303, _longitudinal(done))
    if any(deed.option is Option.CLEAN_PIXEL_DATA for deed in done):
        _set(declared, 0x00280301, "NO")
    if face_removed:
        _set(declared, 0x00280302, "NO")
    elif declared.get("RecognizableVisualFeatures") == "NO":
        del declared[0x00280302]  # somebody else's claim, which was not checked
    return declared


def codes_of(deeds: Iterable[Deed], *, face_removed: bool) -> tuple[str, ...]:
    """CID 7050 code values that the deeds bear out, in ascending order."""
    return tuple(value for value, _ in _codes(tuple(deeds), face_removed))


def _codes(deeds: tuple[Deed, ...], face_removed: bool) -> list[tuple[str, str]]:  # noqa: FBT001 - private
    options = {deed.option for deed in deeds if deed.option is not None}
    if face_removed:
        options.add(Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES)
    basic = [] if any(deed.departs for deed in deeds) else [BASIC]
    return sorted([*basic, *(CODES[option] for option in options)])


def _longitudinal(deeds: tuple[Deed, ...]) -> str:
    """Longitudinal Temporal Information Modified, PS3.15 E.3.6.

    It tells of every date and time that stayed, under an option or by a rule alone. Times of
    day without their dates, and some dates moved beside others kept, count as modified.
    """
    stayed = [deed for deed in deeds if deed.action not in _REPLACING and _is_temporal(deed)]
    if not stayed:
        return "REMOVED"
    whole = [deed.option is Option.RETAIN_FULL_DATES or _vr_of(deed) != "TM" for deed in stayed]
    kept = all(deed.action is Action.KEEP for deed in stayed)
    return "UNMODIFIED" if kept and any(whole) else "MODIFIED"


def _is_temporal(deed: Deed) -> bool:
    return _vr_of(deed) in {"DA", "DT", "TM"}


def _vr_of(deed: Deed) -> str:
    tag = deed.path[-1]
    return dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"


def _coded(value: str, meaning: str) -> Dataset:
    entry = Dataset()
    _set(entry, 0x00080100, value)
    _set(entry, 0x00080102, "DCM")
    _set(entry, 0x00080104, meaning)
    return entry


def _set(dataset: Dataset, tag: int, value: object) -> None:
    dataset.add_new(tag, dictionary_VR(tag), value)
