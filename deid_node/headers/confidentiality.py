"""Table E.1-1 of PS3.15 (Application Level Confidentiality Profile Attributes) as data.

The table is package data made by ``tools/build_table.py``; a new edition replaces the
file and nothing else.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Option(enum.Enum):
    """An option of the Basic Application Level Confidentiality Profile.

    The value is the name that profiles use; `headers.declaration` knows the codes.
    """

    CLEAN_PIXEL_DATA = "clean-pixel-data"
    CLEAN_RECOGNIZABLE_VISUAL_FEATURES = "clean-recognizable-visual-features"
    CLEAN_GRAPHICS = "clean-graphics"
    CLEAN_STRUCTURED_CONTENT = "clean-structured-content"
    CLEAN_DESCRIPTORS = "clean-descriptors"
    RETAIN_FULL_DATES = "retain-longitudinal-full-dates"
    RETAIN_MODIFIED_DATES = "retain-longitudinal-modified-dates"
    RETAIN_PATIENT_CHARACTERISTICS = "retain-patient-characteristics"
    RETAIN_DEVICE_IDENTITY = "retain-device-identity"
    RETAIN_UIDS = "retain-uids"
    RETAIN_SAFE_PRIVATE = "retain-safe-private"
    RETAIN_INSTITUTION_IDENTITY = "retain-institution-identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table says about one attribute.

    Parameters
    ----------
    basic
        Code of the Basic Profile: X, D, Z, U or a combination such as ``X/Z/D``.
    options
        Code of each option that overrides it: K or C.
    """

    basic: str
    options: Mapping[Option, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One edition of Table E.1-1."""

    edition: str
    rows: Mapping[int, Row]
    patterns: tuple[tuple[str, Row], ...]

    def row(self, tag: int) -> Row | None:
        """Find what the table says about a tag; None if it does not list it.

        Private attributes are not looked up here: `headers.private` settles them.
        """
        exact = self.rows.get(tag)
        if exact is not None:
            return exact
        return next((row for mask, row in self.patterns if matches(mask, tag)), None)


def matches(mask: str, tag: int) -> bool:
    """Compare a tag with eight characters of which ``x`` stands for any digit.

    Examples
    --------
    >>> matches("60xx3000", 0x60023000), matches("60xx3000", 0x60023001)
    (True, False)
    """
    return all(m in {"x", d} for m, d in zip(mask, f"{tag:08X}", strict=True))


@lru_cache(maxsize=1)
def table() -> Table:
    """Read the edition that is shipped; once in a run."""
    content = packaged("confidentiality.json")
    return Table(
        edition=content["edition"],
        rows=MappingProxyType({int(tag, 16): _row(row) for tag, row in content["rows"].items()}),
        patterns=tuple((mask, _row(row)) for mask, row in content["patterns"].items()),
    )


def packaged(name: str) -> dict[str, Any]:
    """Read one file of package data."""
    text = (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _row(entry: list[Any]) -> Row:
    options = entry[1] if len(entry) > 1 else {}
    return Row(basic=entry[0], options={Option(name): code for name, code in options.items()})
