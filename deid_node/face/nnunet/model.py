"""Where the parts of a stranger's model lie, and what is made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from deid_node.errors import ForeignModelRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

MOST_FOLDS: Final = 10

_CHECKPOINT: Final = re.compile(
    r"(?P<root>(?:.*/)?)(?P<fold>fold_\d{1,2}|all|fold_all)/"
    r"(?:(?P<v1>model_final_checkpoint|model_best)\.model|(?P<v2>checkpoint_final|checkpoint_best)\.pth)"
)
_PREFERRED: Final = {
    1: ("model_final_checkpoint", "model_best"),
    2: ("checkpoint_final", "checkpoint_best"),
}
_ALL: Final = {1: "all", 2: "fold_all"}
SUFFIXES: Final = {1: ".model", 2: ".pth"}


class ModelFiles(Protocol):
    """Files of a model, in a folder or a zip archive."""

    @property
    def names(self) -> frozenset[str]:
        """Relative paths with forward slashes."""
        ...

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read a small file; refuse a larger one."""
        ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a file so that it can be read from any place."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which files make the model.

    Parameters
    ----------
    generation
        1 for nnU-Net, 2 for nnunetv2.
    root
        Path of the model's folder among the files: empty, or with a slash at its end.
    folds
        Names of the folders of the folds.
    checkpoint
        Which checkpoint of each fold is taken, without suffix.
    """

    generation: int
    root: str
    folds: tuple[str, ...]
    checkpoint: str

    def weights(self, fold: str) -> str:
        """Path of a fold's checkpoint."""
        return f"{self.root}{fold}/{self.checkpoint}{SUFFIXES[self.generation]}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForeignModel:
    """A model of nnU-Net in the node's words.

    Parameters
    ----------
    plans
        Content of plans.json: an nnunetv2 plans file, and under ``deid_node`` what its words
        cannot say.
    facts
        What the card tells about it: origin, trainer, input, labels.
    folds
        Names of the folds.
    used
        Files that were read.
    tensors
        Gives the tensors of one fold, by the names of nnunetv2's PlainConvUNet.
    """

    plans: dict[str, Any]
    facts: dict[str, Any]
    folds: tuple[str, ...]
    used: tuple[str, ...]
    tensors: Callable[[str], dict[str, NDArray[np.float32]]]


def find_layout(names: Iterable[str]) -> Layout:
    """Find the one model among some files.

    All folds with a number are taken, or the one that was trained on all cases; the final
    checkpoint of each, or the best of each where one has no final one.

    Raises
    ------
    ForeignModelRefused
        If there is none, or several, or the folds have no checkpoint of one name in common.
    """
    models: dict[tuple[int, str], dict[str, set[str]]] = {}
    for name in names:
        if match := _CHECKPOINT.fullmatch(name):
            model = models.setdefault((1 if match["v1"] else 2, match["root"]), {})
            model.setdefault(match["fold"], set()).add(match["v1"] or match["v2"])
    if not models:
        raise ForeignModelRefused("no model of nnU-Net is there: no fold with a checkpoint")
    if len(models) > 1:
        raise ForeignModelRefused(f"{len(models)} models are there: name the folder of one")
    (((generation, root), found),) = models.items()
    folds = sorted(fold for fold in found if fold[-1].isdigit()) or [_ALL[generation]]
    if len(folds) > MOST_FOLDS:
        raise ForeignModelRefused(
            f"{len(folds)} folds are more than the {MOST_FOLDS} that are read"
        )
    for checkpoint in _PREFERRED[generation]:
        if all(checkpoint in found.get(fold, ()) for fold in folds):
            return Layout(
                generation=generation, root=root, folds=tuple(folds), checkpoint=checkpoint
            )
    raise ForeignModelRefused("the folds have no checkpoint of one name: all final, or all best")
