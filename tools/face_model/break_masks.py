"""Break masks on purpose, and count what the runtime's checks hold and what they let pass.

A case is bad if less than 95 % of any feature's tissue would be removed, as the landmarks tell, not
the model, or if brain would be; a break that uncovers nothing is a good case still, and not counted as
broken. Printed: how many good masks are held, how many bad ones pass, by kind of break, and which
check held them.

Usage: ``python -m face_model.break_masks WEIGHTS LANDMARKS.json HEADS [--brains FOLDER]
[--labels FOLDER] [--json OUT] [--every 4]``
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.grid import RAS_SIGN, body_axes, from_body, to_body
from deid_node.face.head_frame import HeadFrame
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.openvino_model import load_model
from deid_node.face.plausibility import judge
from face_model.score import FEATURES
from face_model.trial_heads import trials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.face.model import FaceEstimate, FaceModel
    from face_model.trial_heads import Trial

GOOD = 0.95
LOST_ML = 0.1  # of brain; more is bad too
PUT_BACK_MM = 15.0  # times the head's scale
SHIFTS_MM = (5, 10, 15, 20, 30)
EROSIONS_MM = (3, 6, 10)
GROWN_MM = FACE_SHIFT_MM = 20
WAYS = {
    "right": (0, 1),
    "left": (0, -1),
    "front": (1, 1),
    "back": (1, -1),
    "up": (2, 1),
    "down": (2, -1),
}

Break = tuple[str, np.ndarray, "FaceEstimate"]
"""Kind, mask, and the estimate that it is judged by."""


def breaks(
    trial: Trial, mask: np.ndarray, estimate: FaceEstimate, other: np.ndarray | None
) -> Iterator[Break]:
    """Break one mask in every way; `other` is the mask of another head on the same voxels."""
    yield "empty", np.zeros_like(mask), estimate
    for mm in SHIFTS_MM:
        for way, (axis, sign) in WAYS.items():
            yield f"mask shifted {mm} mm {way}", shifted(trial, mask, axis, sign * mm), estimate
    deep = depth(trial, mask)
    for mm in EROSIONS_MM:
        yield f"mask eroded {mm} mm", deep > mm, estimate
    for feature in FEATURES:
        if feature in trial.head.landmarks:
            yield f"{_unsided(feature)} put back", put_back(trial, mask, [feature]), estimate
    yield "both ears put back", put_back(trial, mask, ["ear_R", "ear_L"]), estimate
    yield from _halves(trial, mask, estimate)
    behind = from_body(
        np.flip(to_body(mask, body_axes(trial.volume.affine)), 1), body_axes(trial.volume.affine)
    )
    yield "mask mirrored to the back", behind, estimate
    yield "mask and its mirror image", mask | behind, estimate
    yield "blob of the same size", blob(mask), estimate
    if other is not None:
        yield "mask of another head", other, estimate
    yield "mask grown by 20 mm", depth(trial, ~mask) <= GROWN_MM, estimate
    yield from _estimates(trial, mask, estimate)


def _unsided(feature: str) -> str:
    return f"one {feature[:-2]}" if feature.endswith(("_L", "_R")) else feature


def shifted(trial: Trial, mask: np.ndarray, axis: int, mm: float) -> np.ndarray:
    """Shift a mask to the right, the front or the top; its edge values follow."""
    axes = body_axes(trial.volume.affine)
    turned = to_body(mask, axes)
    steps = round(mm / trial.volume.spacing_mm()[axes[0][axis]])
    index = np.clip(np.arange(turned.shape[axis]) - steps, 0, turned.shape[axis] - 1)
    return from_body(np.take(turned, index, axis), axes)


def depth(trial: Trial, mask: np.ndarray) -> np.ndarray:
    """Distance to the border of a mask, in mm; the edge of the volume is none."""
    padded = np.pad(mask, 1, mode="edge")
    deep = ndimage.distance_transform_edt(padded, sampling=trial.volume.spacing_mm())
    return np.asarray(deep[1:-1, 1:-1, 1:-1])


def put_back(trial: Trial, mask: np.ndarray, features: list[str]) -> np.ndarray:
    """Take a ball round each feature out of a mask."""
    out = mask.copy()
    for feature in features:
        if feature in trial.head.landmarks:
            centre, reach = trial.head.landmarks[feature], PUT_BACK_MM * trial.head.scale
            box = trial.head.box(centre - reach, centre + reach)
            part = trial.head.part(box)
            everywhere = np.ones(part.tissue.shape, bool)
            away = np.linalg.norm(part.places(everywhere) - centre, axis=1)
            out[box] &= (away >= reach).reshape(part.tissue.shape)
    return out


def _halves(trial: Trial, mask: np.ndarray, estimate: FaceEstimate) -> Iterator[Break]:
    axes = body_axes(trial.volume.affine)
    inside = to_body(mask & trial.head.tissue, axes)
    if not inside.any():
        return
    middle = np.median(np.nonzero(inside)[2]).astype(int)
    for name, half in (("upper", slice(middle, None)), ("lower", slice(None, middle))):
        out = to_body(mask, axes).copy()
        out[:, :, half] = False
        yield f"{name} half put back", from_body(out, axes), estimate


def blob(mask: np.ndarray) -> np.ndarray:
    """Draw a smooth random region of the same number of voxels."""
    noise = np.random.default_rng(0).normal(size=mask.shape).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, np.array(mask.shape) / 12)
    return np.asarray(smooth > np.quantile(smooth, 1 - mask.mean()))


def _estimates(trial: Trial, mask: np.ndarray, estimate: FaceEstimate) -> Iterator[Break]:
    """Break what the model says, and the mask with it."""
    spacing = float(np.linalg.norm(estimate.affine[:3, 0]))
    for way, (axis, sign) in WAYS.items():
        steps = sign * round(FACE_SHIFT_MM / spacing)
        face = np.roll(estimate.face, steps, axis)
        broken = replace(estimate, face=face * (1 - estimate.brain))
        kind = f"face class shifted {FACE_SHIFT_MM} mm {way}"
        yield kind, shape_mask(broken, trial.volume, MaskPolicy()), broken
        for mm in SHIFTS_MM[1:]:
            moved = everything_shifted(estimate, axis, sign * mm)
            kind = f"everything shifted {mm} mm {way}"
            yield kind, shifted(trial, mask, axis, sign * mm), moved


def everything_shifted(estimate: FaceEstimate, axis: int, mm: float) -> FaceEstimate:
    """Shift all that the model says, parts and frame with it."""
    by = np.zeros(3)
    by[axis] = mm
    affine = estimate.affine.copy()
    affine[:3, 3] += by * RAS_SIGN
    frame = estimate.frame
    if frame is not None:
        frame = HeadFrame(origin=frame.origin + by, axes=frame.axes, scale=frame.scale)
    parts = {name: at + by for name, at in estimate.parts.items()}
    return replace(estimate, affine=affine, parts=parts, frame=frame)


def verdict(trial: Trial, mask: np.ndarray, estimate: FaceEstimate) -> str:
    """Ask the runtime: "passed", or why not, without figures."""
    try:
        judge(mask, estimate, trial.volume)
    except ImplausibleFaceMask as held:
        return re.sub(r"\(?\d[\d.]*( %|%)?\)?", "n", str(held))
    return "passed"


def row(trial: Trial, kind: str, mask: np.ndarray, estimate: FaceEstimate) -> dict[str, Any]:
    """Measure one case and judge it."""
    coverage = trial.coverage(mask)
    ml = float(np.prod(trial.volume.spacing_mm())) / 1000
    brain = trial.head.brain
    lost = None if brain is None else float((mask & brain).sum() * ml)
    least = min(coverage, key=lambda name: coverage[name])
    return {
        "head": trial.head.name,
        "kind": kind,
        "least": round(coverage[least], 3),
        "of": least,
        "brain_ml": lost,
        "bad": coverage[least] < GOOD or (lost is not None and lost > LOST_ML),
        "verdict": verdict(trial, mask, estimate),
    }


def study(model: FaceModel, heads: Iterator[Trial], every: int) -> Iterator[dict[str, Any]]:
    """Judge every head's own mask; of each so-manieth head, break the mask in every way."""
    before: tuple[Trial, np.ndarray] | None = None
    for number, trial in enumerate(heads):
        estimate = model.estimate(trial.volume)
        mask = shape_mask(estimate, trial.volume, MaskPolicy())
        yield row(trial, "as the runtime makes it", mask, estimate)
        if number % every != every // 2:
            continue
        other = None if before is None else _carried(*before, trial)
        for kind, broken, told in breaks(trial, mask, estimate, other):
            yield row(trial, kind, broken, told)
        before = trial, mask


def _carried(source: Trial, mask: np.ndarray, trial: Trial) -> np.ndarray:
    """Lay a mask on the voxels of another head, middle on middle."""
    one, other = source.volume, trial.volume
    middles = [v.affine[:3, :3] @ (np.array(v.stored.shape) - 1) / 2 for v in (one, other)]
    steps = np.linalg.inv(one.affine[:3, :3]) @ other.affine[:3, :3]
    start = np.linalg.inv(one.affine[:3, :3]) @ (middles[0] - middles[1])
    return np.asarray(
        ndimage.affine_transform(
            mask.astype(np.uint8),
            steps,
            start,
            output_shape=other.stored.shape,
            order=0,
            mode="nearest",
        )
        > 0
    )


def table(rows: list[dict[str, Any]]) -> None:
    """Print the rates."""
    own = [r for r in rows if r["kind"].startswith("as the runtime")]
    good, poor = [r for r in own if not r["bad"]], [r for r in own if r["bad"]]
    held = [r for r in good if r["verdict"] != "passed"]
    print(f"good masks held: {len(held)} of {len(good)}")
    for r in held:
        print(f"    {r['head']}: {r['verdict']}")
    passed = [r for r in poor if r["verdict"] == "passed"]
    print(f"the runtime's own bad masks passed: {len(passed)} of {len(poor)}")
    for r in poor:
        print(f"    {r['head']}: {r['least']} of {r['of']}: {r['verdict']}")
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        if r["bad"] and r not in own:
            kinds[r["kind"]].append(r)
    total = [r for rows_of in kinds.values() for r in rows_of]
    through = [r for r in total if r["verdict"] == "passed"]
    print(f"broken masks passed: {len(through)} of {len(total)}")
    for kind, rows_of in kinds.items():
        let = [r for r in rows_of if r["verdict"] == "passed"]
        worst = min((r["least"] for r in let), default=None)
        by = Counter(r["verdict"].rpartition(": ")[2] for r in rows_of if r not in let)
        first = "; ".join(f"{n} {why}" for why, n in by.most_common(2))
        print(f"    {kind:32s} {len(let):3d} of {len(rows_of):3d} pass, least {worst}; {first}")
    checks = Counter(r["verdict"] for r in total)
    print("by check:")
    for why, n in checks.most_common():
        print(f"    {n:5d} {why}")


def main(arguments: argparse.Namespace) -> None:
    model = load_model(arguments.weights, threads=1)
    heads = trials(arguments.landmarks, arguments.heads, arguments.brains, arguments.labels)
    rows = []
    for each in study(model, heads, arguments.every):
        rows.append(each)
        if each["kind"].startswith("as the runtime"):
            print(each["head"], each["least"], each["of"], each["verdict"], flush=True)
    table(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("landmarks", type=Path)
    parser.add_argument("heads", type=Path)
    parser.add_argument("--brains", type=Path, help="brain masks of the real heads")
    parser.add_argument("--labels", type=Path, help="label maps; the two held-out ones are drawn")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--every", type=int, default=1, help="break the masks of each n-th head")
    main(parser.parse_args())
