"""The outside of the head: cranium, face, ears and neck as one soft surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drawn_head.shapes import Points, capsule, common, cut, ellipsoid, tube, union

if TYPE_CHECKING:
    from drawn_head.canvas import Canvas
    from drawn_head.shapes import Distance, Triple

EYE: Triple = (31.5, 66.0, -36.0)
EAR: Triple = (72.0, -16.0, -44.0)
NASION: Triple = (0.0, 83.0, -32.0)
MOUTH: Triple = (0.0, 88.0, -103.0)
CHIN: Triple = (0.0, 79.0, -131.0)
VERTEX: Triple = (0.0, -15.0, 86.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What differs between faces, as factors of an average face's."""

    nose: float = 1.0
    cheeks: float = 1.0
    chin: float = 1.0
    ears: float = 1.0
    jaw: float = 1.0

    @staticmethod
    def drawn(seed: int) -> Features:
        """Features of one face of many."""
        factor = 1 + 0.09 * np.clip(np.random.default_rng(seed).standard_normal(5), -2, 2)
        nose, cheeks, chin, ears, jaw = (float(v) for v in factor)
        return Features(nose=nose, cheeks=cheeks, chin=chin, ears=ears, jaw=jaw)

    @property
    def nose_tip(self) -> Triple:
        """Centre of the ball of the nose."""
        return (0.0, 88.0 + 15.0 * self.nose, -75.0)

    @property
    def ear(self) -> Triple:
        """Where the left pinna is thickest."""
        return (EAR[0] + 12.5 * self.ears, EAR[1] - 13.5 * self.ears, EAR[2] - 0.5)


def draw_skin(canvas: Canvas, features: Features) -> tuple[Distance, Distance, Distance]:
    """Distance to the skin, and to nose and ears alone.

    Returns
    -------
    skin, nose, ears : (slices, rows, columns) ndarray of float32
        Distances in mm, negative inside.
    """
    skin = canvas.distance()
    _join_cranium_and_neck(canvas, skin)
    _join_face(canvas, skin, features)
    _hollow_face(canvas, skin)
    nose = canvas.distance()
    canvas.join(nose, ((-30, 60, -100), (30, 125, -20)), lambda p: _nose(p, features), 0.01)
    ears = canvas.distance()
    canvas.join(ears, ((55, -65, -95), (110, 15, 5)), lambda p: _ear(p, features), 0.01)
    for part, k in ((nose, 5.0), (ears, 3.0)):
        near = part < 60
        skin[near] = union(skin[near], part[near], k)
    _lids_and_lips(canvas, skin)
    return skin, nose, ears


def _join_cranium_and_neck(canvas: Canvas, skin: Distance) -> None:
    def cranium(p: Points) -> Distance:
        front = ellipsoid(p, (0, 10, 6), (68, 77, 74))
        back = ellipsoid(p, (0, -28, 8), (78, 84, 79))
        return union(front, back, 30)

    def neck(p: Points) -> Distance:
        rod = tube(p, ((0, -22, -70), (0, -30, -150), (0, -32, -215)), (54, 53, 60))
        throat = capsule(p, (0, 12, -130), (0, 6, -215), 30, 34)
        shoulders = capsule(p, (0, -30, -250), (190, -38, -275), 62, 50)
        return union(union(rod, throat, 25), shoulders, 45)

    canvas.join(skin, ((-260, -160, -330), (260, 130, 120)), cranium, 0.01)
    canvas.join(skin, ((-260, -135, -330), (260, 80, 30)), neck, 35)


def _join_face(canvas: Canvas, skin: Distance, features: Features) -> None:
    def middle(p: Points) -> Distance:
        block = ellipsoid(p, (0, 28, -58), (62, 58, 62))
        brow = capsule(p, (0, 74, -20), (34, 66, -20), 11, 11)
        cheekbone = capsule(p, (40, 60, -56), (62, 24, -52), 13, 10)
        cheek = ellipsoid(p, (32, 60, -78), (24 * features.cheeks, 24, 26))
        muzzle = ellipsoid(p, (0, 58, -98), (33, 33, 27))
        shape = union(block, brow, 14)
        for part, k in ((cheekbone, 16), (cheek, 16), (muzzle, 16)):
            shape = union(shape, part, k)
        return shape

    def jaw(p: Points) -> Distance:
        wide = 43 * features.jaw
        bone = tube(p, ((0, 66, -128), (wide - 16, 48, -120), (wide, 8, -100)), (19, 15, 15))
        floor = ellipsoid(p, (0, 20, -105), (48, 52, 30))
        ball = ellipsoid(p, CHIN, (15, 11 * features.chin, 13))
        return union(union(bone, floor, 16), ball, 12)

    canvas.join(skin, ((-100, -20, -150), (100, 130, 20)), middle, 20)
    canvas.join(skin, ((-95, -50, -175), (95, 120, -60)), jaw, 16)


def _hollow_face(canvas: Canvas, skin: Distance) -> None:
    for window in canvas.windows(((2, 0, -85), (100, 120, 25))):
        p = window.points.mirrored()
        socket = ellipsoid(p, (30, 91, -36), (18, 18, 13))
        temple = ellipsoid(p, (86, 60, -30), (18, 28, 26))
        part = skin[window.slices]
        part[...] = cut(cut(part, socket, 14), temple, 14)
    fold = canvas.window(((-40, 70, -130), (40, 120, -78)))
    if fold is not None:
        p = fold.points.mirrored()
        part = skin[fold.slices]
        groove = capsule(p, (0, 101, -117), (24, 86, -118), 8, 8)
        philtrum = capsule(p, (0, 99, -84), (0, 97.5, -96), 2.6, 2.6)
        part[...] = cut(cut(part, groove, 8), philtrum, 3)


def _nose(p: Points, features: Features) -> Distance:
    tip = features.nose_tip
    bridge = capsule(p, NASION, (0, tip[1] - 2, tip[2] + 1), 5, 8)
    ball = ellipsoid(p, tip, (10, 10, 9))
    ala = ellipsoid(p, (13, tip[1] - 11, tip[2] - 4), (6.5, 10, 8))
    side = capsule(p, (7, 78, -45), (14, 80, -74), 7, 10)
    shape = union(union(bridge, ball, 7), ala, 5)
    shape = union(shape, side, 9)
    nostril = capsule(p, (6.2, tip[1] - 5, tip[2] - 14), (7, tip[1] - 10, tip[2] + 2), 3.8, 3.2)
    return cut(shape, nostril, 2)


def _ear(p: Points, features: Features) -> Distance:
    """Draw a pinna: a bent plate with a rolled rim, an inner ridge, a bowl and a lobe."""
    size = np.float32(features.ears)
    x, f, z = ((axis - np.float32(c)) / size for axis, c in zip(p, EAR, strict=True))
    lean, flare = np.radians(12), np.radians(28)
    u = (-f * np.float32(np.cos(lean)) + z * np.float32(np.sin(lean))).astype(np.float32)
    v = (z * np.float32(np.cos(lean)) + f * np.float32(np.sin(lean))).astype(np.float32)
    # u runs backward in the plane of the ear, v upward, w outward
    w = x * np.float32(np.cos(flare)) - u * np.float32(np.sin(flare))
    u = u * np.float32(np.cos(flare)) + x * np.float32(np.sin(flare)) - 4
    wide = np.where(v > 0, np.float32(17), np.float32(17) + v * np.float32(0.17))
    r = np.sqrt((u / wide) ** 2 + (v / np.float32(31)) ** 2)
    edge = (r - 1) * np.float32(19)
    w = w - np.float32(3.5) * r * r
    plate = common(edge, np.abs(w) - np.float32(2.0), 2)
    rim = np.sqrt((edge + np.float32(2.5)) ** 2 + (w - np.float32(2.5)) ** 2) - np.float32(2.9)
    rim = np.where(v < -22, np.float32(9), rim)
    fold = np.sqrt(((r - np.float32(0.56)) * 19) ** 2 + (w - np.float32(2.0)) ** 2) - np.float32(
        2.6
    )
    fold = np.where((u < -4) | (v < -18), np.float32(9), fold)
    shape = union(union(plate, rim.astype(np.float32), 2), fold.astype(np.float32), 2.5)
    ear = Points(u, v, w)
    root = ellipsoid(ear, (-7, -3, -9), (12, 25, 13))
    lobe = ellipsoid(ear, (-4, -28, 3), (8, 9, 4))
    tragus = ellipsoid(ear, (-14, -4, 5), (4, 7, 4))
    bowl = ellipsoid(ear, (-5, -3, 4), (8, 10, 6))
    shape = union(union(shape, root, 4), lobe, 4)
    return np.asarray(union(cut(shape, bowl, 2), tragus, 2) * size, np.float32)


def _lids_and_lips(canvas: Canvas, skin: Distance) -> None:
    for window in canvas.windows(((10, 50, -55), (55, 90, -18))):
        p = window.points.mirrored()
        part = skin[window.slices]
        lids = ellipsoid(p, (EYE[0], EYE[1], EYE[2]), (15.5, 14.6, 14.2))
        slit = ellipsoid(p, (EYE[0], EYE[1] + 14, EYE[2] - 2.5), (13, 2.4, 1.0))
        part[...] = cut(union(part, lids, 5), slit, 1.5)
    mouth = canvas.window(((-35, 60, -118), (35, 110, -88)))
    if mouth is not None:
        p = mouth.points.mirrored()
        part = skin[mouth.slices]
        for lip in lips(p):
            part[...] = union(part, lip, 3)
        gap = tube(p, ((0, 96.5, -103.2), (13, 92.0, -102.8), (25, 83.5, -104)), (1.5, 1.4, 0.9))
        part[...] = cut(part, gap, 1.5)


def lips(p: Points) -> tuple[Distance, Distance]:
    """Upper and lower lip."""
    upper = tube(p, ((2.5, 90.5, -98.8), (12, 87.5, -99.6), (24, 80.5, -103)), (4.2, 4.0, 1.6))
    lower = tube(p, ((0, 90, -107.6), (12, 87, -107), (24, 80.5, -104)), (4.8, 4.2, 1.6))
    return upper, lower
