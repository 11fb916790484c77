"""The cavity of the skull, its bone, and the bones, airways and soft parts of the face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drawn_head.face import EYE
from drawn_head.shapes import capsule, common, ellipsoid, tube, union
from drawn_head.tissue import Label

if TYPE_CHECKING:
    from drawn_head.canvas import Canvas, Window
    from drawn_head.face import Features
    from drawn_head.shapes import Distance, Points

    Tissues = dict[str, float]

SKULL_BOX = ((-110, -130, -80), (110, 100, 110))


def cerebrum(p: Points) -> Distance:
    """Both hemispheres as one shape, without fissures."""
    front = ellipsoid(p, (0, 8, 10), (55, 61, 58))
    back = ellipsoid(p, (0, -29, 14), (65, 68, 60))
    whole = union(front, back, 20)
    above = np.float32(-17) - p.z + np.minimum(p.f + np.float32(10), 0) * np.float32(0.12)
    whole = common(whole, np.asarray(above, np.float32), 10)
    temporal = ellipsoid(p.pitched((34, 2, -22), -8), (35, 2, -22), (23, 38, 20))
    return union(whole, temporal, 3)


def cerebellum(p: Points) -> Distance:
    """Both hemispheres of the cerebellum and its worm."""
    half = ellipsoid(p, (20, -55, -35), (27, 26, 20))
    return union(half, ellipsoid(p, (0, -56, -32), (12, 25, 19)), 6)


def brainstem(p: Points) -> Distance:
    """Midbrain, pons, medulla and spinal cord."""
    stem = tube(
        p,
        ((0, -18, -4), (0, -22, -26), (0, -34, -56), (0, -40, -80), (0, -46, -215)),
        (11, 13, 7.5, 5.5, 5.5),
    )
    return union(stem, ellipsoid(p, (0, -18, -27), (16, 11, 13)), 4)


def cavity(p: Points) -> Distance:
    """Join what the dura encloses: brain, fluid, and the canal down the spine."""
    canal = tube(p, ((0, -24, -30), (0, -38, -70), (0, -46, -215)), (19, 10, 9))
    return union(union(cerebrum(p), cerebellum(p), 5), canal, 6) - np.float32(2.5)


def draw_soft_parts(canvas: Canvas, window: Window, skin: Distance, tissues: Tissues) -> None:
    """Skin, fat below it, and muscle parted by fat, as deep as the skin is away."""
    p = window.points
    strands = canvas.noise(window, 14, seed=11)
    canvas.paint(window, skin, tissues["skin"], Label.SKIN)
    canvas.paint(window, skin + np.float32(2.0), tissues["fat"], Label.FAT)
    behind = np.clip((-p.f - np.float32(20)) / np.float32(50), 0, 1)
    low = np.clip((np.float32(-60) - p.z) / np.float32(40), 0, 1)
    scalp = np.clip((p.z + 25) / np.float32(20), 0, 1)
    depth = np.float32(5.0) + 6 * behind * low + 9 * scalp + np.float32(1.2) * strands
    grain = np.float32(tissues["muscle"]) * (1 + np.float32(0.07) * strands)
    canvas.paint(window, skin + depth, grain, Label.MUSCLE)
    sheet = canvas.sheets(window, 38, seed=12)
    broken = np.float32(0.9) * canvas.noise(window, 22, seed=16) - np.float32(0.2)
    septum = np.maximum(sheet - np.minimum(broken, 1), skin + depth + 1)
    canvas.paint(window, septum, tissues["fat"], Label.FAT)


def draw_face_inside(canvas: Canvas, skin: Distance, tissues: Tissues, features: Features) -> None:
    """Fat, muscles and glands of the cheek, jaws, teeth, tongue and airways."""
    _cheek(canvas, skin, tissues)
    _jaws(canvas, skin, tissues)
    _mouth(canvas, skin, tissues)
    _airways(canvas, skin, tissues, features)


def draw_skull(canvas: Canvas, window: Window, skin: Distance, tissues: Tissues) -> None:
    """Outer table, diploe and inner table around the cavity, and fluid inside it."""
    p = window.points
    cavity_mm = cavity(p.mirrored())
    thick = np.float32(6.2) + np.float32(0.7) * canvas.noise(window, 50, seed=13)
    base = np.clip((p.z + 30) / np.float32(25), 0, 1) * np.clip((p.z + 5 + p.f / 2) / 20, 0.3, 1)
    thick = np.float32(3.2) + (thick - np.float32(3.2)) * base
    canvas.paint(window, common(cavity_mm - thick, skin + 3, 2), tissues["bone"], Label.BONE)
    middle = np.abs(cavity_mm - thick / 2 - np.float32(0.2)) - (thick / 2 - np.float32(1.9))
    canvas.paint(window, common(middle, skin + 5, 2), tissues["marrow"], Label.MARROW)
    canvas.paint(window, cavity_mm, tissues["dura"], Label.CSF)
    canvas.paint(window, cavity_mm + np.float32(0.8), tissues["csf"], Label.CSF)


def draw_spine(canvas: Canvas, tissues: Tissues) -> None:
    """Clivus, vertebrae with discs, and the spines behind the canal."""
    window = canvas.window(((-30, -85, -215), (30, 25, -35)))
    if window is None:
        return
    p = window.points
    bodies = tube(p, ((0, -16, -76), (0, -20, -140), (0, -28, -215)), (9, 10.5, 12))
    spines = capsule(p, (0, -58, -84), (0, -68, -215), 5, 7)
    canvas.paint(window, bodies, tissues["bone"], Label.BONE)
    canvas.paint(window, spines, tissues["bone"], Label.BONE)
    canvas.paint(window, bodies + np.float32(1.6), tissues["marrow"], Label.MARROW)
    canvas.paint(window, spines + np.float32(2), tissues["marrow"], Label.MARROW)
    level = np.abs(np.mod(p.z + np.float32(92), np.float32(17)) - np.float32(8.5))
    discs = np.maximum(bodies, level - np.float32(2.6))
    canvas.paint(window, np.maximum(discs, p.z + 84), tissues["disc"], Label.BONE)
    clivus = tube(p, ((0, 10, -40), (0, -2, -54), (0, -12, -66)), (8, 6, 4))
    canvas.paint(window, clivus, tissues["bone"], Label.BONE)
    canvas.paint(window, clivus + np.float32(1.4), tissues["marrow"], Label.MARROW)


def _cheek(canvas: Canvas, skin: Distance, tissues: Tissues) -> None:
    for window in canvas.windows(((10, -45, -150), (85, 95, 45))):
        p = window.points.mirrored()
        below = skin[window.slices] + np.float32(3.5)
        pad = common(ellipsoid(p, (40, 52, -80), (11, 20, 20)), below, 2)
        canvas.paint(window, pad, tissues["fat"], Label.FAT)
        temporalis = common(ellipsoid(p, (62, 22, -14), (10, 34, 36)), below, 2)
        masseter = common(capsule(p, (55, 26, -64), (47, 18, -112), 8, 10), below, 2)
        smile = common(capsule(p, (44, 60, -62), (24, 80, -100), 3, 3), below, 1)
        for muscle in (temporalis, masseter, smile):
            canvas.paint(window, muscle, tissues["muscle"], Label.MUSCLE)
        petrous = union(
            ellipsoid(p, (50, -24, -50), (13, 16, 15)), ellipsoid(p, (34, -16, -42), (20, 10, 9)), 6
        )
        petrous = common(petrous, below, 2)
        canvas.paint(window, petrous, tissues["bone"], Label.BONE)
        cells = canvas.noise(window, 9, seed=17)
        spongy = tissues["marrow"] * np.float32(0.55) * np.clip(cells, 0, 1)
        canvas.paint(window, petrous + np.float32(2), spongy, Label.BONE)
        canal = tube(p, ((76, -12, -46), (60, -13, -45), (44, -14, -44)), (3.5, 3, 2.5))
        canvas.paint(window, canal, 0.0, Label.AIRWAY)
        parotid = common(ellipsoid(p, (54, -6, -78), (10, 14, 22)), below, 2)
        canvas.paint(window, parotid, tissues["gland"], Label.GLANDS)


def _jaws(canvas: Canvas, skin: Distance, tissues: Tissues) -> None:
    for window in canvas.windows(((-2, -25, -150), (75, 95, -35))):
        p = window.points.mirrored()
        below = skin[window.slices] + np.float32(5)
        maxilla = common(ellipsoid(p, (0, 52, -82), (36, 32, 18)), below, 2)
        zygoma = tube(p, ((26, 66, -54), (48, 48, -54), (60, 20, -52), (62, 0, -48)), (6, 7, 3, 3))
        body = tube(p, ((0, 70, -126), (26, 56, -120), (44, 16, -108), (46, 4, -64)), (8, 7, 7, 5))
        for bone in (maxilla, common(zygoma, below, 2), common(body, below, 2)):
            canvas.paint(window, bone, tissues["bone"], Label.BONE)
            canvas.paint(window, bone + np.float32(1.8), tissues["marrow"], Label.MARROW)


def _mouth(canvas: Canvas, skin: Distance, tissues: Tissues) -> None:
    window = canvas.window(((-42, -5, -140), (42, 100, -72)))
    if window is None:
        return
    p = window.points
    below = skin[window.slices] + np.float32(6)
    inside = common(ellipsoid(p, (0, 42, -98), (32, 40, 24)), below, 2)
    canvas.paint(window, inside, tissues["muscle"], Label.MUSCLE)
    palate = common(ellipsoid(p, (0, 40, -88), (24, 34, 9)), below, 2)
    canvas.paint(window, palate, tissues["mucosa"], Label.MUCOSA)
    canvas.paint(window, palate + np.float32(2), 0.0, Label.AIRWAY)
    tongue = common(ellipsoid(p, (0, 38, -105), (23, 36, 20)), below, 2)
    tongue = union(tongue, ellipsoid(p, (0, 22, -112), (20, 18, 22)), 6)
    grain = tissues["tongue"] * (1 + np.float32(0.12) * canvas.noise(window, 9, seed=14))
    canvas.paint(window, tongue, tissues["mucosa"], Label.TONGUE)
    canvas.paint(window, tongue + np.float32(1.5), grain, Label.TONGUE)
    floor = ellipsoid(p, (0, 40, -126), (16, 24, 5))
    canvas.paint(window, common(floor, below, 2), tissues["fat"], Label.FAT)
    arch = np.sqrt((p.x / np.float32(26)) ** 2 + ((p.f - np.float32(46)) / np.float32(33)) ** 2)
    ring = np.abs(arch - 1) * np.float32(27) - np.float32(4.2)
    ring = np.maximum(ring, np.float32(38) - p.f)
    turn = np.arctan2(p.x, p.f - np.float32(40))
    gaps = np.float32(1.3) * np.maximum(np.cos(turn * np.float32(15)), 0) ** 4
    tall = np.abs(np.abs(p.z + np.float32(103)) - np.float32(9.5)) - np.float32(9)
    teeth = np.asarray(np.maximum(np.maximum(ring + gaps, tall), below - 1), np.float32)
    canvas.paint(window, teeth, tissues["tooth"], Label.MOUTH)
    pulp = np.maximum(teeth + np.float32(3.4), tall + np.float32(2))
    canvas.paint(window, np.asarray(pulp, np.float32), tissues["gland"], Label.MOUTH)


def _airways(canvas: Canvas, skin: Distance, tissues: Tissues, features: Features) -> None:
    for window in canvas.windows(((-2, -40, -215), (34, 115, 5))):
        p = window.points.mirrored()
        inside = skin[window.slices] + np.float32(2.2)
        tip = features.nose_tip
        cavum = ellipsoid(p, (8, 56, -66), (6.5, 34, 19))
        entry = tube(
            p, ((6.5, tip[1] - 6, tip[2] - 12), (7, tip[1] - 12, tip[2]), (7, 74, -66)), (4, 4, 5)
        )
        passage = union(cavum, entry, 4)
        throat = tube(
            p,
            ((0, 22, -66), (0, 10, -84), (0, 3, -118), (0, 4, -150), (0, 0, -215)),
            (9, 9, 7, 7, 9),
        )
        passage = union(passage, throat, 5)
        sphenoid = ellipsoid(p, (8, 20, -36), (8, 12, 9))
        maxillary = ellipsoid(p, (26, 50, -66), (12, 18, 16))
        frontal = ellipsoid(p, (9, 71, -13), (10, 5, 10))
        cells = ellipsoid(p, (8, 44, -36), (6, 24, 11))
        walls = canvas.sheets(window, 18, seed=15) - np.float32(0.9)
        for hollow in (passage, sphenoid, maxillary, frontal, cells):
            hollow_in = np.maximum(hollow, inside)
            canvas.paint(window, hollow_in - 2, tissues["mucosa"], Label.MUCOSA)
            canvas.paint(window, hollow_in, 0.0, Label.AIRWAY)
        canvas.paint(window, np.maximum(cells, walls), tissues["mucosa"], Label.MUCOSA)
        for height, back in ((-58, 40), (-68, 28), (-78, 28)):
            shell = capsule(p, (10, back, height), (9, 78, height - 3), 3.2, 2.6)
            canvas.paint(window, shell, tissues["mucosa"], Label.MUCOSA)
        septum = np.maximum(p.x - np.float32(1.4), ellipsoid(p, (0, 60, -66), (8, 36, 24)))
        canvas.paint(window, np.asarray(septum, np.float32), tissues["cartilage"], Label.MUCOSA)
        velum = tube(p, ((0, 36, -82), (0, 20, -86), (0, 13, -100)), (3, 4, 3))
        canvas.paint(window, velum, tissues["mucosa"], Label.MUCOSA)


def draw_eyes(canvas: Canvas, skin: Distance, tissues: Tissues) -> None:
    """Globes with lenses in orbits of fat, moved by muscles, with optic nerves."""
    for window in canvas.windows(((4, 15, -62), (56, 95, -10))):
        p = window.points.mirrored()
        below = skin[window.slices] + np.float32(2)
        cone = tube(p, ((31, 62, -36), (25, 46, -36), (15, 26, -35)), (17, 13, 4))
        cone = common(cone, below, 1)
        canvas.paint(window, cone - np.float32(1.5), tissues["bone"], Label.BONE)
        canvas.paint(window, cone, tissues["fat"], Label.ORBITS)
        for side, up in ((9, 0), (-9, 0), (0, 9), (0, -9)):
            start = (EYE[0] + side * 1.3, EYE[1] - 4, EYE[2] + up * 1.3)
            middle = (25 + side * 0.9, 48.0, EYE[2] + up * 0.9)
            muscle = tube(p, (start, middle, (15, 28, -35)), (1.4, 2.6, 1.2))
            canvas.paint(window, muscle, tissues["muscle"], Label.ORBITS)
        nerve = tube(
            p, ((EYE[0] - 2, EYE[1] - 11, EYE[2]), (24, 42, -35), (14, 22, -33)), (3, 3, 3)
        )
        canvas.paint(window, nerve, tissues["csf"], Label.ORBITS)
        canvas.paint(window, nerve + np.float32(1.2), tissues["white"], Label.ORBITS)
        globe = ellipsoid(p, EYE, (12.2, 12.2, 12.0))
        cornea = ellipsoid(p, (EYE[0], EYE[1] + 6.5, EYE[2]), (7.4, 7.2, 7.4))
        globe = union(globe, cornea, 1)
        canvas.paint(window, globe, tissues["sclera"], Label.EYES)
        canvas.paint(window, globe + np.float32(1.2), tissues["vitreous"], Label.EYES)
        lens = ellipsoid(p, (EYE[0], EYE[1] + 7.5, EYE[2]), (4.8, 2.2, 4.8))
        canvas.paint(window, lens, tissues["lens"], Label.EYES)
