"""Another Transfer Syntax, the same values: dcmtk and pydicom are asked, not this code."""

from __future__ import annotations

import io
import subprocess
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.sequence import Sequence as DicomSequence

from deid_node.dicom.part10 import EncodedInstance
from deid_node.errors import PixelsUnusable
from deid_node.node.outgoing import Outgoing, from_encoded, from_file
from deid_node.node.send.transcode import dataset_given_in, ways_to_give
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPLICIT, IMPLICIT = uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian
DEFLATED = uid.DeflatedExplicitVRLittleEndian
LOSSLESS = (uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.JPEGLosslessSV1)


def awkward() -> Dataset:
    """Make an instance with elements that are easily lost: private, nested, unknown, empty."""
    dataset = mr_series(np.arange(4096, dtype=np.uint16).reshape(1, 64, 64))[0]
    dataset.ImageComments = "a comment of odd length"
    dataset.WindowCenter = ["0040.00", "1e2 "]
    dataset.add_new(0x00191010, "LO", "CREATOR")
    dataset.add_new(0x0019100C, "IS", "1000")
    dataset.add_new(0x00191020, "UN", b"\x01\x02\x03\x04")
    dataset.add_new(0x00080050, "SH", "")
    nested = Dataset()
    nested.CodeValue, nested.CodeMeaning = "T-A0100", "Brain"
    nested.PurposeOfReferenceCodeSequence = DicomSequence([Dataset()])
    dataset.AnatomicRegionSequence = DicomSequence([nested])
    dataset.FrameIncrementPointer = 0x00540080
    return dataset


def given(syntax: str) -> Outgoing:
    """Encode the awkward instance by pydicom."""
    dataset = awkward()
    if uid.UID(syntax).is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    plain = io.BytesIO()
    dcmwrite(plain, dataset, enforce_file_format=True)
    [instance] = from_encoded(
        [
            EncodedInstance(
                sop_class_uid=dataset.SOPClassUID,
                sop_instance_uid=dataset.SOPInstanceUID,
                transfer_syntax_uid=syntax,
                part10=plain.getvalue(),
            )
        ]
    )
    return instance


def as_file(encoded: bytes, syntax: str, folder: Path) -> Path:
    """Put file meta information before a dataset, by hand."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.MRImageStorage
    meta.MediaStorageSOPInstanceUID = uid.UID("2.25.1")
    meta.TransferSyntaxUID = uid.UID(syntax)
    head = DicomBytesIO()
    write_file_meta_info(head, meta)
    path = folder / f"{syntax}.dcm"
    path.write_bytes(bytes(128) + b"DICM" + head.getvalue() + encoded)
    return path


def dump(dcmdump: str, path: Path) -> list[str]:
    """List all elements of the dataset as dcmtk sees them, without VR and lengths."""
    done = subprocess.run(
        [dcmdump, "+L", "-q", "+E", str(path)], check=True, capture_output=True, text=True
    )
    lines = [line.split("#")[0].rstrip() for line in done.stdout.splitlines()]
    lines = [line for line in lines if line.lstrip().startswith("(") and "(0002," not in line]
    return [f"{line.lstrip()[:11]} {line.lstrip()[15:]}" for line in lines]


@pytest.mark.peer
@pytest.mark.parametrize("given_in", [EXPLICIT, IMPLICIT, DEFLATED])
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT, DEFLATED])
def test_dcmtk_reads_the_same_elements(
    tmp_path: Path, peer: Callable[[str], str], given_in: uid.UID, wanted: uid.UID
) -> None:
    instance = given(given_in)
    original = tmp_path / "original.dcm"
    original.write_bytes(instance.part10())

    changed = as_file(dataset_given_in(instance, wanted), wanted, tmp_path)

    before, after = (dump(peer("dcmdump"), path) for path in (original, changed))
    known = [line for line in before if not line.startswith("(0019")]
    assert [line for line in after if not line.startswith("(0019")] == known
    assert len(after) == len(before)


@pytest.mark.parametrize("given_in", [uid.RLELossless, uid.JPEGLSLossless])
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT, DEFLATED])
def test_unpacked_pixels_are_those_of_the_original(
    tmp_path: Path, given_in: uid.UID, wanted: uid.UID
) -> None:
    changed = dcmread(as_file(dataset_given_in(given(given_in), wanted), wanted, tmp_path))

    assert np.array_equal(changed.pixel_array, awkward().pixel_array)
    assert changed.SOPInstanceUID == awkward().SOPInstanceUID
    assert "LossyImageCompression" not in changed


@pytest.mark.peer
@pytest.mark.parametrize(
    ("command", "syntax"),
    [(["gdcmconv", "--j2k"], uid.JPEG2000Lossless), (["dcmcjpeg"], uid.JPEGLosslessSV1)],
)
def test_pixels_that_another_program_packed_are_unpacked_whole(
    tmp_path: Path, peer: Callable[[str], str], command: list[str], syntax: uid.UID
) -> None:
    plain, packed = tmp_path / "plain.dcm", tmp_path / "00001.dcm"
    plain.write_bytes(given(EXPLICIT).part10())
    subprocess.run([peer(command[0]), *command[1:], str(plain), str(packed)], check=True)
    instance = from_file(packed, number=1)

    changed = dcmread(as_file(dataset_given_in(instance, IMPLICIT), IMPLICIT, tmp_path))

    assert instance.transfer_syntax_uid == syntax
    assert np.array_equal(changed.pixel_array, awkward().pixel_array)


def test_stream_that_a_decoder_may_never_come_back_from_reaches_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = given(uid.JPEGLSLossless).part10()
    dataset = dcmread(io.BytesIO(whole))
    [stream] = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([stream.rstrip(b"\0")[:-2]])
    cut_off = io.BytesIO()
    dcmwrite(cut_off, dataset)
    monkeypatch.setattr(Dataset, "decompress", None)
    instance = replace(given(uid.JPEGLSLossless), source=cut_off.getvalue())

    with pytest.raises(PixelsUnusable, match="is not whole"):
        dataset_given_in(instance, EXPLICIT)


def test_private_values_survive_every_way(tmp_path: Path) -> None:
    changed = dcmread(as_file(dataset_given_in(given(EXPLICIT), IMPLICIT), IMPLICIT, tmp_path))

    assert changed.get_item(0x00191020).value == b"\x01\x02\x03\x04"
    assert changed.get_item(0x0019100C).value in {b"1000", "1000"}


def test_deflated_dataset_is_a_raw_deflate_stream() -> None:
    encoded = dataset_given_in(given(EXPLICIT), DEFLATED)

    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded)

    assert inflated == given(EXPLICIT).part10()[given(EXPLICIT).dataset_at :]


@pytest.mark.parametrize(
    "syntax",
    [
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLSNearLossless,
        uid.JPEG2000,
        uid.HTJ2K,
        uid.MPEG4HP41,
        uid.ExplicitVRBigEndian,
    ],
)
def test_what_cannot_be_unpacked_without_loss_is_given_as_it_is_or_not_at_all(
    syntax: uid.UID,
) -> None:
    assert ways_to_give(syntax) == (syntax,)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED, *LOSSLESS])
def test_own_syntax_is_the_first_choice_and_nothing_is_ever_compressed(syntax: uid.UID) -> None:
    own, *others = ways_to_give(syntax)

    assert own == syntax
    assert set(others) == {EXPLICIT, IMPLICIT, DEFLATED} - {syntax}
