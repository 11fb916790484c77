"""What a second look searches for: the words, numbers and UIDs that a source says of a person.

What is not searched for, so that false holds stay rare:

* words with fewer than three letters (two where one letter is a syllable or a word, as in
  Chinese, Japanese and Korean), and words that are also words of MR, of placeholders or of
  what the node itself writes (`common_words`): a patient named "Brain Test", or Mr. Basic,
  would hold every series;
* IDs with fewer than four characters, or than six if all are digits (a Patient ID "4000" is
  also a repetition time); telephone numbers with fewer than seven digits; days that are
  placeholders; words of an address with fewer than five letters;
* names of three or four letters inside longer words, and IDs, dates, telephone numbers and
  words of an address inside longer ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACEHOLDER_DAYS: Final = frozenset({"19000101", "00010101", "19700101", "00000000"})
SHORTEST_NAME: Final = 3
SHORTEST_SYLLABLES: Final = 2
LONGEST_SHORT_NAME: Final = 4
SHORTEST_ID: Final = 4
SHORTEST_NUMBER: Final = 6
SHORTEST_TELEPHONE: Final = 7
SHORTEST_ADDRESS_WORD: Final = 5
SHORTEST_RAW: Final = 4

_IDS: Final = frozenset(
    {
        "PatientID",
        "AccessionNumber",
        "StudyID",
        "AdmissionID",
        "MedicalRecordLocator",
        "OtherPatientIDs",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "PerformedProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberProcedure",
        "FillerOrderNumberProcedure",
        "ServiceEpisodeID",
        "InsurancePlanIdentification",
    }
)
_TELECOM: Final = frozenset(
    {
        "PatientTelephoneNumbers",
        "PatientTelecomInformation",
        "PersonTelephoneNumbers",
        "PersonTelecomInformation",
        "ReferringPhysicianTelephoneNumbers",
        "OrderCallbackPhoneNumber",
        "OrderCallbackTelecomInformation",
    }
)
_ADDRESSES: Final = frozenset({"PatientAddress"})
_OF_EVERY_ADDRESS: Final = frozenset(
    {"street", "strasse", "straße", "avenue", "square", "platz", "drive", "court", "place"}
)
TELLING: Final = frozenset(
    tag_for_keyword(keyword) or 0 for keyword in (_IDS | _TELECOM | _ADDRESSES)
)
"""Tags that are read whatever their VR."""
TELLING_VRS: Final = frozenset({"PN", "DA", "DT", "UI"})

_STANDARD_ARC: Final = "1.2.840.10008."
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_FIRST_IDEOGRAPH: Final = "\u2e80"
_ESCAPE: Final = re.compile(rb"\x1b[\x20-\x2f]*[\x30-\x7e]")
"""ISO 2022 code extension (PS3.5 6.1.2.5)."""
_TELEPHONE: Final = re.compile(r"\+?[0-9](?:[ ()/.-]{0,3}[0-9])+")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """One thing to search for.

    Parameters
    ----------
    keyword
        Attribute of the source that it comes from.
    encoding
        How it is written.
    pattern
        The bytes; ASCII letters in lower case.
    whole
        Whether it counts only where no letter, digit or dot touches it.
    """

    keyword: str
    encoding: str
    pattern: bytes
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What the source says about the person. Never to be logged or shown.

    Join those of several instances with ``|``.

    Parameters
    ----------
    needles
        Words and numbers, as bytes.
    uids, telephones
        Keyword and UID; keyword and the digits of a telephone number.
    """

    needles: frozenset[Needle] = frozenset()
    uids: frozenset[tuple[str, str]] = frozenset()
    telephones: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: Identifiers) -> Identifiers:
        """Join two."""
        return Identifiers(
            needles=self.needles | other.needles,
            uids=self.uids | other.uids,
            telephones=self.telephones | other.telephones,
        )

    def __repr__(self) -> str:
        """Count, and show nothing."""
        counts = (len(self.needles), len(self.uids), len(self.telephones))
        return "Identifiers({} needles, {} UIDs, {} telephone numbers)".format(*counts)


@lru_cache(maxsize=1)
def common_words() -> frozenset[str]:
    """Words that an output may rightly hold, in lower case; package data."""
    text = (resources.files(__package__) / "data" / "common-words.txt").read_text(encoding="utf-8")
    return frozenset(w for line in text.splitlines() if line[:1] != "#" for w in line.split())


def is_telling(keyword: str, vr: str) -> bool:
    """Whether the values of an attribute are searched for."""
    return vr in TELLING_VRS or keyword in _IDS or keyword in _TELECOM or keyword in _ADDRESSES


def encodings_of(declared: Iterable[str]) -> tuple[str, ...]:
    """List the encodings that a text may turn up in.

    Parameters
    ----------
    declared
        Values of Specific Character Set.
    """
    names = [name.strip(" \0") for name in declared]
    known = [python_encoding[name] for name in names if name in python_encoding]
    return tuple(dict.fromkeys(["utf-8", *known, "latin-1", "utf-16-le", "utf-16-be"]))


def identifiers_in(
    keyword: str, vr: str, value: bytes | str, encodings: tuple[str, ...]
) -> Identifiers:
    """Collect what one element tells.

    Parameters
    ----------
    keyword, vr
        Of the attribute.
    value
        As it is in the source; values are parted by backslashes.
    encodings
        From `encodings_of`.
    """
    texts = [part.strip(" \0") for text in readings(value, encodings) for part in text.split("\\")]
    if vr == "UI":
        uids = {(keyword, text) for text in texts if not text.startswith(_STANDARD_ARC)}
        return Identifiers(uids=frozenset(uids))
    needles: dict[bytes, Needle] = {}
    for text in texts:
        for word, whole in _words(keyword, vr, text):
            for encoding, pattern in _patterns(word, encodings):
                needle = Needle(keyword=keyword, encoding=encoding, pattern=pattern, whole=whole)
                needles.setdefault(pattern, needle)
    if vr == "PN" and isinstance(value, bytes):
        for pattern in _between_escapes(value):
            needle = Needle(keyword=keyword, encoding="raw", pattern=pattern, whole=False)
            needles.setdefault(pattern, needle)
    telephones = {
        (keyword, form) for text in texts if keyword in _TELECOM for form in _telephone_forms(text)
    }
    return Identifiers(needles=frozenset(needles.values()), telephones=frozenset(telephones))


def readings(value: bytes | str, encodings: tuple[str, ...]) -> Iterator[str]:
    """Text of a value; of bytes beyond ASCII every reading, for one of them is right."""
    if isinstance(value, str):
        yield value
    elif b"\x1b" in value:
        plain = _ESCAPE.sub(b"", value)
        for encoding in encodings:
            extended = encoding.startswith("iso2022")
            try:
                yield (value if extended else plain).decode(encoding)
            except (UnicodeDecodeError, LookupError):
                continue
    elif value.isascii():
        yield value.decode("ascii")
    else:
        for encoding in encodings:
            try:
                yield value.decode(encoding)
            except (UnicodeDecodeError, LookupError):
                continue


def _words(keyword: str, vr: str, text: str) -> Iterator[tuple[str, bool]]:
    """Give what to search for, and whether it must stand alone."""
    if vr == "PN":
        yield from _name_words(text)
    elif vr in {"DA", "DT"}:
        birth = keyword == "PatientBirthDate"
        yield from ((form, True) for form in _day_forms(text[:8], birth=birth))
    elif keyword in _ADDRESSES:
        words = re.findall(r"[^\W\d_]+", text)
        long = [word for word in words if len(word) >= SHORTEST_ADDRESS_WORD]
        yield from ((word, True) for word in long if not _is_common(word))
    else:
        shortest = SHORTEST_NUMBER if text.isdigit() else SHORTEST_ID
        if len(text) >= shortest and not _is_common(text):
            yield text, True
        yield from ((email, True) for email in _EMAIL.findall(text) if email != text)


def _name_words(text: str) -> Iterator[tuple[str, bool]]:
    for word in re.findall(r"[^\W\d_]+", text):
        syllables = any(letter >= _FIRST_IDEOGRAPH for letter in word)
        shortest = SHORTEST_SYLLABLES if syllables else SHORTEST_NAME
        if len(word) >= shortest and word.lower() not in common_words():
            yield word, len(word) <= LONGEST_SHORT_NAME and not syllables


def _is_common(word: str) -> bool:
    return word.lower() in common_words() or word.lower() in _OF_EVERY_ADDRESS


def _day_forms(day: str, *, birth: bool) -> list[str]:
    if len(day) != len("YYYYMMDD") or not day.isdigit() or day in PLACEHOLDER_DAYS:
        return []
    year, month, number = day[:4], day[4:6], day[6:]
    if not birth:
        return [day]
    name = _MONTHS[(int(month) - 1) % len(_MONTHS)]
    return [
        day,
        f"{number}{month}{year}",
        f"{number}{name}{year}",
        f"{number}-{name}-{year}",
        *(f"{year}{mark}{month}{mark}{number}" for mark in "-./"),
        *(f"{number}{mark}{month}{mark}{year}" for mark in "-./"),
        *(f"{month}{mark}{number}{mark}{year}" for mark in "-./"),
    ]


def _telephone_forms(text: str) -> Iterator[str]:
    """Digits of the telephone numbers in a text, without leading zeros.

    Of an international number the forms without a country code of one to three digits too.
    """
    for written in _TELEPHONE.findall(text):
        digits = "".join(re.findall("[0-9]", written))
        international = written.startswith(("+", "00"))
        for n_country in range(4 if international else 1):
            form = digits.lstrip("0")[n_country:].lstrip("0")
            if len(form) >= SHORTEST_TELEPHONE:
                yield form


def _patterns(word: str, encodings: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Write a word in each encoding; beyond ASCII in lower, upper and title case."""
    cases = {word.lower()} if word.isascii() else {word, word.lower(), word.upper(), word.title()}
    for encoding in encodings:
        for case in sorted(cases):
            try:
                pattern = case.encode(encoding).lower()
            except (UnicodeEncodeError, LookupError):
                continue
            yield encoding, pattern
            bare = _ESCAPE.sub(b"", case.encode(encoding)).lower()
            if bare != pattern and len(bare) >= SHORTEST_RAW:
                yield encoding, bare


def _between_escapes(value: bytes) -> list[bytes]:
    """Give the runs of a name's bytes between escapes and delimiters, where it has escapes.

    They are searched for as they are: a character set may be undeclared, or unknown here.
    """
    if b"\x1b" not in value:
        return []
    runs = re.findall(rb"\x1b\x24[\x20-\x2f]*[\x30-\x7e]([^\x1b^=\\]+)", value)
    return [run.lower() for run in runs if len(run) >= SHORTEST_RAW]


def joined(parts: Iterable[Identifiers]) -> Identifiers:
    """Join many at once."""
    found = list(parts)
    return Identifiers(
        needles=frozenset().union(*(each.needles for each in found)),
        uids=frozenset().union(*(each.uids for each in found)),
        telephones=frozenset().union(*(each.telephones for each in found)),
    )
