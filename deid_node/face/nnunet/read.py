"""Read a model that somebody else trained with nnU-Net, of either generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.face.nnunet.model import find_layout
from deid_node.face.nnunet.v1 import read_v1
from deid_node.face.nnunet.v2 import read_v2

if TYPE_CHECKING:
    from deid_node.face.nnunet.model import ForeignModel, ModelFiles


def read_model(files: ModelFiles, *, like: str | None = None) -> ForeignModel:
    """Read the one model among some files.

    Parameters
    ----------
    files
        A model folder of nnU-Net v1 or nnunetv2, or folders that hold one.
    like
        A known trainer, if somebody vouches that the model's own answers like that one.

    Raises
    ------
    ForeignModelRefused
        If there is none, or it is broken, hostile, or of a kind that is not run here.
    """
    layout = find_layout(files.names)
    read = read_v1 if layout.generation == 1 else read_v2
    return read(files, layout, like=like)
