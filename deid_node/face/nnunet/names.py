"""What a name in a model file's pickle stands for here: inert values, none of them imported.

The table holds what torch ≥ 1.0 and numpy 1 and 2 write for numbers, arrays, tensors and the
containers round them. Every other name is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_NUMERIC: Final = re.compile(r"b1|[iu][1248]|f[248]")
_KEY: Final = re.compile(r"[0-9A-Za-z_]{1,32}")
MOST_AXES: Final = 32
MOST_NUMBERS: Final = 1 << 40

_PERSISTENT_LENGTHS: Final = (5, 6)
"""Parts of a reference to a storage: as a zip archive of torch has it, and as older files do."""

STORAGES: Final = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name of Python that a pickle gives."""

    module: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Numbers that lie beside the pickle.

    Parameters
    ----------
    key
        Under which the checkpoint keeps them.
    code
        A value of `STORAGES`: kind and bytes of a number.
    count
        How many there are.
    """

    key: str
    code: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A view of a storage: first number, shape, and steps along each axis, in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Dtype:
    """A dtype of numpy, by its code; its byte order comes later in the pickle."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "<"

    def build(self, state: tuple[Any, ...]) -> None:
        """Take the byte order out of numpy's state of a dtype."""
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError
        self.order = "<" if state[1] == "=" else state[1]

    def numeric(self) -> np.dtype[Any] | None:
        """Give the dtype if it is one of plain numbers."""
        return np.dtype(self.order + self.code) if _NUMERIC.fullmatch(self.code) else None


class Array:
    """An array of numpy; `values` stays None where it holds other things than numbers."""

    def __init__(self) -> None:
        self.values: NDArray[Any] | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        """Take shape, dtype, order and bytes out of numpy's state of an array."""
        _, shape, dtype, is_fortran, raw = state
        numeric = dtype.numeric()
        if numeric is None:
            return
        if type(raw) not in {bytes, bytearray}:
            raise ValueError
        if numeric.itemsize * prod(sizes(shape)) != len(raw):
            raise ValueError
        values = np.frombuffer(raw, numeric)
        self.values = values.reshape(sizes(shape), order="F" if is_fortran else "C")


class Mapping(dict[Any, Any]):
    """An OrderedDict; torch hangs a version number on it, which goes."""

    def build(self, _state: object) -> None:
        """Drop the state."""


def sizes(shape: object) -> tuple[int, ...]:
    """Accept a tuple of counts, each of which a file could hold."""
    if type(shape) is not tuple or len(shape) > MOST_AXES:
        raise ValueError
    if not all(type(n) is int and 0 <= n <= MOST_NUMBERS for n in shape):
        raise ValueError
    return shape


def word(value: object) -> str:
    """Accept a string."""
    if type(value) is not str:
        raise TypeError
    return value


def storage_of(reference: tuple[Any, ...]) -> Storage:
    """Read a pickle's reference to a storage; where torch kept it (a device) is left aside."""
    if len(reference) not in _PERSISTENT_LENGTHS or reference[0] != "storage":
        raise ValueError
    kind, key, count = reference[1], reference[2], reference[4]
    if kind.module != "torch" or not _KEY.fullmatch(key) or reference[5:] not in ((), (None,)):
        raise ValueError
    return Storage(key=key, code=STORAGES[kind.name], count=sizes((count,))[0])


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, shape, strides = arguments[:4]
    if type(storage) is not Storage or len(shape) != len(strides):
        raise ValueError
    return Tensor(
        storage=storage,
        offset=sizes((offset,))[0],
        shape=sizes(shape),
        strides=sizes(strides),
    )


def _array(arguments: tuple[Any, ...]) -> Array:
    """Make the array that protocol 5 writes as a buffer."""
    raw, dtype, shape, order = arguments
    array = Array()
    array.build((1, shape, dtype, order == "F", raw))
    return array


def _scalar(arguments: tuple[Any, ...]) -> bool | float | str | None:
    dtype, raw = arguments
    numeric = dtype.numeric()
    if numeric is None:
        return None
    if type(raw) is not bytes or len(raw) != numeric.itemsize:
        raise ValueError
    value: bool | float = np.frombuffer(raw, numeric)[0].item()
    return value


def _latin1(arguments: tuple[Any, ...]) -> bytes:
    text, encoding = arguments
    if encoding != "latin1":
        raise ValueError
    return bytes(text, "latin1")


def _no_bytes(arguments: tuple[Any, ...]) -> bytes:
    """Make the empty bytes, which protocol 2 cannot write otherwise."""
    if arguments:
        raise ValueError
    return b""


def _mapping(arguments: tuple[Any, ...]) -> Mapping:
    """Make an OrderedDict, which may come with its pairs; a defaultdict comes with its factory."""
    pairs = arguments[0] if arguments and type(arguments[0]) is list else []
    return Mapping((checked_key(key), value) for key, value in pairs)


def checked_key(key: Any) -> Any:  # noqa: ANN401 - any value of a pickle
    """Let only flat keys through: hashing a tuple as deep as a stack would end the process."""
    parts = key if type(key) is tuple else (key,)
    if not all(isinstance(part, str | int | float | bytes | None) for part in parts):
        raise ValueError
    return key


_BUILTINS: Final = ("builtins", "__builtin__")
_NUMPY: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
MAKERS: Final[dict[tuple[str, str], Callable[[tuple[Any, ...]], Any]]] = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _mapping,
    **{(m, name): lambda a: list(a[0]) for m in _BUILTINS for name in ("set", "frozenset")},
    ("_codecs", "encode"): _latin1,
    **{(module, "bytes"): _no_bytes for module in _BUILTINS},
    **{(module, "_reconstruct"): lambda _: Array() for module in _NUMPY},
    **{(module, "scalar"): _scalar for module in _NUMPY},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _array for core in ("core", "_core")},
    ("numpy", "dtype"): lambda a: Dtype(word(a[0])),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda a: a[0],
    ("torch", "Size"): lambda a: sizes(a[0]),
    ("torch", "device"): lambda a: word(a[0]),
}
"""What REDUCE may make of the tuple of its arguments."""

MARKERS: Final = frozenset(
    {
        ("numpy", "ndarray"),
        *(("torch", name) for name in STORAGES),
        *(("torch", name) for name in ("float16", "bfloat16", "float32", "float64", "int64")),
        *((module, name) for module in _BUILTINS for name in ("int", "float", "list", "dict")),
    }
)
"""Names that are given as values, for instance the factory of a defaultdict; never called."""
