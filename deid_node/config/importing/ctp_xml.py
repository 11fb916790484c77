"""Read the XML of a CTP anonymizer script into its lines.

Straight from expat, which knows the line of each element. No DTD is accepted, so no entity
can be declared and nothing outside the file is ever fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from deid_node.config.importing.statements import MOST_BYTES, shown
from deid_node.errors import ForeignProfileUnreadable

_ENCODINGS: Final = frozenset({"utf-8", "us-ascii", "iso-8859-1", "latin-1", "latin1"})
_ROOT, _ENTRY = 0, 1


@dataclass(slots=True, kw_only=True)
class Entry:
    """One element below ``<script>``.

    Parameters
    ----------
    kind
        Its name: p, e, k or r.
    line
        Line of its first character, from 1.
    attributes
        As they are written.
    text
        Everything between its tags, without white space at the ends.
    """

    kind: str
    line: int
    attributes: dict[str, str]
    text: str = ""

    @property
    def is_enabled(self) -> bool:
        """Whether CTP heeds it: ``en="T"`` and nothing else."""
        return self.attributes.get("en") == "T"

    @property
    def target(self) -> str:
        """What it is about: a tag, a group, a parameter's name."""
        return self.attributes.get("t", "").strip()


def read_entries(content: bytes) -> tuple[Entry, ...]:
    """Read a script.

    Raises
    ------
    ForeignProfileUnreadable
        If it is no XML, too long, has a DOCTYPE or an encoding other than UTF-8 and
        ISO 8859-1, or if its root is not ``<script>``.
    """
    if len(content) > MOST_BYTES:
        raise ForeignProfileUnreadable(f"longer than {MOST_BYTES} bytes")
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise ForeignProfileUnreadable("line 1: the encoding is neither UTF-8 nor ISO 8859-1")
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)  # noqa: FBT003 - expat takes no keyword
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise ForeignProfileUnreadable(
            f"line {error.lineno}, column {error.offset + 1}: not well-formed XML ({why})"
        ) from None
    return tuple(reader.entries)


@dataclass(slots=True)
class _Reader:
    """The callbacks of one parser."""

    entries: list[Entry] = field(default_factory=list)
    parser: expat.XMLParserType = field(default_factory=expat.ParserCreate)
    depth: int = 0

    def __post_init__(self) -> None:
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise ForeignProfileUnreadable("line 1: the encoding is neither UTF-8 nor ISO 8859-1")

    def _doctype(self, *_declared: object) -> None:
        raise ForeignProfileUnreadable(f"line {self._line()}: a DOCTYPE is not accepted")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self.depth == _ROOT and name != "script":
            raise ForeignProfileUnreadable(
                f"line {self._line()}: the root is <{shown(name)}>, not <script>"
            )
        if self.depth == _ENTRY:
            self.entries.append(Entry(kind=name, line=self._line(), attributes=attributes))
        if self.depth > _ENTRY:
            raise ForeignProfileUnreadable(
                f"line {self._line()}: <{shown(name)}> inside another element"
            )
        self.depth += 1

    def _end(self, _name: str) -> None:
        self.depth -= 1
        if self.depth == _ENTRY:
            self.entries[-1].text = self.entries[-1].text.strip()

    def _text(self, text: str) -> None:
        if self.depth > _ENTRY:
            self.entries[-1].text += text

    def _line(self) -> int:
        return self.parser.CurrentLineNumber
