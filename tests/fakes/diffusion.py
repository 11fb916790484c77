"""Diffusion series as three makers write them: the b-value and gradient in private numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.uid import UID

from tests.fakes.acquisitions import STYLES, add_private

if TYPE_CHECKING:
    from pydicom import Dataset

    from tests.fakes.acquisitions import Private

B_VALUES: Final = (0, 1000, 1000, 2000)
DIRECTIONS: Final = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.6, 0.8), (-0.6, 0.8, 0.0))
N_SLICES: Final = 4
SIZE: Final = 16
_STANDARD: Final = ("DiffusionBValue", "DiffusionGradientOrientation")


def diffusion_series(maker: str) -> list[Dataset]:
    """Draw one volume for each of `B_VALUES`; no standard attribute tells b or direction."""
    return [
        _instance(maker, volume, place)
        for volume in range(len(B_VALUES))
        for place in range(N_SLICES)
    ]


def _instance(maker: str, volume: int, place: int) -> Dataset:
    instance = STYLES[maker]()
    for tag in [tag for tag in instance.keys() if tag.is_private]:  # noqa: SIM118 - stays raw
        del instance[tag]
    for keyword in _STANDARD:
        del instance[keyword]
    add_private(instance, _gradient(maker, volume, place))
    number = volume * N_SLICES + place
    instance.SOPInstanceUID = UID(f"1.2.3.4.5.9.{number + 1}")
    instance.InstanceNumber = number + 1
    instance.AcquisitionNumber = volume + 1
    instance.AcquisitionTime = f"1011{volume:02}.5"
    instance.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
    instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    instance.ImagePositionPatient = [-16, -16, 3 * place]
    instance.SliceLocation = 3 * place
    instance.SliceThickness = instance.SpacingBetweenSlices = 3
    instance.PixelSpacing = [2, 2]
    instance.Rows = instance.Columns = SIZE
    cells = np.random.default_rng(number).integers(0, 4096, SIZE * SIZE)
    instance.PixelData = cells.astype("<u2").tobytes()
    return instance


def _gradient(maker: str, volume: int, place: int) -> Private:
    b, (x, y, z) = B_VALUES[volume], DIRECTIONS[volume]
    if maker == "siemens":
        directed = {0x0E: ("FD", [x, y, z])} if b else {}
        return {
            (0x0019, "SIEMENS MR HEADER"): {
                0x0C: ("IS", str(b)),
                0x0D: ("CS", "DIRECTIONAL" if b else "NONE"),
                **directed,
            }
        }
    if maker == "ge":
        return {
            (0x0019, "GEMS_ACQU_01"): {
                0xBB: ("DS", str(x)),
                0xBC: ("DS", str(y)),
                0xBD: ("DS", str(z)),
            },
            (0x0043, "GEMS_PARM_01"): {0x39: ("IS", [b, 8, 0, 0])},
        }
    return {
        (0x2001, "Philips Imaging DD 001"): {
            0x03: ("FL", float(b)),
            0x08: ("IS", "1"),
            0x0A: ("IS", str(place + 1)),
            0x0B: ("CS", "TRANSVERSAL"),
            0x18: ("SL", N_SLICES),
        },
        (0x2005, "Philips MR Imaging DD 001"): {
            0x0D: ("FL", 0.0),
            0x0E: ("FL", 0.0078125),
            0xB0: ("FL", x),
            0xB1: ("FL", y),
            0xB2: ("FL", z),
        },
        (0x2005, "Philips MR Imaging DD 005"): {
            0x12: ("IS", str(1 + sorted(set(B_VALUES)).index(b))),
            0x13: ("IS", str(volume + 1)),
        },
    }
