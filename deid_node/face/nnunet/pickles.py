"""Read the values of a pickle, and run nothing.

A pickle is a program for a small stack machine, and its REDUCE may call whatever Python can
import. The machine here has the same stack but no way out of it: a name in the pickle is
looked up in `names`, never imported, and all it makes are plain values, numpy arrays of
numbers, and `Tensor`s that say where in a checkpoint their numbers lie. The opcodes are
decoded by the standard library's `pickletools`, which only reads.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ForeignModelRefused
from deid_node.face.nnunet.names import (
    MAKERS,
    MARKERS,
    Name,
    Storage,
    checked_key,
    storage_of,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

MOST_OPCODES: Final = 5_000_000
"""A checkpoint of nnU-Net has some ten thousand."""
MOST_NAME_SHOWN: Final = 60

_LITERALS: Final = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        "BYTEARRAY8",
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    }
)
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Final[dict[str, Callable[[], Any]]] = {
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING: Final = frozenset({"PROTO", "FRAME", "STOP"})
_MARK: Final = object()


def read_pickle(file: BinaryIO, *, what: str, storages: dict[str, Storage] | None = None) -> Any:  # noqa: ANN401 - a pickle holds anything
    """Read one pickle.

    Parameters
    ----------
    file
        Stands at the pickle's first byte, and afterwards behind its last one.
    what
        What the file is, for the refusal.
    storages
        Receives the storages that it refers to, as a checkpoint's does; None if it must not.

    Returns
    -------
    None, bool, int, float, str, bytes, list, dict, tuple, Array or Tensor
        Sets come as lists, OrderedDicts as dicts, numpy's scalars as Python's.

    Raises
    ------
    ForeignModelRefused
        If it names anything that is not in `names`, or breaks off, or is no pickle.
    """
    machine = _Machine(what=what, storages=storages)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count == MOST_OPCODES:
                raise ForeignModelRefused(f"{what} is a pickle of too many steps")
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        raise ForeignModelRefused(f"{what} is not a whole pickle") from None
    return value


class _Machine:
    """Stack, marks and memo of one pickle."""

    def __init__(self, *, what: str, storages: dict[str, Storage] | None) -> None:
        self.what = what
        self.storages = storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401 - as decoded by pickletools
        """Take one opcode."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop_many(_TUPLES[name])))
        elif name not in _NOTHING:
            action = _ACTIONS.get(name)
            if action is None:
                raise ForeignModelRefused(f"{self.what} uses {name}, which no model file needs")
            action(self, argument)

    def pop(self) -> Any:  # noqa: ANN401 - any value
        """Take the topmost value off."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError
        return value

    def pop_many(self, count: int) -> list[Any]:
        """Take several values off, the lowest first."""
        return [self.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        """Take the values above the topmost mark off, and the mark."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def name(self, module: object, name: object) -> None:
        """Push a name of the table; refuse any other."""
        # nothing but strings is hashed: the hash of a tuple as deep as a stack ends the process
        module, name = word(module), word(name)
        if (module, name) not in MAKERS and (module, name) not in MARKERS:
            raise ForeignModelRefused(
                f"{self.what} names {_shown(module, name)}, which no model file needs"
            )
        self.stack.append(Name(module=module, name=name))

    def make(self) -> None:
        """Replace a name and a tuple of arguments by what the table makes of them."""
        name, arguments = self.pop_many(2)
        if type(arguments) is not tuple:
            raise ValueError
        self.stack.append(MAKERS[name.module, name.name](arguments))

    def build(self) -> None:
        """Give a value its state."""
        state = self.pop()
        self.stack[-1].build(state)

    def refer(self) -> None:
        """Replace a reference by the storage that it names."""
        if self.storages is None:
            raise ForeignModelRefused(f"{self.what} refers to tensors, which it has no use for")
        storage = storage_of(self.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError
        self.stack.append(storage)

    def set_pairs(self, pairs: list[Any]) -> None:
        """Set keys and values of the mapping on top."""
        if not isinstance(self.stack[-1], dict) or len(pairs) % 2:
            raise ValueError
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.stack[-1][checked_key(key)] = value

    def extend(self, values: list[Any]) -> None:
        """Append to the list on top."""
        if type(self.stack[-1]) is not list:
            raise ValueError
        self.stack[-1].extend(values)

    def make_dict(self, pairs: list[Any]) -> None:
        """Push a dict of keys and values."""
        self.stack.append({})
        self.set_pairs(pairs)

    def keep(self, number: int) -> None:
        """Remember the topmost value."""
        self.memo[number] = self.stack[-1]


def _shown(module: str, name: str) -> str:
    """Show a name of a file that may be hostile: letters, digits and dots, and not many."""
    whole = f"{module}.{name}"[:MOST_NAME_SHOWN]
    return "".join(c if c.isascii() and (c.isalnum() or c in "._") else "?" for c in whole)


def _names_of(argument: str) -> list[str]:
    return argument.split(" ", 1)


_ACTIONS: Final[dict[str, Callable[[_Machine, Any], object]]] = {
    "MARK": lambda m, _: m.stack.append(_MARK),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.pop_to_mark(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.keep),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, n: m.stack.append(m.memo[n])),
    "MEMOIZE": lambda m, _: m.keep(len(m.memo)),
    "LIST": lambda m, _: m.stack.append(m.pop_to_mark()),
    "FROZENSET": lambda m, _: m.stack.append(m.pop_to_mark()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_to_mark())),
    "DICT": lambda m, _: m.make_dict(m.pop_to_mark()),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda m, _: m.extend(m.pop_to_mark())),
    "SETITEM": lambda m, _: m.set_pairs(m.pop_many(2)),
    "SETITEMS": lambda m, _: m.set_pairs(m.pop_to_mark()),
    "GLOBAL": lambda m, argument: m.name(*_names_of(argument)),
    "STACK_GLOBAL": lambda m, _: m.name(*m.pop_many(2)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), lambda m, _: m.make()),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.refer(),
}
