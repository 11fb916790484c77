"""Makes tokens and remembers them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR, tag_for_keyword

from tests.planted.places import LONG_TEXT

if TYPE_CHECKING:
    from pydicom import Dataset


class Planter:
    """Plants tokens and remembers them."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self._numbers = count()

    def token(self, vr: str = "LO") -> str:
        """Make a token that is a valid value of a string VR."""
        number = next(self._numbers)
        letters = "".join(chr(ord("A") + number // 26**k % 26) for k in range(3))
        day = f"{1930 + number % 60}{1 + number % 12:02}{1 + number % 28:02}"
        token, value = {
            "UI": 2 * (f"1.2.826.0.1.{777000 + number}.99",),
            "DA": (day, day),
            "DT": (day, f"{day}101112"),
            "CS": 2 * (f"QZVEX{letters}",),
            "PN": (f"QZVEX{letters}", f"QZVEX{letters}^MIRA"),
        }.get(vr, 2 * (f"qzvex{letters.lower()}",))
        self.tokens.append(token)
        return value

    def text(self) -> str:
        """Put a token between words that may stay."""
        return f"T2 {self.token()} brain"

    def octets(self, encoding: str = "ascii") -> bytes:
        """Give a token as an even number of bytes."""
        encoded = self.token().encode(encoding)
        return encoded + b"\0" * (len(encoded) % 2)

    def put(self, dataset: Dataset, *keywords: str) -> None:
        """Plant a token at each attribute, in free text with known words beside it."""
        for keyword in keywords:
            tag = tag_for_keyword(keyword)
            if tag is None:
                continue
            vr = dictionary_VR(tag)
            value = self.text() if vr in {"LO", "UC", *LONG_TEXT} else self.token(vr)
            dataset.add_new(tag, vr, [value] if keyword == "ImageType" else value)
