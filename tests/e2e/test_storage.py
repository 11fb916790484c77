"""A sender gets Success for what is durable, and the right failure otherwise."""

from __future__ import annotations

import io
import logging
import os
import re
import sqlite3
import stat
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite, uid
from pynetdicom import AE
from pynetdicom import sop_class as sop
from pynetdicom.dimse_primitives import C_STORE

from deid_node.config.schema import Node
from deid_node.errors import SettingsInvalid
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.ledger import Ledger
from deid_node.node.purge_rows import PurgeRows
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.spool import Spool
from deid_node.node.states import State
from deid_node.node.storage_scp import StorageSCP
from tests.fakes.assembly import by_silence
from tests.fakes.clock import FakeClock
from tests.fakes.peer import send
from tests.fakes.raw_peer import RawPeer, associate_rq
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pynetdicom.association import Association

    from deid_node.node.assembly import Assembly

KEYS = Pseudonyms(bytes(range(32)))


@pytest.fixture
def series() -> list[Dataset]:
    return mr_series(np.arange(2 * 8 * 8, dtype=np.uint16).reshape(2, 8, 8))


@pytest.fixture
def reserve_bytes() -> int:
    return 0


@pytest.fixture
def callers() -> tuple[str, ...]:
    return ("PACS",)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def spool(tmp_path: Path, reserve_bytes: int) -> Spool:
    return Spool(tmp_path / "received", reserve_bytes=reserve_bytes)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def assembly(clock: FakeClock) -> Assembly:
    return by_silence(30, max_open_seconds=3600, now=clock)


@pytest.fixture
def scp(
    spool: Spool, ledger: Ledger, assembly: Assembly, callers: tuple[str, ...]
) -> Iterator[StorageSCP]:
    settings = Node.model_construct(
        ae_title="DEIDNODE", bind="127.0.0.1", port=0, callers=callers, max_associations=2
    )
    scp = StorageSCP(settings, spool=spool, ledger=ledger, assembly=assembly, pseudonyms=KEYS)
    scp.start()
    yield scp
    scp.stop()


def kept(folder: Path) -> list[Path]:
    return [path for path in (folder / "received").rglob("*") if path.is_file()]


def written(instance: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


def test_success_means_on_disk_unchanged_noted_and_announced(
    scp: StorageSCP,
    ledger: Ledger,
    assembly: Assembly,
    clock: FakeClock,
    series: list[Dataset],
    tmp_path: Path,
) -> None:
    statuses = send(series, scp.port)

    key = KEYS.series_key(series[0].SeriesInstanceUID)
    assert statuses == [0x0000, 0x0000]
    assert list(ledger.states().values()) == [State.RECEIVING]
    clock.advance(30)
    assert list(assembly.closed()) == [key]
    found = {str(dcmread(path).SOPInstanceUID): dcmread(path) for path in kept(tmp_path)}
    assert found == {str(each.SOPInstanceUID): each for each in series}


def test_success_comes_after_sync_of_file_and_folder_and_commit(
    scp: StorageSCP,
    ledger: Ledger,
    series: list[Dataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(series[:1], scp.port)
    steps: list[str] = []
    replace, arrived = os.replace, ledger.arrived_together

    def recording(sync: Callable[[int], None]) -> Callable[[int], None]:
        def record(fd: int) -> None:
            sync(fd)
            steps.append("folder-sync" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file-sync")

        return record

    def recording_replace(path: str, target: str) -> None:
        steps.append("rename")
        replace(path, target)

    def recording_arrived(instances: object) -> object:
        arrivals = arrived(instances)  # type: ignore[arg-type]
        steps.append("open transaction" if ledger.database.connection.in_transaction else "commit")
        return arrivals

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, recording(getattr(os, name)))
    monkeypatch.setattr(os, "replace", recording_replace)
    monkeypatch.setattr(ledger, "arrived_together", recording_arrived)
    send(series[1:], scp.port)
    steps.append("answer")

    assert steps == ["file-sync", "rename", "folder-sync", "commit", "answer"]


def test_no_name_on_disk_holds_a_uid(
    scp: StorageSCP, series: list[Dataset], tmp_path: Path
) -> None:
    send(series, scp.port)

    names = " ".join(str(path) for path in tmp_path.rglob("*"))
    for instance in series:
        assert instance.SOPInstanceUID not in names
        assert instance.SeriesInstanceUID not in names


@pytest.mark.parametrize("reserve_bytes", [10**18])
def test_full_spool_lets_nobody_in_for_a_while(scp: StorageSCP) -> None:
    with RawPeer(scp.port) as peer:
        peer.say(associate_rq())
        kind, body = peer.hear()

    assert kind == 3
    assert tuple(body[1:]) == (2, 3, 2)


def test_spool_that_fills_up_meanwhile_answers_out_of_resources(
    scp: StorageSCP,
    spool: Spool,
    series: list[Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "_reserve_bytes", 10**18)
    monkeypatch.setattr(spool, "has_room", lambda: True)
    scp.stop()
    scp.start()

    assert send(series, scp.port) == [0xA700, 0xA700]
    assert kept(tmp_path) == []


def test_ledger_that_fails_is_never_answered_with_success(
    scp: StorageSCP, ledger: Ledger, series: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_instance: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(ledger, "arrived_together", locked)

    assert send(series, scp.port) == [0x0110, 0x0110]


def damaged(instance: Dataset, *, how: str) -> Dataset:
    match how:
        case "no series":
            del instance.SeriesInstanceUID
        case "series leads out of the spool":
            instance["SeriesInstanceUID"]._value = "../../../tmp/x"
        case "series is too long":
            instance["SeriesInstanceUID"]._value = "1." * 40 + "1"
        case "series is two":
            instance["SeriesInstanceUID"]._value = "1.2\\1.3"
    return instance


@pytest.mark.parametrize(
    "how",
    ["no series", "series leads out of the spool", "series is too long", "series is two"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
def test_instance_without_a_usable_uid_is_not_understood(
    scp: StorageSCP, series: list[Dataset], tmp_path: Path, how: str
) -> None:
    before = set(tmp_path.parent.rglob("*"))

    statuses = send([damaged(series[0], how=how)], scp.port)

    assert statuses == [0xC000]
    assert kept(tmp_path) == []
    assert set(tmp_path.parent.rglob("*")) - before == set()


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"not DICOM at all"])
def test_garbage_is_not_understood(
    scp: StorageSCP, series: list[Dataset], tmp_path: Path, garbage: bytes
) -> None:
    association = AE("PACS").associate(
        "127.0.0.1",
        scp.port,
        ae_title="DEIDNODE",
        contexts=[sop_context(sop.MRImageStorage, uid.ExplicitVRLittleEndian)],
    )

    status = send_raw(association, series[0].SOPInstanceUID, garbage)
    association.release()

    assert status == 0xC000
    assert kept(tmp_path) == []


def test_instance_that_is_not_the_announced_one_is_not_understood(
    scp: StorageSCP, series: list[Dataset], tmp_path: Path
) -> None:
    association = AE("PACS").associate(
        "127.0.0.1",
        scp.port,
        ae_title="DEIDNODE",
        contexts=[sop_context(sop.MRImageStorage, uid.ExplicitVRLittleEndian)],
    )
    meta_free = written(series[0])[132:]
    dataset = meta_free[12 + int.from_bytes(meta_free[8:12], "little") :]

    honest = send_raw(association, series[0].SOPInstanceUID, dataset)
    status = send_raw(association, series[1].SOPInstanceUID, dataset)
    association.release()

    assert (honest, status) == (0x0000, 0xC000)
    assert len(kept(tmp_path)) == 1


def sop_context(sop_class: str, transfer_syntax: str) -> object:
    ae = AE()
    ae.add_requested_context(sop_class, transfer_syntax)
    return ae.requested_contexts[0]


def send_raw(association: Association, sop_instance_uid: str, encoded: bytes) -> int:
    """Send bytes as a dataset, whatever they are."""
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = sop.MRImageStorage
    request.AffectedSOPInstanceUID = sop_instance_uid
    request.DataSet = io.BytesIO(encoded)
    # the association's own loop would take the answer for a request
    association.dimse.get_msg = lambda block=False: (None, None)  # noqa: ARG005
    association.dimse.send_msg(request, 1)
    return int(association.dimse.msg_queue.get(timeout=60)[1].Status)


def rejected(port: int, *, calling: str, called: str) -> bool:
    """Ask byte by byte: pynetdicom on a busy machine may miss the answer of a peer that is quick."""
    with RawPeer(port) as peer:
        peer.say(associate_rq(calling=calling, called=called))
        kind, _ = peer.hear()
        assert kind in {2, 3}
        return kind == 3


def test_only_known_callers_that_name_this_node_are_let_in(scp: StorageSCP) -> None:
    assert not rejected(scp.port, calling="PACS", called="DEIDNODE")
    assert rejected(scp.port, calling="STRANGER", called="DEIDNODE")
    assert rejected(scp.port, calling="PACS", called="OTHER")


@pytest.mark.parametrize("callers", [()])
def test_empty_list_of_callers_lets_nobody_in(scp: StorageSCP) -> None:
    for calling in ("PACS", "DEIDNODE", "ANY-SCU", ""):
        assert rejected(scp.port, calling=calling, called="DEIDNODE")


def test_more_associations_than_allowed_are_rejected(scp: StorageSCP) -> None:
    ae = AE("PACS")
    ae.add_requested_context(sop.Verification)
    two = [ae.associate("127.0.0.1", scp.port, ae_title="DEIDNODE") for _ in range(2)]

    third = rejected(scp.port, calling="PACS", called="DEIDNODE")
    for association in two:
        association.release()

    assert third


@pytest.mark.parametrize(
    "sop_class",
    [
        sop.CTImageStorage,
        sop.SecondaryCaptureImageStorage,
        sop.EnhancedMRImageStorage,
        sop.ComprehensiveSRStorage,
    ],
)
def test_what_cannot_be_defaced_is_taken_all_the_same(
    scp: StorageSCP, series: list[Dataset], tmp_path: Path, sop_class: uid.UID
) -> None:
    series[0].SOPClassUID = series[0].file_meta.MediaStorageSOPClassUID = sop_class

    assert send(series[:1], scp.port) == [0x0000]
    assert len(kept(tmp_path)) == 1


def test_every_way_to_encode_pixels_is_taken_but_deflated_is_not(scp: StorageSCP) -> None:
    offered = [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.JPEGBaseline8Bit,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
        uid.RLELossless,
        uid.DeflatedExplicitVRLittleEndian,
    ]
    ae = AE("PACS")
    for syntax in offered:
        ae.add_requested_context(sop.MRImageStorage, syntax)
    association = ae.associate("127.0.0.1", scp.port, ae_title="DEIDNODE")
    accepted = [context.transfer_syntax[0] for context in association.accepted_contexts]
    association.release()

    assert accepted == offered[:-1]


def test_identical_resend_is_kept_once_and_other_bytes_beside_it(
    scp: StorageSCP, series: list[Dataset], tmp_path: Path
) -> None:
    send(series[:1], scp.port)
    send(series[:1], scp.port)
    after_resend = len(kept(tmp_path))

    series[0].PixelData = bytes(len(series[0].PixelData))
    send(series[:1], scp.port)

    assert after_resend == 1
    assert len(kept(tmp_path)) == 2


def test_resend_of_a_purged_instance_leaves_no_file(
    scp: StorageSCP, ledger: Ledger, spool: Spool, series: list[Dataset], tmp_path: Path
) -> None:
    send(series[:1], scp.port)
    ledger.received(KEYS.series_key(series[0].SeriesInstanceUID))
    claim = ledger.claim()
    assert claim is not None
    ledger.ready(claim.generation, ["archive"])
    DeliveryRows(ledger).settled(claim.generation, "archive")
    PurgeRows(ledger).purged(claim.generation)
    spool.discard(claim.instances)

    status = send(series[:1], scp.port)

    assert status == [0x0000]
    assert kept(tmp_path) == []


def test_taken_port_is_named(scp: StorageSCP, spool: Spool, ledger: Ledger) -> None:
    settings = Node(port=scp.port)
    other = StorageSCP(
        settings,
        spool=spool,
        ledger=ledger,
        assembly=by_silence(1, max_open_seconds=1),
        pseudonyms=KEYS,
    )

    with pytest.raises(SettingsInvalid, match=rf"cannot listen on 127\.0\.0\.1:{scp.port}"):
        other.start()


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_no_log_line_holds_anything_of_the_peer_or_the_instance(
    scp: StorageSCP, series: list[Dataset], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    send(series, scp.port)
    send([damaged(series[0], how="series leads out of the spool")], scp.port)
    rejected(scp.port, calling="CANARY", called="DEIDNODE")

    ours = [r for r in caplog.records if r.name.startswith("deid_node")]
    assert [record.msg for record in ours] == ["instance-refused", "association-rejected"]
    assert [r for r in caplog.records if r.name.startswith("pynetdicom")] == []
    assert not re.search(r"CANARY|DRAWN|PACS|\.\./", caplog.text)


@pytest.mark.peer
def test_dcmtk_sends_and_echoes(scp: StorageSCP, series: list[Dataset], tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.dcm" for n in range(len(series))]
    for path, instance in zip(files, series, strict=True):
        path.write_bytes(written(instance))
    peer = ["-aet", "PACS", "-aec", "DEIDNODE", "127.0.0.1", str(scp.port)]

    subprocess.run(["echoscu", *peer], check=True)
    subprocess.run(["storescu", *peer, *map(str, files)], check=True)

    assert {str(dcmread(path).SOPInstanceUID) for path in kept(tmp_path)} == {
        str(each.SOPInstanceUID) for each in series
    }
