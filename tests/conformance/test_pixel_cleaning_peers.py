"""dciodvfy finds no new error in an instance whose pixels were cleaned.

One kind but: the US IOD has no name for YCbCr colours of every pixel (PS3.3 C.8.5.6.1.2), which
is what its own YBR_FULL_422 becomes when it is decoded and no colour is changed.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from deid_node.config.profile_file import shipped_profiles
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.regions import cleaning, region_for
from tests.fakes.ultrasound import ultrasound_instance
from tests.planted import INSTANCES, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        shutil.which("dciodvfy") is None, reason="NO dciodvfy: install Debian's dicom3tools"
    ),
]
UNNAMED: Counter[str] = Counter(
    {"Error - Unrecognized enumerated value <> for value 1 of attribute <>": 2}
)
"""Photometric Interpretation YBR_FULL, and Planar Configuration 0 beside it."""
COLOURS = np.full((3, 48, 64, 3), (10, 90, 200), np.uint8)


def errors(content: bytes, path: Path) -> Counter[str]:
    path.write_bytes(content)
    done = subprocess.run(
        ["dciodvfy", str(path)], check=False, capture_output=True, text=True, errors="replace"
    )
    lines = (done.stderr + done.stdout).splitlines()
    return Counter(re.sub(r"= .*|<[^>]*>", "<>", ln) for ln in lines if ln.startswith("Error"))


def secondary_capture() -> tuple[Dataset, bytes]:
    dataset = INSTANCES["SC"]()
    return dataset, written(dataset)


def ultrasound() -> tuple[Dataset, bytes]:
    dataset = ultrasound_instance(COLOURS)
    return dataset, written(dataset)


def ultrasound_in_rle() -> tuple[Dataset, bytes]:
    dataset = dcmread(io.BytesIO(written(ultrasound_instance(COLOURS))))
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    return dataset, written(dataset, syntax=RLELossless)


def ultrasound_in_jpeg() -> tuple[Dataset, bytes]:
    return in_jpeg(ultrasound_instance(COLOURS, "YBR_FULL_422"))


def secondary_capture_in_jpeg() -> tuple[Dataset, bytes]:
    dataset = INSTANCES["SC"]()
    for keyword in ("SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns"):
        setattr(dataset, keyword, ultrasound_instance(COLOURS)[keyword].value)
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    return in_jpeg(dataset)


def in_jpeg(dataset: Dataset) -> tuple[Dataset, bytes]:
    streams = []
    for frame in COLOURS[: int(dataset.get("NumberOfFrames", 1))]:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=90, subsampling=1)
        streams.append(buffer.getvalue())
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].is_undefined_length = True
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = "10"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    return dataset, written(dataset, syntax=JPEGBaseline8Bit)


@pytest.mark.parametrize(
    "make",
    [
        secondary_capture,
        secondary_capture_in_jpeg,
        ultrasound,
        ultrasound_in_rle,
        ultrasound_in_jpeg,
    ],
)
@pytest.mark.parametrize("profile", sorted(path.stem for path in shipped_profiles().glob("*.yaml")))
def test_dciodvfy_has_no_new_error_on_cleaned_pixels(
    make: Callable[[], tuple[Dataset, bytes]], profile: str, tmp_path: Path
) -> None:
    dataset, file = make()
    region = region_for(dataset, ((0, 0, 8, 2),))
    scrubber = HeaderScrubber(cleaning(region, name=profile), Pseudonyms(bytes(range(32))))

    done = scrubber.run(file)

    before = errors(file, tmp_path / "before.dcm")
    after = errors(done.encoded.part10, tmp_path / "after.dcm")
    assert "113101" in done.codes
    assert before == Counter()
    assert after == (UNNAMED if make is ultrasound_in_jpeg else Counter())
