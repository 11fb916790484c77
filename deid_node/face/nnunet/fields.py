"""Take numbers and words out of values that a stranger's file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ForeignModelRefused
from deid_node.face.nnunet.names import Array

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

LONGEST_WORD: Final = 80
MOST_MM: Final = 1000.0
MOST_VOXELS: Final = 1024
HIGHEST_SPLINE: Final = 5


class Fields:
    """A mapping of a plans file, and what it belongs to.

    Parameters
    ----------
    values
        The mapping; anything else is refused.
    what
        What it is, for refusals.
    """

    def __init__(self, values: object, what: str) -> None:
        if not isinstance(values, dict):
            raise ForeignModelRefused(f"{what} is not the mapping that nnU-Net writes")
        self._values = values
        self.what = what

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def raw(self, key: str) -> Any:  # noqa: ANN401 - any value of the file
        """Give a value as it is, None if there is none."""
        return self._values.get(key)

    def everything(self) -> dict[Any, Any]:
        """Give the mapping itself."""
        return self._values

    def inner(self, key: str) -> Fields:
        """Give a mapping inside."""
        return Fields(self.raw(key), f"{key} of {self.what}")

    def word(self, key: str) -> str:
        """Give a short word of letters, digits, dots, dashes and underscores."""
        value = self.raw(key)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_WORD:
            self.refuse(key)
        if not (
            value.isascii() and value.replace("_", "").replace(".", "").replace("-", "").isalnum()
        ):
            self.refuse(key)
        return str(value)

    def count(self, key: str) -> int:
        """Give a whole number from 0 to `MOST_VOXELS`."""
        return int(self._checked(key, self.raw(key), _whole))

    def counts(self, key: str) -> list[int]:
        """Give whole numbers."""
        return [self._checked(key, each, _whole) for each in self._each(key)]

    def spline(self, key: str) -> int:
        """Give the order of a spline."""
        found = self.count(key)
        if found > HIGHEST_SPLINE:
            self.refuse(key)
        return found

    def lengths(self, key: str) -> list[float]:
        """Give three lengths, in mm."""
        found = [self._checked(key, each, _length) for each in self._each(key)]
        return self._three(key, found)

    def triple(self, key: str) -> list[int]:
        """Give three whole numbers, each at least 1."""
        found = self._three(key, self.counts(key))
        if 0 in found:
            self.refuse(key)
        return found

    def axes(self, key: str) -> list[int]:
        """Give an order of the three axes; the one they have if there is none."""
        if key not in self:
            return [0, 1, 2]
        found = self.counts(key)
        if sorted(found) != [0, 1, 2]:
            self.refuse(key)
        return found

    def triples(self, key: str) -> list[list[int]]:
        """Give a list of three whole numbers each."""
        return [Fields({key: each}, self.what).triple(key) for each in self._each(key)]

    def truth(self, key: str) -> bool:
        """Give a truth value."""
        value = self.raw(key)
        if not isinstance(value, bool):
            self.refuse(key)
        return bool(value)

    def maybe(self, key: str) -> bool | None:
        """Give a truth value, or None if there is none."""
        return self.truth(key) if key in self else None

    def numbered(self, key: str, count: int) -> list[Any]:
        """Give the values of a mapping with keys 0 to `count` - 1, or of a list."""
        value = self.raw(key)
        if isinstance(value, dict):
            value = [value.get(number, value.get(str(number))) for number in range(count)]
        if not isinstance(value, list | tuple) or len(value) != count:
            self.refuse(key)
        return list(value)

    def refuse(self, key: str) -> NoReturn:
        """Refuse the file because of a key.

        Raises
        ------
        ForeignModelRefused
            Always.
        """
        raise ForeignModelRefused(f"{self.what} lacks a usable {key}")

    def _each(self, key: str) -> list[Any]:
        value = self.raw(key)
        if isinstance(value, Array) and value.values is not None:
            value = value.values.tolist()
        if not isinstance(value, list | tuple):
            self.refuse(key)
        return list(value)

    def _three(self, key: str, found: list[Any]) -> list[Any]:
        if len(found) != 3:  # noqa: PLR2004 - axes of a volume
            self.refuse(key)
        return found

    def _checked(self, key: str, value: object, kind: Callable[[object], Any]) -> Any:  # noqa: ANN401 - what `kind` gives
        found = kind(value)
        if found is None:
            self.refuse(key)
        return found


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MOST_VOXELS and value == int(value) else None


def _length(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= MOST_MM else None
