"""One file of the folder that is verified, opened and laid out flat."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from deid_node.headers.verification.attributes import Unparsable, attributes_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deid_node.headers.verification.attributes import Attribute

OPTION_OF: Final = {
    "113101": "clean-pixel-data",
    "113102": "clean-recognizable-visual-features",
    "113103": "clean-graphics",
    "113104": "clean-structured-content",
    "113105": "clean-descriptors",
    "113106": "retain-longitudinal-full-dates",
    "113107": "retain-longitudinal-modified-dates",
    "113108": "retain-patient-characteristics",
    "113109": "retain-device-identity",
    "113110": "retain-uids",
    "113111": "retain-safe-private",
    "113112": "retain-institution-identity",
}
"""CID 7050 without 113100, by the names that Table E.1-1 has in the package data."""

_METHODS: Final = 0x00120064
_CODE_VALUE: Final = 0x00080100


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file as it is verified.

    Parameters
    ----------
    preamble
        The first 128 bytes.
    meta
        File meta information.
    attributes
        Every attribute at every depth but Pixel Data.
    """

    preamble: bytes
    meta: Dataset
    attributes: tuple[Attribute, ...]

    def text(self, tag: int) -> str:
        """First value of an attribute of the top level; empty if there is none."""
        return next(iter(self.texts(tag)), "")

    def texts(self, tag: int) -> tuple[str, ...]:
        """Values of an attribute of the top level."""
        return self._top[tag].texts if tag in self._top else ()

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Code values of the De-identification Method Code Sequence."""
        inside = (_METHODS, _CODE_VALUE)
        return tuple(t for each in self.attributes if each.path == inside for t in each.texts)

    @cached_property
    def options(self) -> frozenset[str]:
        """Options of PS3.15 that the codes claim."""
        return frozenset(OPTION_OF[code] for code in self.codes if code in OPTION_OF)

    @cached_property
    def _top(self) -> dict[int, Attribute]:
        return {each.tag: each for each in self.attributes if len(each.path) == 1}


class NotPart10(ValueError):
    """The bytes are no DICOM Part 10 file."""


def opened(part10: bytes) -> Opened:
    """Open one file.

    Raises
    ------
    NotPart10
        If it has no DICOM prefix.
    Unparsable
        If it breaks off or cannot be parsed as a whole.
    """
    if part10[128:132] != b"DICM":
        raise NotPart10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their text quotes values
        try:
            dataset = dcmread(io.BytesIO(part10))
        except InvalidDicomError:
            raise NotPart10 from None
        except Exception:  # noqa: BLE001 - pydicom raises many kinds, and their text quotes values
            raise Unparsable from None
        attributes = tuple(attributes_of(dataset))
    if not attributes:
        raise Unparsable
    return Opened(preamble=part10[:128], meta=dataset.file_meta, attributes=attributes)
