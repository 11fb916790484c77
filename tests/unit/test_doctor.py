"""Each check of `deid-node doctor` sees what is wrong, and says what to do."""

from __future__ import annotations

import json
import os
import shutil
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.config.load import create_key, load_settings
from deid_node.errors import WeightsUnusable
from deid_node.face.weights import default_weights
from deid_node.headers.pseudonyms import InstanceKey, Pseudonyms, SeriesKey
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.doctor import machine, network, spool, work
from deid_node.node.doctor.examination import examine
from deid_node.node.doctor.finding import Bad, Doubtful, Good, found
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.spool import Spool
from deid_node.node.spool_lock import locked
from tests.fakes.command import run
from tests.fakes.face import FakeFaceModel
from tests.fakes.node import free_port, settings_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deid_node.config.faces import Face
    from deid_node.config.schema import Settings
    from deid_node.dicom.volume import Volume
    from deid_node.face.model import FaceEstimate
    from deid_node.node.doctor.finding import Answer


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def path(tmp_path: Path, port: int) -> Path:
    return settings_file(tmp_path, port=port)


@pytest.fixture
def settings(path: Path) -> Settings:
    return load_settings(path, {})


@pytest.fixture
def used(settings: Settings) -> Iterator[Settings]:
    """Give settings of a node that has run, with a series in its ledger."""
    settings.spool.folder.mkdir(mode=0o700)
    ledger = Ledger(settings.spool.folder / "ledger.sqlite", now=lambda: 5000.0)
    key = bytes.fromhex(settings.pseudonym_key.read_text())
    ledger.belongs_to(Pseudonyms(key).fingerprint())
    ledger.arrived(Kept(series=SeriesKey("s"), instance=InstanceKey("i"), digest="d"))
    yield settings
    ledger.close()


def test_every_check_of_a_sound_site_is_good_or_says_why_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "face_models", lambda faces, _: dict.fromkeys(faces, FakeFaceModel()))

    findings = list(examine(settings, network_too=True))

    assert [each for each in findings if each.level.value == "failed"] == []
    assert [each for each in findings if each.level.value == "warning" and not each.next_step] == []
    names = [each.check for each in findings]
    assert names[-1] == "to copies"
    assert len(names) == len(set(names)) == 19


def test_model_of_the_shipped_weights_looks_at_the_drawn_head(settings: Settings) -> None:
    assert isinstance(work.model(settings), Good)
    assert isinstance(work.weights(settings), Good)


def test_every_model_that_routes_choose_looks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route's model is tried when somebody asks, not when its first series comes."""
    path.write_text(
        path.read_text().replace("callers = [", 'callers = ["CHILDREN", ')
        + '[[routes]]\ncallers = ["CHILDREN"]\nface.model = "paper"\n'
    )
    routed = load_settings(path, {})
    asked: list[str] = []

    def loaded(faces: list[Face], _: object) -> dict[Face, FakeFaceModel]:
        asked.extend(face.model for face in faces)
        return dict.fromkeys(faces, FakeFaceModel())

    monkeypatch.setattr(work, "face_models", loaded)
    models = work.model(routed)
    weights = found("weights", lambda: work.weights(routed))

    assert isinstance(models, Good)
    assert asked == ["default", "paper"]
    assert models.told.startswith("all 2 looked at a drawn head")
    assert (weights.level.value, "called paper" in weights.told) == ("failed", True)


def test_a_model_looks_on_every_device(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(path.read_text() + '[face]\ndevice = ["cuda:0", "cuda:1", "cuda:0"]\n')
    asked: list[tuple[str, ...]] = []

    def loaded(faces: list[Face], _: object) -> dict[Face, FakeFaceModel]:
        asked.extend(face.device for face in faces)
        return dict.fromkeys(faces, FakeFaceModel())

    monkeypatch.setattr(work, "face_models", loaded)

    assert isinstance(work.model(load_settings(path, {})), Good)
    assert asked == [("cuda:0",), ("cuda:1",)]


def test_model_that_gives_no_numbers_or_cannot_be_loaded_is_bad(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeFaceModel):
        def estimate(self, volume: Volume) -> FaceEstimate:
            estimate = super().estimate(volume)
            estimate.face[:] = np.nan
            return estimate

    monkeypatch.setattr(work, "face_models", lambda faces, _: dict.fromkeys(faces, Broken()))
    broken = work.model(settings)
    no_weights = WeightsUnusable("the default model is not installed")
    unusable = found("weights", lambda: (_ for _ in ()).throw(no_weights))

    assert isinstance(broken, Bad)
    assert (unusable.level.value, unusable.told) == ("failed", str(no_weights))
    assert unusable.next_step


def test_damaged_weights_are_bad(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(default_weights(), copy)
    with (copy / "face.xml").open("ab") as file:
        file.write(b" ")
    monkeypatch.setattr(work, "model_folder", lambda _face: copy)

    finding = found("weights", lambda: work.weights(settings))

    assert finding.level.value == "failed"


def test_fault_of_a_check_is_a_finding_without_its_text() -> None:
    def fail() -> Answer:
        raise ValueError("DOE^JANE")

    finding = found("x", fail)

    assert (finding.level.value, finding.next_step != "") == ("failed", True)
    assert "ValueError" in finding.told
    assert "DOE" not in finding.told


def test_settings_that_cannot_be_read_are_the_only_finding(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("doctor", "--config", tmp_path / "none.toml", "--json") == 1
    told = json.loads(capfd.readouterr().out)

    assert told["ok"] is False
    assert [each["check"] for each in told["findings"]] == ["settings"]


def test_one_line_for_each_finding_and_the_next_step_below(
    path: Path, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.pseudonym_key.chmod(0o644)

    assert run("doctor", "--config", path, "--no-network") == 1
    lines = capfd.readouterr().out.splitlines()
    [at] = [number for number, line in enumerate(lines) if "pseudonym key" in line]

    assert lines[at].startswith("✗ pseudonym key")
    assert lines[at + 1].lstrip().startswith("→ create a key")
    assert lines[0].startswith("✓ settings")
    assert not any("to copies" in line for line in lines)


def test_key_is_compared_with_that_of_the_spool(used: Settings) -> None:
    same = spool.pseudonym_key(used)
    used.pseudonym_key.unlink()
    create_key(used.pseudonym_key)

    assert isinstance(same, Good)
    assert isinstance(spool.pseudonym_key(used), Bad)


def test_spool_key_is_tried_on_every_series(tmp_path: Path, port: int) -> None:
    for name in ("a.key", "b.key"):
        create_key(tmp_path / name, what="spool key")
    of = {
        name: load_settings(
            settings_file(tmp_path, port=port, more=f'encrypt_key = "{name}"' if name else ""), {}
        )
        for name in ("a.key", "b.key", "")
    }
    folder = of[""].spool.folder
    sealing = open_sealing(folder, tmp_path / "a.key")
    Spool(folder / "received", reserve_bytes=0, sealing=sealing).keep(
        SeriesKey("s"), InstanceKey("i"), [b"x"]
    )

    levels = {n: found("", lambda s=s: spool.encryption(s)).level.value for n, s in of.items()}  # type: ignore[misc]

    assert levels == {"a.key": "ok", "b.key": "failed", "": "failed"}


def test_spool_that_others_may_enter_is_doubtful(used: Settings) -> None:
    private = spool.folder(used)
    used.spool.folder.chmod(0o755)

    assert isinstance(private, Good)
    assert isinstance(spool.folder(used), Doubtful)


def test_spool_that_cannot_be_written_is_bad(
    used: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    assert isinstance(spool.folder(used), Bad)


def test_damaged_ledger_is_bad(used: Settings) -> None:
    whole = spool.ledger(used)
    for path in used.spool.folder.glob("ledger.sqlite*"):
        path.unlink()
    (used.spool.folder / "ledger.sqlite").write_bytes(b"this is no database" * 100)

    assert isinstance(whole, Good)
    assert isinstance(spool.ledger(used), Bad)


MOUNTS = """\
22 1 0:20 / / rw,relatime shared:1 - {root} none rw
23 22 0:21 / {place} rw,relatime - {kind} none rw{options}
24 22 0:22 / {beside} rw - {other} none rw
"""


@pytest.mark.parametrize(
    ("kind", "options", "kinds"),
    [
        ("ext4", "", Good),
        ("xfs", ",noquota", Good),
        ("ext4", ",nobarrier", Doubtful),
        ("nfs4", "", Doubtful),
        ("tmpfs", "", Doubtful),
        ("overlay", "", Doubtful),
        ("fuse.sshfs", "", Doubtful),
    ],
)
def test_file_system_is_that_of_the_lowest_mount(
    settings: Settings, tmp_path: Path, kind: str, options: str, kinds: type
) -> None:
    mounts = tmp_path / "mountinfo"
    other = "tmpfs" if kinds is Good else "ext4"
    beside = str(tmp_path)[:-1]  # begins as the folder does, and is none above it
    mounts.write_text(
        MOUNTS.format(
            root=other,
            place=tmp_path.parent,
            kind=kind,
            options=options,
            beside=beside,
            other=other,
        )
    )

    assert isinstance(spool.file_system(settings, mounts), kinds)


def test_room_is_judged_by_the_reserve(path: Path) -> None:
    levels = [
        type(spool.room(load_settings(path, {"DEID_NODE__SPOOL__RESERVE_GIB": reserve})))
        for reserve in ("0", "1e9")
    ]

    assert levels == [Good, Bad]


def test_disk_that_does_not_sync_is_seen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(spool, "_sync_once", lambda _file: 1e-6)
        too_fast = spool.syncing(settings)
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", "/usr/lib/libeatmydata.so")
        replaced = spool.syncing(settings)
    with monkeypatch.context() as patch:
        patch.setattr(spool, "_sync_once", lambda _file: 4e-3)
        sound = spool.syncing(settings)

    assert [type(each) for each in (too_fast, replaced, sound)] == [Doubtful, Bad, Good]
    assert spool._sync_once(os.memfd_create("x")) > 0


def test_clock_that_was_set_back_is_bad(used: Settings) -> None:
    assert isinstance(machine.clock(used, now=5003.0), Good)
    assert isinstance(machine.clock(used, now=4000.0), Bad)


@pytest.mark.parametrize(
    ("device", "uuid", "kinds"),
    [
        (None, None, Good),
        ("/dev/zram0", None, Good),
        ("/dev/dm-1", "CRYPT-LUKS2-0123", Good),
        ("/dev/dm-1", "LVM-0123", Doubtful),
        ("/swapfile", None, Doubtful),
    ],
)
def test_swap_in_the_clear_is_doubtful(
    tmp_path: Path, device: str | None, uuid: str | None, kinds: type
) -> None:
    swaps = tmp_path / "swaps"
    line = "" if device is None else f"{device} partition 1 0 -2\n"
    swaps.write_text("Filename Type Size Used Priority\n" + line)
    if uuid is not None:
        (tmp_path / "dm-1" / "dm").mkdir(parents=True)
        (tmp_path / "dm-1" / "dm" / "uuid").write_text(uuid)

    assert isinstance(machine.swap(swaps, tmp_path), kinds)


def test_core_dumps_and_versions_of_this_machine_are_good() -> None:
    assert isinstance(machine.core_dumps(), Good)
    assert isinstance(machine.versions(), Good)


def test_port_is_free_the_nodes_or_anothers(used: Settings, port: int) -> None:
    def look() -> type:
        return type(network.port(used, "127.0.0.1", port))

    free = look()
    with locked(used.spool.folder):
        elsewhere = look()
    with socket.create_server(("127.0.0.1", port)):
        others = look()
        with locked(used.spool.folder):
            ours = look()

    assert [free, elsewhere, others, ours] == [Good, Bad, Bad, Good]
    assert isinstance(network.port(used, "192.0.2.1", port), Bad)


def test_profile_with_a_mistake_is_bad(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nversion: 1\nnonsense: true\n")
    named = load_settings(path, {"DEID_NODE__PROFILE": str(tmp_path / "mine.yaml")})

    assert isinstance(work.profile(named), Bad)
    assert isinstance(work.profile(load_settings(path, {})), Good)


def test_destination_that_does_not_answer_is_failed(tmp_path: Path, port: int) -> None:
    settings = load_settings(settings_file(tmp_path, port=port, archive=port), {})
    dead, folder = (
        found("to", lambda each=each: network.destination(each))  # type: ignore[misc]
        for each in sorted(settings.destinations, key=lambda each: each.name)
    )

    assert (dead.level.value, folder.level.value) == ("failed", "ok")


def test_callers_nobody_is_doubtful(settings: Settings) -> None:
    nobody = settings.model_copy(update={"node": settings.node.model_copy(update={"callers": ()})})

    assert isinstance(network.callers(settings), Good)
    assert isinstance(network.callers(nobody), Doubtful)


def test_spool_of_another_account_is_doubtful(
    used: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = machine.account(used)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    assert isinstance(mine, Good)
    assert isinstance(machine.account(used), Doubtful)
