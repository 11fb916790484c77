"""What lies around and beside the attributes: preamble, file meta information, leftovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.headers.verification.checks import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.verification.attributes import Attribute
    from deid_node.headers.verification.opened import Opened

_SOURCES: Final = frozenset(
    {0x00020016, 0x00020017, 0x00020018, 0x00020026, 0x00020027, 0x00020028, 0x00020100, 0x00020102}
)
"""Source, sending and receiving AE titles and presentation addresses; private information."""
_META: Final = frozenset(
    {0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013}
)
_SAME: Final = ((0x00020002, 0x00080016), (0x00020003, 0x00080018))
"""SOP Class and SOP Instance UID: file meta information and dataset."""
_TRAILING_PADDING: Final = 0xFFFCFFFC
_ICON: Final = 0x00880200
_HIDDEN: Final = frozenset({_ICON, 0x00420011, 0xFFFAFFFA, 0x04000500, 0x04000561, 0x04000550})
"""Icon, encapsulated document, signatures, encrypted, original and modified attributes."""
_CURVES: Final = 0x5000
_OVERLAYS: Final = 0x6000
"""First of the repeating groups, PS3.5 section 7.6."""
_DRAWN: Final = frozenset({0x0022, 0x0045, 0x1500, 0x3000, 0x4000})


def structure(file: Opened) -> Iterator[Remark]:
    """Check what lies around and beside the attributes."""
    if file.preamble.strip(b"\0"):
        yield Remark("preamble")
    yield from _meta(file)
    for each in file.attributes:
        yield from _beside(each, cleaned="clean-graphics" in file.options)


def is_hidden(tag: int) -> bool:
    """Whether an attribute holds what no other check can look into."""
    group, element = tag >> 16, tag & 0xFFFF
    curve = group & 0xFF01 == _CURVES and element != 0
    return curve or _is_overlay(tag) or tag in _HIDDEN


def _is_overlay(tag: int) -> bool:
    return tag >> 16 & 0xFF01 == _OVERLAYS and tag & 0xFFFF in _DRAWN


def _meta(file: Opened) -> Iterator[Remark]:
    for tag in map(int, file.meta.keys()):
        where = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        if tag in _SOURCES:
            yield Remark("meta-source", where)
        elif tag not in _META:
            yield Remark("meta-unknown", where)
    for meta, dataset in _SAME:
        written = file.meta.get_item(meta) if meta in file.meta else None
        value = getattr(written, "value", None)
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
        if text.strip(" \0") != file.text(dataset):
            yield Remark("meta-uid", f"({meta >> 16:04X},{meta & 0xFFFF:04X})")


def _beside(each: Attribute, *, cleaned: bool) -> Iterator[Remark]:
    if is_hidden(each.tag) and each.n_values:
        if not (cleaned and _is_overlay(each.tag)):
            yield Remark("hidden-content", each.where)
    elif each.tag == _TRAILING_PADDING:
        yield Remark("hidden-content" if each.n_values else "leftover", each.where)
    elif each.tag & 0xFFFF == 0:
        yield Remark("leftover", each.where)
