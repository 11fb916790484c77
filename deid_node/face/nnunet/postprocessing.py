"""v1's postprocessing.json: of which classes only the largest piece stays."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ForeignModelRefused
from deid_node.face.nnunet.plans import Postprocessing

if TYPE_CHECKING:
    from deid_node.face.nnunet.model import ModelFiles

POSTPROCESSING: Final = "postprocessing.json"
MOST_BYTES: Final = 16 << 20
MOST_LITERAL: Final = 1000


def read_postprocessing(
    files: ModelFiles, root: str, labels: tuple[int, ...]
) -> Postprocessing | None:
    """Read it, if the model has one.

    Parameters
    ----------
    files, root
        The model's files, and where its folder is among them.
    labels
        Of its classes.

    Raises
    ------
    ForeignModelRefused
        If it is broken, or speaks of classes that the model does not have.
    """
    name = f"{root}{POSTPROCESSING}"
    if name not in files.names:
        return None
    try:
        found = json.loads(files.read(name, MOST_BYTES))
        entries = found["for_which_classes"]
        groups = None if entries is None else tuple(_group(each, labels) for each in entries)
        least = _least(found.get("min_valid_object_sizes"), entries)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        SyntaxError,
        MemoryError,
    ):
        raise ForeignModelRefused(f"{POSTPROCESSING} is not what nnU-Net writes") from None
    return Postprocessing(classes=groups, least_mm3=least)


def _group(entry: Any, labels: tuple[int, ...]) -> tuple[int, ...]:  # noqa: ANN401 - JSON
    """Read a label, or a list of labels that are taken together."""
    group = tuple(entry) if isinstance(entry, list) else (entry,)
    if not group or not all(type(label) is int and label in labels for label in group):
        raise ValueError
    return group


def _least(value: Any, entries: list[Any] | None) -> tuple[float, ...] | None:  # noqa: ANN401 - JSON
    """Read the least volumes, which v1 writes as a Python literal in a string."""
    if value is None:
        return None
    if entries is None or not isinstance(value, str) or len(value) > MOST_LITERAL:
        raise ValueError
    sizes = ast.literal_eval(value)
    if sizes is None:
        return None
    return tuple(float(sizes[tuple(e) if isinstance(e, list) else e]) for e in entries)
