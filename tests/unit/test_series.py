"""What is not one volume of one patient is refused or held, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from deid_node.dicom.pixels import pixel_words
from deid_node.dicom.series import decode_instance, group_files, read_series
from deid_node.errors import (
    DeidNodeError,
    DuplicateInstance,
    DuplicatePosition,
    MissingAttribute,
    MixedSeries,
    NotDicom,
    PixelsUnusable,
    TooFewSlices,
    UndecodableInstance,
    UnsupportedSOPClass,
)
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

STORED = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)


def write(instances: list[Dataset], folder: Path) -> list[Path]:
    """Write each instance into a file of its own."""
    paths = [folder / f"IM{k}" for k in range(len(instances))]
    for path, instance in zip(paths, instances, strict=True):
        instance.save_as(path, enforce_file_format=True)
    return paths


def set_in(k: int, keyword: str, value: object) -> Callable[[list[Dataset]], None]:
    """Give one instance another value."""
    return lambda series: setattr(series[k], keyword, value)


def set_in_all(keyword: str, value: object) -> Callable[[list[Dataset]], None]:
    """Give all instances another value."""

    def change(series: list[Dataset]) -> None:
        for each in series:
            setattr(each, keyword, value)

    return change


def without(keyword: str) -> Callable[[list[Dataset]], None]:
    """Take an attribute out of one instance."""
    return lambda series: series[2].__delattr__(keyword)


MISTAKES: list[tuple[str, Callable[[list[Dataset]], Any], type[DeidNodeError], str]] = [
    ("CT", set_in_all("SOPClassUID", CTImageStorage), UnsupportedSOPClass, "CT Image Storage"),
    (
        "secondary capture",
        set_in(1, "SOPClassUID", SecondaryCaptureImageStorage),
        UnsupportedSOPClass,
        "Secondary Capture",
    ),
    ("private class", set_in_all("SOPClassUID", "1.2.3.4"), UnsupportedSOPClass, "unknown"),
    ("one slice", lambda s: s.__delitem__(slice(1, None)), TooFewSlices, "1 slices"),
    ("no position", without("ImagePositionPatient"), MissingAttribute, "ImagePositionPatient"),
    ("empty position", set_in(0, "ImagePositionPatient", None), MissingAttribute, "ImagePosition"),
    (
        "endless position",
        set_in(0, "ImagePositionPatient", [0, 0, float("inf")]),
        MissingAttribute,
        "ImagePositionPatient",
    ),
    (
        "skewed orientation",
        set_in_all("ImageOrientationPatient", [1, 0, 0, 0.5, 1, 0]),
        MissingAttribute,
        "ImageOrientationPatient",
    ),
    ("no study", without("StudyInstanceUID"), MissingAttribute, "StudyInstanceUID"),
    ("two patients", set_in(3, "PatientID", "DRAWN-0002"), MixedSeries, "PatientID"),
    ("two names", set_in(3, "PatientName", "OTHER^ONE"), MixedSeries, "PatientName"),
    ("two frames of reference", set_in(3, "FrameOfReferenceUID", "2.25.7"), MixedSeries, "Frame"),
    ("two spacings", set_in(3, "PixelSpacing", [1, 2]), MixedSeries, "PixelSpacing"),
    (
        "three planes",
        set_in(3, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]),
        MixedSeries,
        "ImageOrientationPatient",
    ),
    (
        "one position twice",
        set_in(3, "ImagePositionPatient", [0, 0, 2]),
        DuplicatePosition,
        "5 instances share 4",
    ),
    (
        "one UID twice",
        lambda s: setattr(s[3], "SOPInstanceUID", s[2].SOPInstanceUID),
        DuplicateInstance,
        "1 instances",
    ),
    ("frames", set_in(1, "NumberOfFrames", 2), PixelsUnusable, "more than one frame"),
    ("colour", set_in_all("PhotometricInterpretation", "RGB"), PixelsUnusable, "not grey"),
    ("32 bits", set_in_all("BitsAllocated", 32), PixelsUnusable, "32 allocated"),
    ("high bit", set_in_all("HighBit", 11), PixelsUnusable, "16 bits stored"),
]


@pytest.mark.parametrize(
    ("change", "error", "words"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_doubtful_series_is_not_read(
    change: Callable[[list[Dataset]], Any],
    error: type[DeidNodeError],
    words: str,
    tmp_path: Path,
) -> None:
    instances = mr_series(STORED)
    change(instances)
    paths = write(instances, tmp_path)

    with pytest.raises(error, match=words) as caught:
        read_series(paths)

    assert type(caught.value) is error
    assert "DRAWN" not in str(caught.value)


def test_order_of_files_does_not_matter(tmp_path: Path) -> None:
    paths = write(mr_series(STORED), tmp_path)

    series = read_series([paths[k] for k in (3, 0, 4, 1, 2)])

    assert [each.InstanceNumber for each in series.instances] == [1, 2, 3, 4, 5]


def test_file_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    paths = write(mr_series(STORED), tmp_path)
    copy = tmp_path / "copy"
    copy.write_bytes(paths[1].read_bytes())

    assert len(read_series([*paths, copy]).instances) == 5


def test_text_file_is_not_dicom(tmp_path: Path) -> None:
    path = tmp_path / "IM0.dcm"
    path.write_text("NOBODY^DRAWN")

    with pytest.raises(NotDicom, match="not a DICOM file"):
        read_series([path])


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_file_is_refused_wherever_it_breaks_off(kept: float, tmp_path: Path) -> None:
    paths = write(mr_series(np.zeros((3, 64, 64), np.uint16)), tmp_path)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: int(len(content) * kept)])

    with pytest.raises((NotDicom, UndecodableInstance)):
        read_series(paths)


def test_every_truncation_in_the_header_is_refused_or_held(tmp_path: Path) -> None:
    paths = write(mr_series(STORED), tmp_path)
    content = paths[1].read_bytes()
    header = len(content) - STORED[0].nbytes

    for end in range(132, header, 3):
        paths[1].write_bytes(content[:end])
        with pytest.raises(DeidNodeError):
            [pixel_words(each) for each in read_series(paths).instances]


def test_files_are_grouped_by_content(tmp_path: Path) -> None:
    first, second = mr_series(STORED), mr_series(STORED)
    for each in second:
        each.SeriesInstanceUID = "2.25.99"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = write(first, tmp_path / "a") + write(second, tmp_path / "b")
    (tmp_path / "readme.txt").write_text("hello")

    series, refused = group_files([*paths, tmp_path / "readme.txt"])

    assert sorted(len(files) for files in series.values()) == [5, 5]
    assert [type(error) for _, error in refused] == [NotDicom]


@pytest.mark.parametrize("charset", [b"JOHN_DOE", b"ISO 2022 IR 6\\JOHN"])
def test_no_warning_of_a_library_quotes_a_value(
    charset: bytes, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (path,) = write(mr_series(STORED)[:1], tmp_path)
    content = path.read_bytes()
    entry = charset + b" " * (len(charset) % 2)
    at = content.index(b"\x08\0\x16\0UI")
    odd = b"\x08\0\x05\0CS" + len(entry).to_bytes(2, "little") + entry

    decode_instance(content[:at] + odd + content[at:])

    assert [str(each.message) for each in recwarn] == []


def test_a_file_that_does_not_say_what_it_is_is_refused_by_that(tmp_path: Path) -> None:
    (instance,) = mr_series(STORED)[:1]
    (path,) = write([instance], tmp_path)
    content = path.read_bytes()
    at = content.index(b"\x08\0\x16\0UI")
    length = 8 + content[at + 6]

    with pytest.raises(UndecodableInstance, match="no SOP Class UID"):
        decode_instance(content[:at] + content[at + length :])
