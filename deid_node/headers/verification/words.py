"""Words of MR and of what tools write of themselves: text of nothing else tells nobody."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Final

_SHORTEST: Final = 3
_OF_TOOLS: Final = frozenset(
    {"Software library used to create this instance", "Text removed by a pixel mask"}
)
"""What highdicom writes as Contribution Description, and this program as Derivation Description."""


def is_of_mr(text: str) -> bool:
    """Whether all words of three letters or more are words of MR, and no number is long.

    Examples
    --------
    >>> is_of_mr("Head^Routine"), is_of_mr("Head of Jane"), is_of_mr("head 19420707")
    (True, False, False)
    """
    words = {word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) >= _SHORTEST}
    return text in _OF_TOOLS or (words <= _words() and not re.search(r"\d{5}", text))


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    """Read the package data, by itself: nothing of the de-identifier is shared."""
    folder = resources.files("deid_node.headers") / "data"
    texts = [(folder / name).read_text("utf-8") for name in ("mr-words.txt", "common-words.txt")]
    lines = [line for text in texts for line in text.splitlines() if line[:1] != "#"]
    return frozenset(word.lower() for line in lines for word in line.split())
