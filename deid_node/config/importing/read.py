"""Tell the formats apart and read either."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from deid_node.config.importing.ctp import read_ctp
from deid_node.config.importing.deid import read_deid
from deid_node.errors import ForeignProfileUnreadable

if TYPE_CHECKING:
    from deid_node.config.importing.statements import Format, Reading

_BOM: Final = b"\xef\xbb\xbf"
_RECIPE: Final = re.compile(rb"^[ \t]*(FORMAT[ \t]+\S|%[a-z]+)", re.IGNORECASE | re.MULTILINE)


def read_foreign(content: bytes, *, format: Format | None = None) -> Reading:  # noqa: A002 - the option's name
    """Read a file of de-identification rules.

    Parameters
    ----------
    content
        The file.
    format
        What it is taken for; found out by default.

    Raises
    ------
    ForeignProfileUnreadable
        If it is of neither format.
    """
    found = format or format_of(content)
    if found is None:
        raise ForeignProfileUnreadable("neither a CTP script nor a deid recipe")
    return read_ctp(content) if found == "ctp" else read_deid(content)


def format_of(content: bytes) -> Format | None:
    """Tell the format from how a file begins; None if it is neither."""
    if content.removeprefix(_BOM).lstrip()[:1] == b"<":
        return "ctp"
    return "deid" if _RECIPE.search(content) else None
