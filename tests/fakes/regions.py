"""Instances with drawn pixels, profiles that clean regions, and pixels laid out one by one."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.datadict import tag_for_keyword

from deid_node.config.profile_file import load_profile
from deid_node.dicom.rectangle import Rectangle
from deid_node.headers.profile import Option, PixelRegion, Profile
from tests.planted import INSTANCES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

ROWS, COLUMNS = 7, 9
RECTANGLES = ((0, 0, 9, 1), (5, 2, 3, 3), (7, 4, 2, 3))
"""A banner, and two that overlap, of which one ends in the lower right corner."""


def region_for(
    dataset: Dataset, rectangles: tuple[tuple[int, ...], ...] = RECTANGLES
) -> PixelRegion:
    """Give a region that is meant for an instance."""
    keywords = ("Modality", "Manufacturer", "Rows", "Columns")
    conditions = {tag_for_keyword(keyword) or 0: dataset[keyword].value for keyword in keywords}
    return PixelRegion(
        when=tuple(sorted(conditions.items())),
        rectangles=tuple(
            Rectangle(column=column, row=row, width=width, height=height)
            for column, row, width, height in rectangles
        ),
        why="Drawn for this test.",
    )


def cleaning(
    *regions: PixelRegion, name: str = "basic", options: tuple[Option, ...] = ()
) -> Profile:
    """Give a shipped profile that cleans regions besides."""
    base = load_profile(name)
    every = base.options | {Option.CLEAN_PIXEL_DATA, *options}
    return replace(base, options=every, pixel_regions=regions)


def laid_out(cells: NDArray[np.int64], *, planar: bool, bits: int, order: str = "<") -> bytes:
    """Write (frames, rows, columns, samples) cells one by one, PS3.5 section 8.1.1 and 8.2.1."""
    frames, rows, columns, samples = cells.shape
    places = [
        (frame, row, column, sample)
        for frame in range(frames)
        for outer in (range(samples) if planar else [None])
        for row in range(rows)
        for column in range(columns)
        for sample in ([outer] if outer is not None else range(samples))
    ]
    form = f"{order}{'B' if bits == 8 else 'H'}"
    content = b"".join(struct.pack(form, int(cells[place])) for place in places)
    return content + b"\0" * (len(content) % 2)


def expected(
    cells: NDArray[np.int64],
    black: tuple[int, ...],
    rectangles: tuple[tuple[int, ...], ...] = RECTANGLES,
) -> NDArray[np.int64]:
    """Say for each pixel by itself what it must be."""
    result = cells.copy()
    for frame, row, column in np.ndindex(cells.shape[:3]):
        inside = any(
            left <= column < left + width and top <= row < top + height
            for left, top, width, height in rectangles
        )
        if inside:
            result[frame, row, column] = black
    return result


def drawn(
    photometric: str = "MONOCHROME2",
    *,
    allocated: int = 8,
    stored: int = 8,
    signed: bool = False,
    planar: bool = False,
    frames: int = 1,
    columns: int = COLUMNS,
    dense: bool = True,
    seed: int = 0,
) -> tuple[Dataset, NDArray[np.int64]]:
    """Give a Secondary Capture with random pixels, and its (frames, rows, columns, samples) cells.

    Of signed pixels, every other negative one has its sign repeated above High Bit. Noise alone
    is nothing that every encoder can write: half of what is not `dense` is even.
    """
    samples = 1 if photometric.startswith("MONO") or photometric == "PALETTE COLOR" else 3
    random = np.random.default_rng(seed)
    cells = random.integers(0, 1 << stored, (frames, ROWS, columns, samples)).astype(np.int64)
    if not dense:
        cells[:, 1:, :5] = 1
    if signed:
        negative = cells >> (stored - 1) == 1
        repeated = negative & (np.indices(cells.shape).sum(axis=0) % 2 == 0)
        cells[repeated] |= (1 << allocated) - (1 << stored)
    dataset = INSTANCES["SC"]()
    facts: dict[str, Any] = {
        "Rows": ROWS,
        "Columns": columns,
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": photometric,
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": int(signed),
        "PixelData": laid_out(cells, planar=planar, bits=allocated),
    }
    if samples > 1:
        facts["PlanarConfiguration"] = int(planar)
    if frames > 1:
        facts["NumberOfFrames"] = str(frames)
    for keyword, value in facts.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    return dataset, cells
