"""Rectangles become black in every frame; every pixel outside stays as it was, bit for bit."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import gdcm
import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from deid_node.dicom.jpeg_header import frame_header
from deid_node.dicom.pixel_cleaning import blackened, native_pixels
from deid_node.dicom.pixel_format import pixel_format
from deid_node.dicom.rectangle import Rectangle
from deid_node.errors import DeidNodeError, MissingAttribute, PixelsUnusable
from deid_node.headers.profile import Action, Rule
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.regions import cleaning, drawn, expected, laid_out, region_for
from tests.planted import written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

KEY = Pseudonyms(bytes(range(32)))

GREY = [
    # photometric, allocated, stored, signed, black
    ("MONOCHROME2", 8, 8, False, 0),
    ("MONOCHROME2", 8, 5, False, 0),
    ("MONOCHROME2", 8, 8, True, 0x80),
    ("MONOCHROME2", 16, 12, False, 0),
    ("MONOCHROME2", 16, 12, True, 0x0800),
    ("MONOCHROME2", 16, 16, True, 0x8000),
    ("MONOCHROME1", 8, 8, False, 0xFF),
    ("MONOCHROME1", 8, 5, False, 0x1F),
    ("MONOCHROME1", 8, 8, True, 0x7F),
    ("MONOCHROME1", 16, 12, False, 0x0FFF),
    ("MONOCHROME1", 16, 12, True, 0x07FF),
    ("MONOCHROME1", 16, 16, False, 0xFFFF),
]
COLOUR = [
    ("RGB", 8, 8, (0, 0, 0)),
    ("RGB", 16, 16, (0, 0, 0)),
    ("RGB", 16, 12, (0, 0, 0)),
    ("YBR_FULL", 8, 8, (0, 128, 128)),
]


def scrubbed(dataset: Dataset, file: bytes | None = None) -> Dataset:
    scrubber = HeaderScrubber(cleaning(region_for(dataset)), KEY)
    done = scrubber.run(written(dataset) if file is None else file)
    output = pydicom.dcmread(io.BytesIO(done.encoded.part10))
    assert output.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert done.codes == ("113100", "113101")
    assert output.BurnedInAnnotation == "NO"
    return output


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(("photometric", "allocated", "stored", "signed", "black"), GREY)
def test_grey_rectangles_are_black_and_nothing_else_changes(
    photometric: str, allocated: int, stored: int, *, signed: bool, black: int, frames: int
) -> None:
    dataset, cells = drawn(
        photometric, allocated=allocated, stored=stored, signed=signed, frames=frames
    )

    output = scrubbed(dataset)

    wanted = expected(cells, (black,))
    assert output.PixelData == laid_out(wanted, planar=False, bits=allocated)
    assert ("OB" if allocated == 8 else "OW") == output["PixelData"].VR
    assert output.PhotometricInterpretation == photometric
    assert 0 < np.count_nonzero(wanted != cells) < cells.size


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("photometric", "allocated", "stored", "black"), COLOUR)
def test_coloured_rectangles_are_black_and_nothing_else_changes(
    photometric: str,
    allocated: int,
    stored: int,
    black: tuple[int, ...],
    *,
    planar: bool,
    frames: int,
) -> None:
    dataset, cells = drawn(
        photometric, allocated=allocated, stored=stored, planar=planar, frames=frames
    )

    output = scrubbed(dataset)

    assert output.PixelData == laid_out(expected(cells, black), planar=planar, bits=allocated)
    assert output.PhotometricInterpretation == photometric
    assert output.PlanarConfiguration == int(planar)


def swapped(content: bytes) -> bytes:
    return b"".join(content[at : at + 2][::-1] for at in range(0, len(content), 2))


@pytest.mark.parametrize(
    ("allocated", "vr"), [(8, "OB"), (8, "OW"), (16, "OW")], ids=["8 OB", "8 OW", "16 OW"]
)
@pytest.mark.parametrize("frames", [1, 2])
def test_big_endian_pixels_are_turned_round(allocated: int, vr: str, frames: int) -> None:
    dataset, cells = drawn(allocated=allocated, stored=allocated, frames=frames)
    little = laid_out(cells, planar=False, bits=allocated)
    dataset.PixelData = swapped(little) if vr == "OW" else little
    dataset["PixelData"].VR = vr

    output = scrubbed(dataset, written(dataset, syntax=ExplicitVRBigEndian))

    assert output.PixelData == laid_out(expected(cells, (0,)), planar=False, bits=allocated)


@pytest.mark.parametrize("way", ["implicit", "deflated"])
def test_other_native_files_are_cleaned_too(way: str) -> None:
    dataset, cells = drawn(allocated=16, stored=12)
    if way == "implicit":
        file = written(dataset, implicit=True)
    else:
        file = written(dataset, syntax=DeflatedExplicitVRLittleEndian)

    output = scrubbed(dataset, file)

    assert output.PixelData == laid_out(expected(cells, (0,)), planar=False, bits=16)


def by_gdcm(dataset: Dataset, folder: Path) -> bytes:
    """Compress into JPEG Lossless."""
    (folder / "in.dcm").write_bytes(written(dataset))
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.Writer()
    reader.SetFileName(str(folder / "in.dcm"))
    assert reader.Read()
    syntax = gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    change.SetTransferSyntax(syntax)
    change.SetInput(reader.GetImage())
    assert change.Change()
    file, fragments = reader.GetFile(), change.GetOutput().GetDataElement()
    fragments.SetVR(gdcm.VR(gdcm.VR.OB))
    file.GetDataSet().Replace(fragments)
    file.GetHeader().SetDataSetTransferSyntax(syntax)
    writer.SetFileName(str(folder / "out.dcm"))
    writer.SetFile(file)
    assert writer.Write()
    return (folder / "out.dcm").read_bytes()


LOSSLESS = [
    ("MONOCHROME2", 8, 8, False, (0,)),
    ("MONOCHROME1", 16, 12, False, (0x0FFF,)),
    ("MONOCHROME2", 16, 16, True, (0x8000,)),
    ("RGB", 8, 8, False, (0, 0, 0)),
    ("YBR_FULL", 8, 8, False, (0, 128, 128)),
]


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless])
@pytest.mark.parametrize(("photometric", "allocated", "stored", "signed", "black"), LOSSLESS)
def test_compressed_pixels_are_written_uncompressed_and_only_rectangles_change(
    tmp_path: Path,
    photometric: str,
    allocated: int,
    stored: int,
    syntax: str,
    *,
    signed: bool,
    black: tuple[int, ...],
    frames: int,
) -> None:
    dataset, cells = drawn(
        photometric,
        allocated=allocated,
        stored=stored,
        signed=signed,
        frames=frames,
        columns=10,
        dense=False,
    )
    if syntax == JPEGLosslessSV1:
        file = by_gdcm(dataset, tmp_path)
    else:
        compressed = pydicom.dcmread(io.BytesIO(written(dataset)))
        plugin = "pydicom" if syntax == RLELossless else "pyjpegls"
        compressed.compress(syntax, encoding_plugin=plugin)
        if syntax == RLELossless and photometric in {"RGB", "YBR_FULL"}:
            compressed.PlanarConfiguration = 1  # RLE is by plane, whatever is said
        file = written(compressed, syntax=syntax)
    assert pydicom.dcmread(io.BytesIO(file)).file_meta.TransferSyntaxUID == syntax

    output = scrubbed(dataset, file)

    assert output.PixelData == laid_out(expected(cells, black), planar=False, bits=allocated)
    assert output.PhotometricInterpretation == photometric
    assert output.get("PlanarConfiguration", 0) == 0
    assert "LossyImageCompression" not in output


def smooth() -> NDArray[np.uint8]:
    """Colours of which JPEG keeps nearly all."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 4, columns * 3, 200 - rows - columns], axis=-1).astype(np.uint8)


def jpeg_instance(stream: bytes, photometric: str, rows: int = 48, columns: int = 64) -> Dataset:
    dataset, _ = drawn("RGB")
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PhotometricInterpretation = photometric
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def saved(colours: NDArray[np.uint8], kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, kind, **settings)
    return buffer.getvalue()


def pixels_of(output: Dataset) -> NDArray[np.uint8]:
    return np.frombuffer(output.PixelData, np.uint8).reshape(output.Rows, output.Columns, 3)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("stated", [None, "00", "01"])
def test_lossy_jpeg_says_what_its_decoded_colours_are_and_stays_lossy(
    subsampling: int, photometric: str, stated: str | None
) -> None:
    stream = saved(smooth(), "JPEG", quality=95, subsampling=subsampling)
    dataset = jpeg_instance(stream, photometric)  # with JFIF, so it is YCbCr whatever is stated
    if stated is not None:
        dataset.LossyImageCompression = stated

    output = scrubbed(dataset, written(dataset, syntax=JPEGBaseline8Bit))

    wanted = np.asarray(Image.fromarray(smooth()).convert("YCbCr")).astype(int)
    wanted = expected(wanted[None].astype(np.int64), (0, 128, 128))[0]
    difference = np.abs(pixels_of(output) - wanted)
    assert output.PhotometricInterpretation == "YBR_FULL"
    assert output.LossyImageCompression == "01"
    assert not difference[0, :9].any()
    assert not difference[4:7, 7:9].any()
    assert np.percentile(difference, 99) <= 6


def test_jpeg_2000_comes_out_as_rgb() -> None:
    colours = smooth()
    stream = saved(colours, "JPEG2000", irreversible=False, mct=1, no_jp2=True)
    dataset = jpeg_instance(stream, "YBR_RCT")

    output = scrubbed(dataset, written(dataset, syntax=JPEG2000Lossless))

    wanted = expected(colours[None].astype(np.int64), (0, 0, 0))[0]
    assert output.PhotometricInterpretation == "RGB"
    assert (pixels_of(output) == wanted).all()


@pytest.mark.parametrize(("stated", "said"), [(None, "01"), ("", "01"), ("00", "00"), ("01", "01")])
def test_what_may_be_lossy_counts_as_lossy_unless_the_source_denies_it(
    stated: str | None, said: str
) -> None:
    dataset = jpeg_instance(saved(smooth(), "JPEG2000", mct=1, no_jp2=True), "YBR_ICT")
    if stated is not None:
        dataset.LossyImageCompression = stated

    output = scrubbed(dataset, written(dataset, syntax=JPEG2000))

    assert output.PhotometricInterpretation == "RGB"
    assert output.LossyImageCompression == said


def test_native_pixels_that_were_lossy_stay_so_whatever_the_profile_leaves() -> None:
    dataset, _ = drawn()
    dataset.LossyImageCompression = "01"
    rule = Rule(tags=frozenset({0x00282110}), action=Action.REMOVE, why="for this test")
    profile = cleaning(region_for(dataset))
    profile = replace(profile, rules=(*profile.rules, rule))

    done = HeaderScrubber(profile, KEY).run(written(dataset))

    assert pydicom.dcmread(io.BytesIO(done.encoded.part10)).LossyImageCompression == "01"


@pytest.mark.parametrize(
    "frame",
    [
        "000b 08 0008 0009 01 011100",
        "000b 08 0007 000a 01 011100",
        "000b 08 0007 0009 03 011100",
        "000b 0c 0007 0009 01 011100",
    ],
    ids=["rows", "columns", "samples", "precision"],
)
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless])
def test_a_stream_that_tells_another_size_reaches_no_decoder(
    monkeypatch: pytest.MonkeyPatch, frame: str, syntax: str
) -> None:
    dataset, _ = drawn()
    stream = bytes.fromhex(f"ffd8 ffc3 {frame} ffda 0002")
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    monkeypatch.setattr("deid_node.dicom.pixel_cleaning.get_decoder", None)

    assert frame_header(stream) is not None
    with pytest.raises(PixelsUnusable, match="a frame is not as large as its layout says"):
        scrubbed(dataset, written(dataset, syntax=syntax))


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "ffd9",
        "ffd8",
        "ffd8 ffda 0008 01",
        "ffd8 ffc0 000b 08 0030 0040 01 011100",
        "ffd8 ffc0 0004 08 ff ffda 0008 01",
        "ffd8 ffc0 000b 08 0030 0040 01 011100 00c4 0004 0000 ffda 0008 01",
        "ffd8 ffc0 000b 08 0030 0040 01 011100 ffc4 0004 0000 34da 0008 01",
        "ffd8 ffc4 000b 08 0030 0040 01 011100 ffda 0008 01",
    ],
)
def test_a_stream_without_a_whole_head_tells_nothing(stream: str) -> None:
    assert frame_header(bytes.fromhex(stream)) is None


TABLE = "ffc4 0014 {} 01 00000000 00000000 00000000 000000 05"


@pytest.mark.parametrize(
    ("tables", "is_whole"),
    [
        ([], False),
        ([TABLE.format("01")], False),
        ([TABLE.format("10")], False),
        (["ffc4 0013 00 01 00000000 00000000 00000000 000000"], False),
        ([TABLE.format("00")], True),
        ([TABLE.format("01"), TABLE.format("00")], True),
    ],
    ids=["none", "another", "of another class", "cut off", "its own", "two"],
)
def test_a_lossless_scan_needs_the_tables_that_it_uses(
    tables: list[str], *, is_whole: bool
) -> None:
    frame, scan = "000b 08 0030 0040 01 011100", "ffda 0008 01 0100 010000"
    lossless = bytes.fromhex(" ".join(["ffd8 ffc3", frame, *tables, scan]))
    other = bytes.fromhex(" ".join(["ffd8 ffc1", frame, *tables, scan]))

    assert (frame_header(lossless) is not None) == is_whole
    assert frame_header(other) is not None


@pytest.mark.parametrize(
    ("end", "is_whole"),
    [("", False), ("ffd9", True), ("ffd9 00", True), ("ffd9 aa", False)],
    ids=["cut off", "whole", "padded", "something behind"],
)
def test_a_jpeg_ls_stream_needs_its_end(end: str, *, is_whole: bool) -> None:
    head = "ffd8 fff7 000b 08 0030 0040 01 011100 ffda 0008 01 0100 000000 aabb"

    assert (frame_header(bytes.fromhex(head + end)) is not None) == is_whole


def without_jfif(stream: bytes, transform: int) -> bytes:
    """Replace the JFIF segment by one of Adobe that says what the colours are."""
    assert stream[2:4] == b"\xff\xe0"
    rest = stream[4 + int.from_bytes(stream[4:6], "big") :]
    return stream[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform]) + rest


@pytest.mark.parametrize(
    ("photometric", "transform", "is_held"),
    [("RGB", 1, True), ("YBR_FULL_422", 0, True), ("YBR_FULL_422", 1, False), ("RGB", 0, False)],
)
def test_a_stream_that_contradicts_the_instance_about_its_colours_is_held(
    photometric: str, transform: int, *, is_held: bool
) -> None:
    stream = without_jfif(saved(smooth(), "JPEG", quality=95, subsampling=0), transform)
    dataset = jpeg_instance(stream, photometric)
    file = written(dataset, syntax=JPEGBaseline8Bit)

    if is_held:
        with pytest.raises(PixelsUnusable, match="colours of decoded Pixel Data"):
            scrubbed(dataset, file)
    else:
        output = scrubbed(dataset, file)
        # The stream holds YCbCr; where it says that this is RGB, it is taken for what it says.
        stored = np.asarray(Image.fromarray(smooth()).convert("YCbCr")).astype(int)
        assert output.PhotometricInterpretation == ("RGB" if transform == 0 else "YBR_FULL")
        assert tuple(pixels_of(output)[0, 0]) == ((0, 0, 0) if transform == 0 else (0, 128, 128))
        assert np.percentile(np.abs(pixels_of(output)[8:] - stored[8:]), 99) <= 6


def banner(name: str) -> Dataset:
    """Draw a name on an ultrasound-like frame."""
    image = Image.fromarray(smooth())
    ImageDraw.Draw(image).text((2, 1), name, fill=(255, 255, 255))
    dataset, _ = drawn("RGB")
    dataset.Rows, dataset.Columns = 48, 64
    dataset.PixelData = image.tobytes()
    return dataset


def test_of_a_drawn_name_nothing_is_left() -> None:
    first, second = banner("ZEBRAFISH"), banner("OTTER")
    assert first.PixelData != second.PixelData
    region = region_for(first, ((0, 0, 64, 14),))
    scrubber = HeaderScrubber(cleaning(region), KEY)

    outputs = [scrubber.run(written(each)).encoded.part10 for each in (first, second)]

    pixels = pixels_of(pydicom.dcmread(io.BytesIO(outputs[0])))
    assert outputs[0] == outputs[1]
    assert not pixels[:14].any()
    assert (pixels[14:] == smooth()[14:]).all()


def put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


def drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def both(*changes: Callable[[Dataset], None]) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for each in changes:
            each(dataset)

    return change


def add_float(keyword: str) -> Callable[[Dataset], None]:
    return put(keyword, bytes(8 * 63))


UNUSABLE: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "palette": (put("PhotometricInterpretation", "PALETTE COLOR"), "black is not known"),
    "ybr 422": (
        both(put("PhotometricInterpretation", "YBR_FULL_422"), put("SamplesPerPixel", 3)),
        "black is not known",
    ),
    "grey of three samples": (put("SamplesPerPixel", 3), "black is not known"),
    "unknown colours": (put("PhotometricInterpretation", "HSV"), "black is not known"),
    "1 bit": (both(put("BitsAllocated", 1), put("BitsStored", 1), put("HighBit", 0)), "8 or 16"),
    "32 bits": (put("BitsAllocated", 32), "8 or 16"),
    "more stored than allocated": (put("BitsStored", 9), "8 or 16"),
    "none stored": (put("BitsStored", 0), "8 or 16"),
    "high bit": (put("HighBit", 6), "High Bit"),
    "representation": (put("PixelRepresentation", 2), "none of the standard"),
    "no frames": (put("NumberOfFrames", 0), "no frame"),
    "more frames": (put("NumberOfFrames", 2), "not as long as"),
    "short": (put("PixelData", bytes(62)), "not as long as"),
    "long": (put("PixelData", bytes(66)), "not as long as"),
    "no pixel data": (drop("PixelData"), "absent or of zero length"),
    "empty": (put("PixelData", b""), "not as long as"),
    "functional groups": (put("SharedFunctionalGroupsSequence", [Dataset()]), "describe them"),
    "frames apart": (put("PerFrameFunctionalGroupsSequence", [Dataset()]), "describe them"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_pixels_that_are_not_understood_hold_the_instance(name: str) -> None:
    change, why = UNUSABLE[name]
    dataset, _ = drawn()
    change(dataset)

    with pytest.raises(PixelsUnusable, match=why):
        scrubbed(dataset)


@pytest.mark.parametrize(
    "change",
    [put("PlanarConfiguration", 2), put("PixelRepresentation", 1)],
    ids=["planar", "signed"],
)
def test_colours_that_are_not_understood_hold_the_instance(
    change: Callable[[Dataset], None],
) -> None:
    dataset, _ = drawn("RGB")
    change(dataset)

    with pytest.raises(PixelsUnusable, match="Planar Configuration or Pixel Representation"):
        scrubbed(dataset)


@pytest.mark.parametrize(
    "keyword",
    ["SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"],
)
@pytest.mark.parametrize("value", [None, [8, 8]])
def test_a_layout_that_is_not_told_holds_the_instance(keyword: str, value: object) -> None:
    dataset, _ = drawn()
    setattr(dataset, keyword, value)

    with pytest.raises(MissingAttribute, match=keyword):
        scrubbed(dataset)


def test_colours_without_planar_configuration_hold_the_instance() -> None:
    dataset, _ = drawn("RGB")
    del dataset.PlanarConfiguration

    with pytest.raises(MissingAttribute, match="PlanarConfiguration"):
        scrubbed(dataset)


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_float_pixel_data_holds_the_instance(keyword: str) -> None:
    dataset, _ = drawn()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"  # Parametric Map, which can have it
    setattr(dataset, keyword, bytes(8 * 63))

    with pytest.raises(PixelsUnusable):
        scrubbed(dataset)
    del dataset.PixelData
    with pytest.raises(PixelsUnusable):
        scrubbed(dataset)


@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.2", "1.2.3.4"])
def test_pixels_in_a_private_transfer_syntax_hold_the_instance(syntax: str) -> None:
    dataset, _ = drawn(allocated=16, stored=12)
    file = written(dataset).replace(
        b"\2\0\x10\0UI\x14\0" + ExplicitVRLittleEndian.encode() + b"\0",
        b"\2\0\x10\0UI\x14\0" + syntax.encode().ljust(20, b"\0"),
    )

    with pytest.raises(PixelsUnusable, match="how Pixel Data is encoded is not known"):
        scrubbed(dataset, file)


def compressed_file(change: Callable[[Dataset], None], frames: int = 1) -> tuple[Dataset, bytes]:
    dataset, _ = drawn("RGB", frames=frames)
    made = pydicom.dcmread(io.BytesIO(written(dataset)))
    made.compress(RLELossless, encoding_plugin="pydicom")
    change(made)
    return dataset, written(made, syntax=RLELossless)


@pytest.mark.parametrize(
    ("change", "frames"),
    [
        (put("NumberOfFrames", 3), 2),
        (put("NumberOfFrames", 1), 2),
        (put("PixelData", encapsulate([b"\0" * 80])), 1),
        (put("BitsStored", 12), 1),
        (put("SamplesPerPixel", 1), 1),
        (put("PhotometricInterpretation", "YBR_PARTIAL_420"), 1),
        (both(put("BitsAllocated", 16), put("BitsStored", 16), put("HighBit", 15)), 1),
    ],
    ids=["more", "fewer", "broken", "bits", "samples", "colours", "wider"],
)
def test_compressed_pixels_that_are_not_what_is_told_hold_the_instance(
    change: Callable[[Dataset], None], frames: int
) -> None:
    dataset, file = compressed_file(change, frames)

    with pytest.raises(PixelsUnusable):
        scrubbed(dataset, file)


@pytest.mark.parametrize("compressed", [False, True])
def test_bits_above_high_bit_hold_the_instance_outside_rectangles_only(*, compressed: bool) -> None:
    for place, is_held in (((0, 0), False), ((3, 0), True)):
        dataset, cells = drawn(allocated=16, stored=12)
        cells[0, *place, 0] |= 0x8000
        dataset.PixelData = laid_out(cells, planar=False, bits=16)
        file = written(dataset)
        if compressed:
            made = pydicom.dcmread(io.BytesIO(file))
            made.compress(RLELossless, encoding_plugin="pydicom")
            file = written(made, syntax=RLELossless)
        if is_held:
            with pytest.raises(PixelsUnusable, match="bits above High Bit are in use"):
                scrubbed(dataset, file)
        else:
            output = scrubbed(dataset, file)
            assert output.PixelData == laid_out(expected(cells, (0,)), planar=False, bits=16)


@pytest.mark.parametrize("cell", [0x1000, 0xF000, 0x7800])
def test_of_signed_pixels_bits_above_high_bit_repeat_the_sign_or_are_zero(cell: int) -> None:
    dataset, cells = drawn(allocated=16, stored=12, signed=True)
    cells[0, 3, 0, 0] = cell
    dataset.PixelData = laid_out(cells, planar=False, bits=16)

    with pytest.raises(PixelsUnusable, match="bits above High Bit are in use"):
        scrubbed(dataset)


def test_a_rectangle_outside_the_frame_is_never_cut_to_fit() -> None:
    dataset, _ = drawn()
    pixels = native_pixels(dataset.PixelData, pixel_format(dataset, compressed=False))

    with pytest.raises(PixelsUnusable, match="reaches outside the frame"):
        blackened(pixels, [Rectangle(column=0, row=0, width=10, height=1)])


def test_no_value_is_told_by_an_error() -> None:
    for change, _ in UNUSABLE.values():
        dataset, _ = drawn()
        dataset.PatientName = "Zebrafish^Quentin"
        change(dataset)
        with pytest.raises(DeidNodeError) as raised:
            scrubbed(dataset)
        assert "Zebra" not in str(raised.value)
        assert raised.value.__cause__ is None
