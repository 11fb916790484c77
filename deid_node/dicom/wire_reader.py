"""Read one Part 10 file after another: what stands as in the last one is found without looking.

The instances of a series differ in a few elements. Between these lie blocks of elements that
are the same bytes; where a block comes again, its elements lie where they lay before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.dicom.wire import (
    LONG_VRS,
    UNDEFINED,
    Level,
    Part10,
    Unsuited,
    end_of,
    read_meta,
    read_part10,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Span = tuple[int, int, int]
"""First byte of an element, of its value, and the first byte behind."""

_LONGEST_HEAD: Final = 12

_short_length = struct.Struct("<H").unpack_from
_long_length = struct.Struct("<I").unpack_from


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A block of elements that do not differ, and the one behind it that does.

    Parameters
    ----------
    block
        The bytes.
    spans
        Its elements, counted from its first byte.
    tag
        The element behind it; None behind the last block.
    head
        How that element begins: tag, and VR where there is one.
    """

    block: bytes
    spans: tuple[tuple[int, Span], ...]
    tag: int | None
    head: bytes


class Part10Reader:
    """Reads files; quickly where one is like the last."""

    def __init__(self) -> None:
        self._last: Part10 | None = None
        self._differing: set[int] = set()
        self._steps: tuple[_Step, ...] = ()

    def read(self, content: bytes) -> Part10:
        """Find the elements of a Part 10 file.

        Equal content gives an equal answer, whatever came before.

        Raises
        ------
        Unsuited
            As `read_part10` does.
        """
        file = self._alike(content) or self._learn(read_part10(content))
        self._last = file
        return file

    def _alike(self, content: bytes) -> Part10 | None:
        """Read a file that is like the last; None if it is not."""
        if self._last is None or not self._steps:
            return None
        syntax, at = read_meta(content)
        if syntax != self._last.transfer_syntax_uid:
            return None
        implicit = self._last.dataset.implicit
        spans = _spans(content, at, self._steps, implicit=implicit)
        if spans is None:
            return None
        return Part10(transfer_syntax_uid=syntax, dataset=Level(content, implicit, spans))

    def _learn(self, file: Part10) -> Part10:
        """See where a file differs from the last that has the same elements."""
        level, last = file.dataset, self._last
        if (
            last is None
            or last.transfer_syntax_uid != file.transfer_syntax_uid
            or last.dataset.spans.keys() != level.spans.keys()
        ):
            self._differing, self._steps = set(), ()
            return file
        self._differing |= {
            tag for tag in level.spans if level.whole(tag) != last.dataset.whole(tag)
        }
        self._steps = tuple(_steps(level, self._differing))
        return file


def _spans(
    content: bytes, at: int, steps: tuple[_Step, ...], *, implicit: bool
) -> dict[int, Span] | None:
    """Find every element of a file that is like another; None if it is not."""
    spans: dict[int, Span] = {}
    for step in steps:
        if not content.startswith(step.block, at):
            return None
        for tag, (start, value, stop) in step.spans:
            spans[tag] = (start + at, value + at, stop + at)
        at += len(step.block)
        if step.tag is not None:
            span = _span(content, at, step, implicit=implicit)
            if span is None:
                return None
            spans[step.tag] = span
            at = span[2]
    return spans if at == len(content) else None


def _steps(level: Level, differing: set[int]) -> Iterator[_Step]:
    """Part a file into blocks and the elements that differ."""
    head = 4 if level.implicit else 6
    block: dict[int, Span] = {}
    for tag, span in level.spans.items():
        if tag in differing:
            yield _step(level, block, tag, level.source[span[0] : span[0] + head])
            block = {}
        else:
            block[tag] = span
    yield _step(level, block, None, b"")


def _step(level: Level, block: Mapping[int, Span], tag: int | None, head: bytes) -> _Step:
    spans = list(block.values())
    first = spans[0][0] if spans else 0
    stop = spans[-1][2] if spans else 0
    return _Step(
        block=level.source[first:stop],
        spans=tuple(
            (known, (start - first, value - first, end - first))
            for known, (start, value, end) in block.items()
        ),
        tag=tag,
        head=head,
    )


def _span(content: bytes, at: int, step: _Step, *, implicit: bool) -> Span | None:
    """Find the end of the element behind a block; None if it is another."""
    if at + _LONGEST_HEAD > len(content) or not content.startswith(step.head, at):
        return None
    vr = step.head[4:]
    if implicit:
        value, (length,) = at + 8, _long_length(content, at + 4)
    elif vr in LONG_VRS:
        value, (length,) = at + 12, _long_length(content, at + 8)
    else:
        value, (length,) = at + 8, _short_length(content, at + 6)
    stop = value + length
    if length == UNDEFINED:
        try:
            stop = end_of(content, step.tag or 0, value, len(content), implicit=implicit, vr=vr)
        except Unsuited:
            return None
    return at, value, stop
