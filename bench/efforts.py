"""How alike the efforts of an imported model are: exact against the lesser ones, head by head.

Usage: python bench/efforts.py MODEL [LANDMARKS.json HEADS] [--efforts balanced,fast] [--folds N]

MODEL is the folder of an imported model; it needs torch. LANDMARKS and HEADS are those of
`face_model.evaluate`; without them heads are drawn. Each effort is asked as the node asks it. Two
things are compared with what the exact effort gives: the labels near the face, and what is removed
in the end, which is of both models. Dice, and the 95th percentile of the distance from the border
of either to that of the other, in voxels.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

PROJECT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tools")]

from face_model.defacers import as_volume  # noqa: E402
from face_model.drawn_heads import drawn_heads  # noqa: E402
from face_model.real_heads import real_heads  # noqa: E402

from bench.inference import agreement  # noqa: E402
from deid_node.errors import ModelsDisagree  # noqa: E402
from deid_node.face.joint import face_mask  # noqa: E402
from deid_node.face.mask import MaskPolicy  # noqa: E402
from deid_node.face.nnunet.effort import effort_of  # noqa: E402
from deid_node.face.nnunet.imported import load_imported, meaning_of  # noqa: E402
from deid_node.face.openvino_model import load_model  # noqa: E402
from deid_node.face.paired import PairedModel  # noqa: E402
from deid_node.face.weights import default_weights  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from face_model.head import Head
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.nnunet.imported import ImportedModel, Meaning

EXACT: Final = "exact"


class Looking:
    """A `Segmenter` that remembers what it said last, where it was asked to look."""

    def __init__(self, model: ImportedModel, meaning: Meaning) -> None:
        self._model = model
        self._removed = (*meaning.face, *meaning.ears)

    def segment(
        self,
        image: NDArray[np.float32],
        spacing_mm: tuple[float, ...],
        near: NDArray[np.bool_] | None,
    ) -> NDArray[np.uint8]:
        """Ask the model."""
        labels = self._model.segment(image, spacing_mm, near)
        named = np.isin(labels, self._removed)
        self.named = named if near is None else named & near
        return labels


class Masks(NamedTuple):
    """What is named near the face, what is removed, why nothing is, and CPU-seconds."""

    named: NDArray[np.bool_]
    removed: NDArray[np.bool_]
    why: str
    cpu_s: float


class Effort:
    """An imported model beside the default one, as the node has them."""

    def __init__(self, folder: Path, name: str, folds: int) -> None:
        meaning = meaning_of(folder)
        model = load_imported(folder, effort_of(name, folds), threads=1)
        self._looking = Looking(model, meaning)
        self._model = PairedModel(
            first=load_model(default_weights(), threads=1),
            second=self._looking,
            meaning=meaning,
            accuracy=name,
        )

    def __call__(self, volume: Volume) -> Masks:
        """Do what the node does, up to the mask."""
        began = time.process_time()
        estimate = self._model.estimate(volume)
        why = ""
        try:
            removed = face_mask(estimate, volume, MaskPolicy())
        except ModelsDisagree as held:
            removed, why = np.zeros(volume.stored.shape, bool), str(held)
        return Masks(self._looking.named, removed, why, time.process_time() - began)


def main() -> None:
    """Compare, and print a line for each head and effort."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("landmarks", type=Path, nargs="?")
    parser.add_argument("heads", type=Path, nargs="?")
    parser.add_argument("--efforts", default="balanced,fast")
    parser.add_argument("--folds", type=int, default=0, help="0 asks all")
    arguments = parser.parse_args()
    heads: Iterable[Head] = drawn_heads()
    if arguments.landmarks and arguments.heads:
        heads = real_heads(arguments.landmarks, arguments.heads, None)
    names = [EXACT, *arguments.efforts.split(",")]
    efforts = {name: Effort(arguments.model, name, arguments.folds) for name in names}
    print(f"{'head':28}{'effort':10}{'CPU s':>8}{'labels':>9}{'95 %':>6}{'removed':>9}{'95 %':>6}")
    for head in heads:
        volume = as_volume(head)
        exact: Masks | None = None
        for name, effort in efforts.items():
            found = effort(volume)
            exact = exact or found
            row = f"{head.name:28}{name:10}{found.cpu_s:8.1f}"
            for mask, truth in ((found.named, exact.named), (found.removed, exact.removed)):
                dice, away = agreement(mask, truth)
                row += f"{dice:9.4f}{away:6.2f}"
            print(row, found.why, flush=True)


if __name__ == "__main__":
    main()
