"""The brain: folded cortex, white matter, deep grey matter, ventricles and vessels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drawn_head.shapes import capsule, common, ellipsoid, tube, union
from drawn_head.skull import brainstem, cerebellum, cerebrum
from drawn_head.tissue import Label

if TYPE_CHECKING:
    from drawn_head.canvas import Canvas, Window
    from drawn_head.shapes import Distance, Points
    from drawn_head.skull import Tissues

BRAIN_BOX = ((-72, -108, -70), (72, 76, 80))
CORTEX_MM = 2.5
SULCUS_DEPTH_MM = 15.0


def draw_brain(canvas: Canvas, tissues: Tissues, seed: int) -> None:
    """Paint everything that lies in the fluid of the skull's cavity."""
    window = canvas.window(BRAIN_BOX)
    if window is not None:
        _cerebellum(canvas, window, tissues, seed)
    stem = canvas.window(((-22, -60, -215), (22, 5, 15)))
    if stem is not None:
        inside = brainstem(stem.points.mirrored())
        canvas.paint(stem, inside, tissues["white"] * 0.93, Label.BRAINSTEM)
        low = np.asarray(np.maximum(inside, stem.points.z + 64), np.float32)
        canvas.paint(stem, low, tissues["white"] * 0.9, Label.CORD)
    if window is not None:
        _cerebrum(canvas, window, tissues, seed)
    for half in canvas.windows(((-2, -70, -45), (50, 50, 40))):
        p = half.points.mirrored()
        _deep_grey(canvas, half, p, tissues)
        _ventricles(canvas, half, p, tissues)
    if window is not None:
        _vessels(canvas, window, tissues)


def _cerebrum(canvas: Canvas, window: Window, tissues: Tissues, seed: int) -> None:
    p = window.points
    folded = p.mirrored()
    outer = cerebrum(folded) + np.float32(0.5)
    bend = np.float32(1.6) * canvas.noise(window, 45, seed=seed + 4)
    fissure = np.minimum(np.float32(0.8) - np.abs(p.x - bend), _midline(p))
    outer = np.maximum(outer, fissure.astype(np.float32))
    # Sulci are sheets cut into the hemispheres, deeper where noise says so.
    deep = np.float32(SULCUS_DEPTH_MM) + np.float32(4) * canvas.noise(window, 40, seed=seed + 1)
    sulci = canvas.sheets(window, 29, seed=seed + 2) - np.float32(0.75)
    pial = np.maximum(outer, -np.maximum(sulci, -(outer + deep)))
    pial = pial.astype(np.float32)
    canvas.paint(window, pial, tissues["grey"], Label.GREY_MATTER)
    canvas.paint(window, pial + np.float32(CORTEX_MM), tissues["white"], Label.WHITE_MATTER)
    callosum = np.asarray(np.maximum(np.abs(_arch(p)) - 3, folded.x - 14), np.float32)
    callosum = np.maximum(callosum, -(p.z + np.maximum(p.f - 12, 0) * np.float32(0.4) - 2))
    canvas.paint(window, callosum.astype(np.float32), tissues["white"], Label.WHITE_MATTER)


def _midline(p: Points) -> Distance:
    """Distance to what joins the hemispheres: callosum, thalami and the parts below."""
    return ellipsoid(p, (0, -14, 2), (60, 38, 23))


def _arch(p: Points) -> Distance:
    return ellipsoid(p, (0, -14, 3), (60, 37, 22))


def _cerebellum(canvas: Canvas, window: Window, tissues: Tissues, seed: int) -> None:
    p = window.points.mirrored()
    outer = cerebellum(p)
    warp = np.float32(2.0) * canvas.noise(window, 24, seed=seed + 3)
    # Folia run around the horizontal fissure like the pages of a book.
    reach = np.sqrt((p.f + np.float32(35)) ** 2 + np.float32(0.2) * p.x * p.x)
    angle = np.arctan2(p.z + np.float32(36), reach) * np.float32(40) + warp
    page = np.cos(angle * np.float32(2 * np.pi / 5.5)).astype(np.float32)
    canvas.paint(window, outer, tissues["grey"], Label.CEREBELLUM)
    crack = np.maximum((np.float32(0.75) - page) * 2, np.maximum(outer, -outer - 10))
    fluid = (tissues["csf"] + tissues["grey"]) / 2
    canvas.paint(window, crack.astype(np.float32), fluid, None)
    core = outer + np.float32(6.5) + np.float32(3) * page
    canvas.paint(window, core.astype(np.float32), tissues["white"], Label.CEREBELLUM)


def _deep_grey(canvas: Canvas, window: Window, p: Points, tissues: Tissues) -> None:
    capsula = ellipsoid(p, (20, -6, 6), (17, 30, 18))
    canvas.paint(window, capsula, tissues["white"], Label.WHITE_MATTER)
    thalamus = ellipsoid(p, (11, -19, 5), (9.5, 15, 10))
    putamen = ellipsoid(p, (26, 2, 3), (5, 17, 11))
    caudate = tube(p, ((14, 22, 8), (16, 6, 18), (19, -18, 20)), (6, 4.5, 2))
    for nucleus in (thalamus, putamen, caudate):
        canvas.paint(window, nucleus, tissues["nuclei"], Label.GREY_MATTER)
    pallidum = ellipsoid(p, (20, -1, 1), (3.5, 9, 7))
    canvas.paint(window, pallidum, (tissues["nuclei"] + tissues["white"]) / 2, Label.GREY_MATTER)


def _ventricles(canvas: Canvas, window: Window, p: Points, tissues: Tissues) -> None:
    horn = tube(p, ((7, 24, 8), (9, 4, 17), (13, -24, 20), (25, -42, 8)), (4.5, 4.2, 4.8, 6))
    lower = tube(p, ((25, -42, 6), (33, -24, -12), (32, -2, -18)), (5, 3, 2))
    rear = capsule(p, (25, -44, 7), (22, -66, 6), 4.5, 2)
    lateral = union(union(horn, lower, 2), rear, 2)
    septum = np.float32(0.9) - p.x
    lateral = np.maximum(lateral, septum)
    third = ellipsoid(p, (0, -10, 0), (2.2, 14, 10))
    fourth = ellipsoid(p, (0, -40, -32), (7, 5, 11))
    cistern = ellipsoid(p, (0, 2, -22), (12, 8, 7))
    duct = capsule(p, (0, -20, -6), (0, -36, -24), 1.2, 1.2)
    for fluid in (
        lateral,
        third,
        fourth,
        duct,
        common(cistern, np.asarray(p.z + 15, np.float32), 2),
    ):
        canvas.paint(window, np.asarray(fluid, np.float32), tissues["csf"], Label.CSF)
    pituitary = ellipsoid(p, (0, 6, -33), (6, 4, 3.5))
    canvas.paint(window, pituitary, tissues["gland"], Label.GLANDS)


def _vessels(canvas: Canvas, window: Window, tissues: Tissues) -> None:
    p = window.points.mirrored()
    sagittal = ellipsoid(p, (0, -26, 13), (8, 75, 63))
    ridge = np.maximum(np.abs(sagittal) - np.float32(2.2), p.x - np.float32(4))
    ridge = np.maximum(ridge, np.maximum(-p.z - 4, p.f - 20))
    across = tube(p, ((0, -100, -6), (38, -88, -16), (58, -52, -24), (52, -32, -48)), (4, 4, 4, 4))
    carotid = tube(p, ((24, -4, -66), (18, 0, -46), (12, 6, -34), (12, 2, -24)), (3, 3, 2.5, 2.5))
    middle = tube(p, ((12, 2, -24), (30, 6, -20), (42, 0, -8)), (2, 1.6, 1.2))
    front = tube(p, ((10, 4, -24), (1.5, 24, -10), (1.5, 32, 8), (1.5, 10, 30)), (1.6, 1.3, 1.3, 1))
    basilar = tube(p, ((0, -8, -46), (0, -7, -30), (0, -6, -18)), (2, 2, 1.8))
    for vessel in (ridge, across, carotid, middle, front, basilar):
        canvas.paint(window, np.asarray(vessel, np.float32), tissues["vessel"], Label.VESSELS)
