"""Where an attribute lies: keywords, tags or masks, with slashes between levels of nesting.

``RequestAttributesSequence/ScheduledProtocolCodeSequence`` is one attribute of one
sequence; ``*`` stands for any attribute at one level, a leading ``**/`` for any depth.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword

from deid_node.headers.confidentiality import matches

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY: Final = "x" * 8
"""Mask of any attribute."""

_TAG: Final = re.compile(r"\(?([0-9a-fA-FxX]{4}),?([0-9a-fA-FxX]{4})\)?")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_LONGEST_KEYWORD: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMask:
    """Which paths of nested attributes a rule means.

    Parameters
    ----------
    steps
        A mask of eight characters for each level, the attribute itself last.
    any_depth
        Whether sequences may lie above the first step.
    """

    steps: tuple[str, ...]
    any_depth: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it means one path only."""
        return not self.any_depth and not any("x" in step for step in self.steps)

    def matches(self, path: Sequence[int]) -> bool:
        """Whether it means the attribute at a path of tags."""
        if len(path) < len(self.steps) or (len(path) > len(self.steps) and not self.any_depth):
            return False
        return _agree(self.steps, path[len(path) - len(self.steps) :])

    def leads_into(self, path: Sequence[int]) -> bool:
        """Whether it names something inside the sequence at a path.

        A mask that may mean any top-level sequence, or any depth, leads into none.
        """
        if self.any_depth or self.steps[0] == ANY or len(path) >= len(self.steps):
            return False
        return _agree(self.steps[: len(path)], path)


def mask_of(written: str) -> str:
    """Read a keyword, a ``(gggg,eeee)`` or a mask as eight characters.

    Raises
    ------
    ValueError
        If it is none of these; the message offers similar keywords.

    Examples
    --------
    >>> mask_of("PatientName"), mask_of("(0040,A073)"), mask_of("60xx,4000")
    ('00100010', '0040A073', '60xx4000')
    """
    tag = tag_for_keyword(written) if written else None  # retired attributes have no keyword
    if tag is not None:
        return f"{tag:08X}"
    numbered = _TAG.fullmatch(written)
    if numbered is None:
        raise ValueError(f"{_shown(written)} is no keyword and no tag{_offer(written)}")
    return "".join(numbered.groups()).upper().replace("X", "x")


def path_mask(written: str) -> PathMask:
    """Read a path with masks, ``*`` and a leading ``**/``.

    Raises
    ------
    ValueError
        If a step is no keyword, tag, mask or ``*``.

    Examples
    --------
    >>> path_mask("**/(0040,A043)/CodeMeaning").steps
    ('0040A043', '00080104')
    """
    any_depth, rest = written.startswith("**/"), written.removeprefix("**/")
    steps = tuple(ANY if step == "*" else mask_of(step) for step in rest.split("/"))
    if set(steps) == {ANY}:
        raise ValueError("a path names at least one attribute")
    return PathMask(steps=steps, any_depth=any_depth)


def path_of(written: str) -> tuple[int, ...]:
    """Read the path of one attribute, without masks.

    Raises
    ------
    ValueError
        If a step is no keyword and no tag.
    """
    masks = [mask_of(step) for step in written.split("/")]
    if any("x" in mask for mask in masks):
        raise ValueError(f"{_shown(written)} is a mask; name one attribute")
    return tuple(int(mask, 16) for mask in masks)


def _agree(steps: Sequence[str], path: Sequence[int]) -> bool:
    return all(matches(step, tag) for step, tag in zip(steps, path, strict=True))


def _offer(written: str) -> str:
    if not _KEYWORD.fullmatch(written) or len(written) > _LONGEST_KEYWORD:
        return ""
    close = difflib.get_close_matches(written, _keywords(), n=3, cutoff=0.75)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _shown(written: str) -> str:
    """Keep a message on one line, whatever was written."""
    return " ".join(written.split())[:_LONGEST_KEYWORD] or "an empty name"


@lru_cache(maxsize=1)
def _keywords() -> tuple[str, ...]:
    return tuple(entry[4] for entry in DicomDictionary.values() if entry[4])
