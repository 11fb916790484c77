"""The face model as an OpenVINO network; the one file that knows this engine.

OpenVINO is imported when a model is loaded, never before, and without its telemetry.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.errors import WeightsUnusable
from deid_node.face.looks import View, look
from deid_node.face.model import FaceEstimate, FaceModel, ModelCard
from deid_node.face.weights import read_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

NETWORK = "face.xml"
PLANS = "plans.json"
CLASSES = ["background", "face", "ears", "brain", "eyes", "nose", "mouth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """What the network was trained on; key `deid_node` of `plans.json`.

    Parameters
    ----------
    view
        What it sees.
    clip
        Percentiles between which values are clipped before they are standardised.
    mirror_axes
        Axes along which the input is mirrored and the answers averaged.
    """

    view: View
    clip: tuple[float, float]
    mirror_axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenVinoModel:
    """A `FaceModel` that runs on the CPU through OpenVINO."""

    card: ModelCard
    plans: Plans
    logits: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """From (1, 1, n, n, n) standardised values to (1, classes, n, n, n) logits."""

    def estimate(self, volume: Volume) -> FaceEstimate:
        """Estimate where face, ears and brain of `volume` are.

        The same voxels give the same bytes, in whatever order they lie in memory.
        """
        seen = look(self._once, self._mirrored, volume, self.plans.view)
        return FaceEstimate(
            face=seen.face,
            ears=seen.ears,
            brain=seen.brain,
            affine=seen.grid.affine,
            parts=seen.parts,
            frame=seen.frame,
            settled=seen.settled,
            seen=seen.shrunk,
        )

    def _once(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return softmax(self.logits(standardise(values, self.plans.clip)[None, None])[0])

    def _mirrored(
        self, values: NDArray[np.float32], once: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Average what was said of the values with what is said of their mirror images."""
        values = standardise(values, self.plans.clip)
        total = once.copy()
        for axis in self.plans.mirror_axes:
            logits = self.logits(np.ascontiguousarray(np.flip(values, axis))[None, None])[0]
            total += np.flip(softmax(logits), axis + 1)
        total /= np.float32(1 + len(self.plans.mirror_axes))
        return total


def load_model(folder: Path, *, threads: int = 0) -> FaceModel:
    """Verify a model folder and make it ready.

    Parameters
    ----------
    folder
        Holds `card.json`, `face.xml`, `face.bin` and `plans.json`.
    threads
        CPU threads of the network; 0 leaves the choice to the engine.

    Returns
    -------
    FaceModel

    Raises
    ------
    WeightsUnusable
        If a file is missing, damaged or not a network of this kind.
    """
    card = read_card(folder)
    plans = _read_plans(folder / PLANS)
    return OpenVinoModel(card=card, plans=plans, logits=_compile(folder / NETWORK, threads=threads))


def standardise(values: NDArray[np.float32], clip: tuple[float, float]) -> NDArray[np.float32]:
    """Give values the scale of the training: no negatives, outliers clipped, mean 0, deviation 1.

    Parameters
    ----------
    values : (i, j, k) ndarray of float32
        Values after the modality transform.
    clip
        Percentiles; measured on every other voxel, as the training did.
    """
    values = np.maximum(values, 0)
    low, high = np.percentile(values[::2, ::2, ::2], clip)
    values = np.clip(values, np.float32(low), np.float32(high))
    out: NDArray[np.float32] = (values - values.mean()) / (values.std() + np.float32(1e-6))
    return out


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn logits into probabilities along the first axis."""
    raised = np.exp(logits - logits.max(axis=0))
    out: NDArray[np.float32] = raised / raised.sum(axis=0)
    return out


def _read_plans(path: Path) -> Plans:
    try:
        own = json.loads(path.read_text(encoding="utf-8"))["deid_node"]
        low, high = own["clip_percentiles"]
        plans = Plans(
            view=_read_view(own),
            clip=(float(low), float(high)),
            mirror_axes=tuple(int(axis) for axis in own["mirror_axes"]),
        )
        known = own["classes"] == CLASSES
    except (OSError, ValueError, KeyError, TypeError):
        raise WeightsUnusable(f"{path} does not describe a face network") from None
    if not known:
        raise WeightsUnusable(f"{path} names other classes than {', '.join(CLASSES)}")
    return plans


def _read_view(own: dict[str, Any]) -> View:
    x, y, z = (float(mm) for mm in own["level_centre"])
    return View(
        window=int(own["patch"]),
        spacing_mm=float(own["spacing_mm"]),
        level_mm=float(own["level_spacing_mm"]),
        level_centre=(x, y, z),
        classes=tuple(own["classes"]),
    )


def _compile(path: Path, *, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    openvino = import_engine()
    # f32, not bf16: bf16 saves 0.1 CPU-s a head, but its mask differs (by up to 0.1 % of its
    # voxels), and from one kind of processor to the next
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    except Exception:  # noqa: BLE001 - the engine raises bare RuntimeError, and its text may name anything
        raise WeightsUnusable(f"{path} is not a network that OpenVINO can run") from None

    def logits(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(compiled(values)[0], dtype=np.float32)

    return logits


def import_engine() -> Any:  # noqa: ANN401 - OpenVINO has no types
    """Import OpenVINO without its converter, which is what imports the telemetry package."""
    converter = "openvino.tools.ovc"
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    # None is Python's own mark for a module that must not be imported
    sys.modules[converter] = None  # type: ignore[assignment]
    try:
        import openvino  # noqa: PLC0415 - a costly import that --help must not pay for
    finally:
        del sys.modules[converter]
    return openvino
