"""What only shows when files are seen together: identities that part or meet, dangling references."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.datadict import keyword_for_tag

from deid_node.headers.verification.checks import Remark
from deid_node.headers.verification.texts import looks_of, person_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deid_node.headers.verification.opened import Opened

_SOP_INSTANCE: Final = 0x00080018
_REFERENCED: Final = frozenset({0x00081155, 0x00041511, 0x30060024})
_NEUTRAL_WORDS: Final = frozenset(
    {
        "dcm",
        "dicom",
        "dicomdir",
        "dicoms",
        "mr",
        "mri",
        "ct",
        "seg",
        "sr",
        "im",
        "img",
        "image",
        "images",
        "instance",
        "instances",
        "slice",
        "series",
        "ser",
        "study",
        "std",
        "st",
        "se",
        "sub",
        "ses",
        "subject",
        "patient",
        "pat",
        "p",
        "s",
        "i",
        "case",
        "anat",
        "head",
        "brain",
        "out",
        "output",
        "clean",
        "deid",
        "defaced",
        "t1",
        "t2",
        "t1w",
        "t2w",
        "flair",
        "dwi",
        "ax",
        "sag",
        "cor",
        "nii",
        "gz",
        "axial",
        "sagittal",
        "coronal",
    }
)
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")
_RANDOM: Final = re.compile(r"[0-9a-fA-F]{8,}|[0-9a-fA-F-]{32,}|[A-Z0-9]{16,}")
_EXTENSIONS: Final = (".dcm", ".dicom", ".ima", ".img")

IDENTITIES: Final = (
    (0x00100020, 0x00100030),  # Patient ID: birth date
    (0x00100020, 0x00100010),  # name
    (0x00100020, 0x00100040),  # sex
    (0x0020000D, 0x00100020),  # Study: Patient ID
    (0x0020000D, 0x00080020),  # date
    (0x0020000E, 0x0020000D),  # Series: Study
    (0x00200052, 0x00100020),  # Frame of Reference: Patient ID
)
"""Of the first attribute one value goes with one value of the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What of one file is compared with others. Never to be shown.

    Parameters
    ----------
    sop_instance_uid
        Of the instance.
    identities
        Value of each attribute in `IDENTITIES`.
    references
        Path and SOP Instance UID of each reference.
    names
        Words of person names that are no pseudonyms.
    """

    sop_instance_uid: str
    identities: dict[int, str]
    references: tuple[tuple[str, str], ...]
    names: frozenset[str]


def facts_of(file: Opened) -> Facts:
    """Pick from one file what is compared with others."""
    tags = {tag for pair in IDENTITIES for tag in pair}
    return Facts(
        sop_instance_uid=file.text(_SOP_INSTANCE),
        identities={tag: file.text(tag) for tag in tags},
        references=tuple(
            (each.where, text)
            for each in file.attributes
            if each.tag in _REFERENCED
            for text in each.texts
        ),
        names=frozenset(
            word
            for each in file.attributes
            if each.vr == "PN"
            for text in each.texts
            for word in person_words(text)
        ),
    )


def compared(facts: Mapping[str, Facts]) -> Iterator[tuple[str, Remark]]:
    """Compare all files.

    Parameters
    ----------
    facts
        By the path of the file.

    Yields
    ------
    tuple of str and Remark
        Path of the file that it is about.
    """
    yield from _dangling(facts)
    yield from _repeated(facts)
    for one, other in IDENTITIES:
        yield from _split(facts, one, other)


def named(path: str, names: frozenset[str]) -> Iterator[Remark]:
    """Check the name of a file and of its folders, relative to the folder that is verified.

    Parameters
    ----------
    path
        With ``/`` between its parts.
    names
        Words of person names in the folder.
    """
    parts = [_without_extension(part) for part in path.split("/")]
    telling = [part for part in parts if not (_UID.fullmatch(part) or _RANDOM.fullmatch(part))]
    text = " ".join(telling)
    spaced = re.sub(r"[_^,;+]+", " ", text)
    words = {word.lower() for word in re.findall(r"[^\W\d_]+", text)}
    numbers = re.findall(r"\d{7,}", text)
    if words & names or "text-name" in looks_of(text) or _looks_dated(spaced) or numbers:
        yield Remark("file-name")
    elif words - _NEUTRAL_WORDS:
        yield Remark("file-words")


def _without_extension(part: str) -> str:
    lower = part.lower()
    return next((part[: -len(end)] for end in _EXTENSIONS if lower.endswith(end)), part)


def _looks_dated(text: str) -> bool:
    return "text-date" in looks_of(re.sub(r"[A-Za-z]", " ", text))


def _dangling(facts: Mapping[str, Facts]) -> Iterator[tuple[str, Remark]]:
    here = {each.sop_instance_uid for each in facts.values()}
    for path, each in facts.items():
        for where in sorted({where for where, uid in each.references if uid not in here}):
            yield path, Remark("reference", where)


def _repeated(facts: Mapping[str, Facts]) -> Iterator[tuple[str, Remark]]:
    seen: set[str] = set()
    for path, each in facts.items():
        if each.sop_instance_uid and each.sop_instance_uid in seen:
            yield path, Remark("same-uid", "SOPInstanceUID")
        seen.add(each.sop_instance_uid)


def _split(facts: Mapping[str, Facts], one: int, other: int) -> Iterator[tuple[str, Remark]]:
    """Remark each file whose second attribute differs from that of the first such file."""
    first: defaultdict[str, str] = defaultdict(str)
    for path, each in facts.items():
        key, value = each.identities[one], each.identities[other]
        if key and value and first.setdefault(key, value) != value:
            yield path, Remark("patient-split", keyword_for_tag(other))
