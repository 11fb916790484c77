"""Voxels become a volume where the standard puts them, and come back bit for bit."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import gdcm
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)
from scipy.spatial.transform import Rotation

from deid_node.dicom.part10 import encode
from deid_node.dicom.pixels import pixel_data, pixel_words
from deid_node.dicom.series import Series, read_series
from deid_node.dicom.volume import replaced_words, stack
from deid_node.errors import MissingAttribute, PixelsUnusable
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset
    from pydicom.uid import UID

DTYPES = [np.uint8, np.int8, np.uint16, np.int16]


def drawn(dtype: type[np.integer[Any]], *, bits: int | None = None) -> NDArray[np.integer[Any]]:
    """Random stored values over the whole range of `bits`."""
    size = bits or 8 * np.dtype(dtype).itemsize
    low = -(2 ** (size - 1)) if np.issubdtype(dtype, np.signedinteger) else 0
    rng = np.random.default_rng(5)
    return rng.integers(low, low + 2**size, (4, 6, 8), dtype).astype(dtype)


def written(instances: list[Dataset], folder: Path) -> list[Path]:
    """Write instances as files whose names say nothing of their order."""
    paths = []
    for k, instance in enumerate(instances):
        path = folder / f"{(k * 7) % 11}.bin"
        instance.save_as(path, enforce_file_format=True)
        paths.append(path)
    return sorted(paths)


@pytest.mark.parametrize("dtype", DTYPES)
def test_stored_values_of_any_kind_are_read_as_they_are(
    dtype: type[np.integer[Any]], tmp_path: Path
) -> None:
    stored = drawn(dtype)
    series = read_series(written(mr_series(stored), tmp_path))

    volume = stack(series, [pixel_words(each) for each in series.instances])

    assert volume.stored.dtype == dtype
    np.testing.assert_array_equal(volume.stored, stored)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_masked_cells_change(dtype: type[np.integer[Any]]) -> None:
    stored = drawn(dtype)
    instances = mr_series(stored)
    words = [pixel_words(each) for each in instances]
    mask = np.zeros(stored.shape, bool)
    mask[1:3, 2:4, 3:6] = True
    changed = np.where(mask, np.iinfo(dtype).min, stored).astype(dtype)

    back = [pixel_data(replaced_words(*each)) for each in zip(words, changed, mask, strict=True)]

    again = np.stack([np.frombuffer(b, dtype)[:48].reshape(6, 8) for b in back])
    np.testing.assert_array_equal(again[~mask], stored[~mask])
    assert np.all(again[mask] == np.iinfo(dtype).min)


def test_twelve_signed_bits_are_sign_extended_and_come_back_bit_for_bit() -> None:
    stored = drawn(np.int16, bits=12)
    instances = mr_series(stored & np.int16(0x0FFF), bits_stored=12)
    for each in instances:
        each.PixelRepresentation = 1
    words = [pixel_words(each) for each in instances]

    volume = stack(Series(instances=tuple(instances)), words)
    back = replaced_words(words[0], volume.stored[0], np.zeros((6, 8), bool))

    np.testing.assert_array_equal(volume.stored, stored)
    assert pixel_data(back) == instances[0].PixelData


def test_overlay_in_unused_bits_is_held() -> None:
    instances = mr_series(drawn(np.uint16, bits=12) | np.uint16(0x4000), bits_stored=12)

    with pytest.raises(PixelsUnusable, match="bits above High Bit are in use"):
        stack(Series(instances=tuple(instances)), [pixel_words(each) for each in instances])


def test_rescale_is_applied_slice_by_slice() -> None:
    stored = drawn(np.int16)
    instances = mr_series(stored)
    for k, each in enumerate(instances):
        each.RescaleSlope, each.RescaleIntercept = k + 0.5, -10 * k

    volume = stack(Series(instances=tuple(instances)), [pixel_words(each) for each in instances])

    expected = [stored[k] * (k + 0.5) - 10 * k for k in range(4)]
    np.testing.assert_allclose(volume.values(), expected, rtol=1e-5)


def test_rescale_slope_that_is_no_number_is_held() -> None:
    instances = mr_series(drawn(np.int16))
    instances[1].RescaleSlope = float("nan")

    with pytest.raises(MissingAttribute, match="RescaleSlope is missing or unusable in 1"):
        stack(Series(instances=tuple(instances)), [pixel_words(each) for each in instances])


@pytest.mark.parametrize(
    "syntax", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless", "JPEGLosslessProcess14_1"]
)
def test_lossless_compression_is_undone(syntax: str, tmp_path: Path) -> None:
    stored = np.repeat(np.repeat(drawn(np.uint16), 4, axis=1), 4, axis=2)
    paths = written(mr_series(stored), tmp_path)
    for path in paths:
        compress(path, syntax)

    series = read_series(paths)
    words = [pixel_words(each) for each in series.instances]

    assert series.instances[0].file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(np.stack(words), stored)
    assert pixel_data(words[0]) == stored[0].astype("<u2").tobytes()


def compress(path: Path, syntax: str) -> None:
    """Let GDCM, which is not the decoder's first choice, compress a file in place."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def test_compressed_pixels_that_are_rubbish_are_held() -> None:
    instance = mr_series(drawn(np.uint16))[0]
    instance.file_meta.TransferSyntaxUID = JPEG2000Lossless
    instance.PixelData = encapsulate([b"\0" * 64])

    with pytest.raises(PixelsUnusable, match="cannot be decoded"):
        pixel_words(instance)


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (JPEGLosslessSV1, "ffd8 ffc3 000b 10 ffff ffff 01 011100 ffda 0002"),
        (JPEGLosslessSV1, "ffd8 ffc3 000b 10 {} 01 011100 ffda 0008 01 0110 010000"),
        (JPEGLSLossless, "ffd8 fff7 000b 10 ffff ffff 01 011100 ffda 0002"),
        (JPEGLSLossless, "ffd8 fff7 000b 10 {} 01 011100 ffda 0008 01 0100 000000 aabb"),
        (JPEGBaseline8Bit, "ffd8 ffc0 000b 08 {} 03 011100 ffda 0002"),
    ],
    ids=["size", "tables", "size of JPEG-LS", "cut off", "samples"],
)
def test_stream_over_which_a_decoder_may_end_the_process_reaches_none(
    monkeypatch: pytest.MonkeyPatch, syntax: UID, stream: str
) -> None:
    instance = mr_series(drawn(np.uint16))[0]
    instance.file_meta.TransferSyntaxUID = syntax
    size = f"{instance.Rows:04x} {instance.Columns:04x}"
    instance.PixelData = encapsulate([bytes.fromhex(stream.format(size))])
    monkeypatch.setattr("deid_node.dicom.pixels.pixel_array", None)

    with pytest.raises(PixelsUnusable, match="a frame is not as large as its layout says"):
        pixel_words(instance)


def test_big_endian_cells_are_read() -> None:
    stored = drawn(np.uint16)
    instance = mr_series(stored)[0]
    instance.PixelData = stored[0].astype(">u2").tobytes()
    instance.file_meta.TransferSyntaxUID = ExplicitVRBigEndian

    np.testing.assert_array_equal(pixel_words(instance), stored[0])


@pytest.mark.parametrize("length", [0, 2, 94, 98])
def test_pixel_data_of_a_wrong_length_is_held(length: int) -> None:
    instance = mr_series(drawn(np.uint16))[0]
    instance.PixelData = bytes(length)

    with pytest.raises(PixelsUnusable):
        pixel_words(instance)


@given(seed=st.integers(0, 2**32 - 1))
def test_simpleitk_puts_every_voxel_at_the_same_place(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    x, y, _ = Rotation.random(rng=rng).as_matrix()
    spacing = rng.uniform(0.4, 3.0, 2)
    instances = mr_series(
        drawn(np.int16),
        orientation=np.round([*x, *y], 9),
        origin=np.round(rng.normal(size=3) * 80, 6),
        pixel_spacing=np.round(spacing, 6),
        gap_mm=float(rng.uniform(0.5, 5.0)),
    )
    folder = tmp_path_factory.mktemp("oblique")
    paths = written(instances, folder)
    series = read_series(paths)
    volume = stack(series, [pixel_words(each) for each in series.instances])

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    oracle = reader.Execute()

    for index in np.ndindex(2, 2, 2):
        s, r, c = (np.array(index) * (np.array(volume.stored.shape) - 1)).tolist()
        at = oracle.TransformPhysicalPointToIndex((volume.affine @ [s, r, c, 1])[:3].tolist())
        there = oracle.TransformIndexToPhysicalPoint(at)
        np.testing.assert_allclose(there, (volume.affine @ [s, r, c, 1])[:3], atol=1e-4)
        assert oracle.GetPixel(*at) == volume.stored[s, r, c]


def test_part10_has_no_preamble_or_meta_of_the_sender() -> None:
    instance = mr_series(drawn(np.uint16))[0]
    instance.preamble = b"NOBODY".ljust(128)
    instance.file_meta.SourceApplicationEntityTitle = "NOBODY"

    encoded = encode(instance)

    assert encoded.part10[:132] == bytes(128) + b"DICM"
    assert b"NOBODY" not in encoded.part10[:400]
    assert encode(instance) == encoded


BROKEN_STREAMS = r"""
import io, random, sys
from pydicom import dcmread
from deid_node.dicom.pixels import pixel_words
from deid_node.errors import PixelsUnusable
content = open(sys.argv[1], "rb").read()
start, chance = content.rindex(b"\xfe\xff\x00\xe0") + 8, random.Random(7)
held = 0
for _ in range(200):
    broken = bytearray(content)
    for _ in range(8):
        broken[start + chance.randrange(60)] = chance.randrange(256)
    try:
        pixel_words(dcmread(io.BytesIO(bytes(broken))))
    except PixelsUnusable:
        held += 1
print(held)
"""


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless"])
def test_no_broken_stream_ends_the_process(syntax: str, tmp_path: Path) -> None:
    stored = np.repeat(np.repeat(drawn(np.uint16), 4, axis=1), 4, axis=2)
    path = written(mr_series(stored), tmp_path)[0]
    compress(path, syntax)

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BROKEN_STREAMS, str(path)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0
    assert int(done.stdout) > 0
