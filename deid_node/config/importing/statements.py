"""What the lines of a foreign set of rules come to: expressed, refused, or already so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from deid_node.headers.confidentiality import matches

if TYPE_CHECKING:
    from deid_node.headers.confidentiality import Option
    from deid_node.headers.profile import Action

Format = Literal["ctp", "deid"]

NOUNS: Final[dict[Format, str]] = {"ctp": "CTP script", "deid": "deid recipe"}
MOST_BYTES: Final = 4 * 1024 * 1024
"""The longest file that is read. The longest script that CTP ships has a fortieth of it."""

_LONGEST: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one line asks for.

    Parameters
    ----------
    action
        The action of this node that does it.
    value
        New value; with `Action.SET` only.
    remark
        In what the action differs from what the line asks for; empty if in nothing.
    """

    action: Action
    value: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A line that the profile expresses.

    Parameters
    ----------
    line
        Where it stands, from 1.
    said
        The line's own words, cut to printable ASCII.
    tags
        The attributes that it decides about, in the order of the source.
    mask
        Instead of tags: eight characters, ``x`` for any digit.
    meaning
        What becomes of them.
    """

    line: int
    said: str
    tags: tuple[int, ...] = ()
    mask: str = ""
    meaning: Meaning

    def covers(self, tag: int) -> bool:
        """Whether the line names a tag, or its mask matches it."""
        return tag in self.tags or (bool(self.mask) and matches(self.mask, tag))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A line that the profile cannot express.

    Parameters
    ----------
    line
        Where it stands, from 1.
    about
        Keyword of the attribute, or what else the line is about.
    said
        The line's own words, cut to printable ASCII.
    reason
        Why not; ends in what to write instead where there is something.
    tags
        The attributes it is about, if they are known.
    is_about_all
        Whether it changes what no other line names.
    """

    line: int
    about: str
    said: str
    reason: str
    tags: tuple[int, ...] = ()
    is_about_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something the person who imports has to know about a line that is expressed."""

    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that a file says.

    Parameters
    ----------
    format
        Which of the formats it is.
    statements
        What a profile expresses by rules; no two of them name one tag.
    refusals
        What it cannot express.
    remarks
        What is expressed with a difference.
    by_node
        Lines that ask for what the node does by itself, under every profile.
    disabled
        How many lines are switched off.
    unlisted_line
        The line that removes what no other line names, if there is one.
    options
        Options of PS3.15 that a line asks for.
    """

    format: Format
    statements: tuple[Statement, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    remarks: tuple[Remark, ...] = ()
    by_node: tuple[int, ...] = ()
    disabled: int = 0
    unlisted_line: int | None = None
    options: frozenset[Option] = field(default_factory=frozenset)

    @property
    def noun(self) -> str:
        """What the file is called in a sentence."""
        return NOUNS[self.format]


def shown(text: str) -> str:
    r"""Cut foreign text down to one short line of printable ASCII.

    Examples
    --------
    >>> shown("@hash(this,\n 10)")
    '@hash(this, 10)'
    """
    line = " ".join(text.split())
    line = "".join(c if c.isascii() and c.isprintable() else "?" for c in line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
