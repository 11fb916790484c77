"""What tissues there are, and how bright each is in each contrast."""

from __future__ import annotations

import enum
from typing import Literal

Contrast = Literal["T1", "T1CE", "T2", "FLAIR"]


class Label(enum.IntEnum):
    """What a voxel shows."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    AIRWAY = 6
    CSF = 7
    GREY_MATTER = 8
    WHITE_MATTER = 9
    CEREBELLUM = 10
    BRAINSTEM = 11
    EYES = 12
    ORBITS = 13
    NOSE = 14
    MOUTH = 15
    EARS = 16
    VESSELS = 17
    GLANDS = 18
    CHIN = 19
    CORD = 20
    MUCOSA = 21
    TONGUE = 22


BRAIN = (Label.GREY_MATTER, Label.WHITE_MATTER, Label.CEREBELLUM, Label.BRAINSTEM)
"""Labels that together are the brain."""

CONTRASTS: tuple[Contrast, ...] = ("T1", "T1CE", "T2", "FLAIR")

#               T1  T1CE    T2 FLAIR
_VALUES = {
    "air": (0, 0, 0, 0),
    "skin": (430, 520, 300, 330),
    "fat": (830, 840, 620, 520),
    "muscle": (300, 360, 170, 190),
    "bone": (40, 45, 25, 25),
    "marrow": (520, 540, 360, 300),
    "csf": (110, 110, 950, 45),
    "grey": (390, 405, 500, 480),
    "white": (600, 610, 350, 370),
    "nuclei": (440, 455, 440, 440),
    "vitreous": (100, 100, 980, 70),
    "sclera": (240, 260, 150, 160),
    "lens": (310, 320, 90, 120),
    "mucosa": (370, 800, 760, 620),
    "vessel": (150, 930, 40, 60),
    "gland": (520, 700, 420, 400),
    "cartilage": (290, 310, 260, 260),
    "tongue": (400, 450, 270, 280),
    "tooth": (15, 15, 10, 10),
    "dura": (200, 640, 150, 170),
    "disc": (300, 310, 420, 300),
}


def values(contrast: Contrast) -> dict[str, float]:
    """Brightness of each tissue; pure fat on T1 is 830, pure air 0."""
    column = CONTRASTS.index(contrast)
    return {tissue: float(row[column]) for tissue, row in _VALUES.items()}
