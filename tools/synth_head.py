"""Draw a head by code, and write it as a DICOM series of a patient who does not exist.

    python tools/synth_head.py --out FOLDER [--contrast T1] [--orientation sagittal]

For tests: ``from synth_head import draw_head, small_head, grid, dicom_series``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from drawn_head.head import Grid, Head, draw_head, grid, small_head
from drawn_head.series import FakePatient, PixelFormat, dicom_series
from drawn_head.tissue import BRAIN, CONTRASTS, Contrast, Label
from rich.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

__all__ = [
    "BRAIN",
    "CONTRASTS",
    "Contrast",
    "FakePatient",
    "Grid",
    "Head",
    "Label",
    "PixelFormat",
    "dicom_series",
    "draw_head",
    "grid",
    "small_head",
    "write_series",
]


def write_series(instances: Sequence[Dataset], folder: Path, *, quiet: bool = True) -> list[Path]:
    """Write instances as Part 10 files.

    Parameters
    ----------
    instances
        What `dicom_series` made.
    folder
        Made if absent.
    quiet
        Show no progress bar.

    Returns
    -------
    list of Path
        The files, in the order of the instances.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"MR{number:04d}.dcm" for number in range(1, len(instances) + 1)]
    pairs = list(zip(instances, paths, strict=True))
    for instance, path in track(pairs, description="Writing", disable=quiet):
        instance.save_as(path, enforce_file_format=True)
    return paths


def main() -> None:
    """Draw one head as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the instances")
    parser.add_argument("--contrast", choices=CONTRASTS, default="T1")
    parser.add_argument(
        "--orientation", choices=("axial", "sagittal", "coronal", "oblique"), default="sagittal"
    )
    parser.add_argument("--age", choices=("adult", "child", "newborn"), default="adult")
    parser.add_argument("--size", type=float, default=1.0, help="voxel size in mm (default 1)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another face")
    wanted = parser.parse_args()
    where = grid(wanted.orientation, wanted.size)
    head = draw_head(
        contrast=wanted.contrast,
        shape=where.shape,
        affine=where.affine,
        seed=wanted.seed,
        age=wanted.age,
    )
    paths = write_series(dicom_series(head), wanted.out, quiet=False)
    print(f"{len(paths)} instances in {wanted.out}")


if __name__ == "__main__":
    main()
