"""The spool keeps its promise: all of an instance, or nothing of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from deid_node.errors import SpoolFull, SpoolUnwritable
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

SERIES = SeriesKey("k7q2m4x9tz3a")
INSTANCE = InstanceKey("a1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "node" / "received"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, reserve_bytes=0)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def fail_with(number: int) -> object:
    def fail(*_arguments: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def test_instance_is_kept_as_it_came(spool: Spool) -> None:
    kept = spool.keep(SERIES, INSTANCE, [b"one", b"two"])

    [path] = spool.paths([kept])
    assert path.read_bytes() == b"onetwo"


def test_order_is_contents_then_name_then_folder(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str]]] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, recording(getattr(os, name), synced, folder))

    spool.keep(SERIES, INSTANCE, [b"one"])

    assert synced[-2:] == [("file", [".part"]), ("folder", [".dcm"])]
    assert all(names == [] for kind, names in synced[:-2])
    assert [kind for kind, _ in synced[:-2]] == ["folder", "folder"]


def recording(
    sync: Callable[[int], None], synced: list[tuple[str, list[str]]], folder: Path
) -> Callable[[int], None]:
    def record(fd: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
        synced.append((kind, [path.suffix for path in files(folder)]))
        sync(fd)

    return record


def test_several_instances_share_one_sync_of_their_folder(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = [spool.draft(SERIES, InstanceKey(name)) for name in ("a1", "b2", "c3")]
    for draft in drafts:
        draft.write([b"one"])
        draft.sync()
    synced: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "fsync", recording(os.fsync, synced, folder))

    settled = spool.settle(drafts)

    assert synced == [("folder", [".dcm", ".dcm", ".dcm"])]
    assert [is_new for _, is_new in settled] == [True, True, True]
    assert all(path.read_bytes() == b"one" for path in spool.paths([kept for kept, _ in settled]))


def test_file_that_is_synced_is_the_whole_file(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(
            os, name, lambda _fd: sizes.extend(path.stat().st_size for path in files(folder))
        )

    spool.keep(SERIES, INSTANCE, [b"one", b"two"])

    assert sizes == [6, 6]


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize("step", ["fdatasync", "open", "writev"])
def test_failing_disk_leaves_no_file_and_no_name_and_answers_out_of_resources(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    spool.keep(SERIES, InstanceKey("other"), [b"before"])
    monkeypatch.setattr(os, step, fail_with(number))

    with pytest.raises(SpoolUnwritable) as caught:
        spool.keep(SERIES, INSTANCE, [b"one"])

    assert caught.value.dimse_status == 0xA700
    assert [path.read_bytes() for path in files(folder)] == [b"before"]


def test_disk_that_takes_only_a_part_at_a_time_gets_all(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "writev", lambda fd, pieces: write(fd, bytes(pieces[0])[:2]))
    monkeypatch.setattr(os, "write", lambda fd, rest: write(fd, bytes(rest)[:1]))

    kept = spool.keep(SERIES, INSTANCE, [b"one", b"two", b"three"])

    [path] = spool.paths([kept])
    assert path.read_bytes() == b"onetwothree"


def test_more_pieces_than_one_call_takes_are_all_written(spool: Spool) -> None:
    pieces = [bytes([n % 251]) for n in range(3000)]

    [path] = spool.paths([spool.keep(SERIES, INSTANCE, pieces)])

    assert path.read_bytes() == b"".join(pieces)


def test_abandoned_draft_leaves_nothing_and_its_descriptor_is_closed(
    spool: Spool, folder: Path
) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    draft = spool.draft(SERIES, INSTANCE)
    draft.write([b"half"])

    draft.abandon()
    draft.abandon()

    assert files(folder) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_disk_that_fills_up_meanwhile_answers_out_of_resources(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fdatasync", fail_with(number))

    with pytest.raises(SpoolFull) as caught:
        spool.keep(SERIES, INSTANCE, [b"one"])

    assert caught.value.dimse_status == 0xA700
    assert files(folder) == []


def test_reserve_is_never_used(folder: Path) -> None:
    spool = Spool(folder, reserve_bytes=10**18)

    with pytest.raises(SpoolFull) as caught:
        spool.keep(SERIES, INSTANCE, [b""])

    assert caught.value.dimse_status == 0xA700
    assert files(folder) == []


def test_room_is_what_lies_above_the_reserve(folder: Path) -> None:
    assert Spool(folder, reserve_bytes=0).has_room()
    assert not Spool(folder, reserve_bytes=10**18).has_room()


def test_repeated_instance_is_kept_once(spool: Spool, folder: Path) -> None:
    first = spool.keep(SERIES, INSTANCE, [b"one", b"two"])
    again = spool.keep(SERIES, INSTANCE, [b"onetwo"])

    assert again == first
    assert len(files(folder)) == 1


def test_other_contents_of_one_instance_lie_beside_it(spool: Spool, folder: Path) -> None:
    spool.keep(SERIES, INSTANCE, [b"one"])
    spool.keep(SERIES, INSTANCE, [b"two"])

    assert sorted(path.read_bytes() for path in files(folder)) == [b"one", b"two"]


def test_only_the_owner_can_enter_or_read(spool: Spool, folder: Path) -> None:
    [path] = spool.paths([spool.keep(SERIES, INSTANCE, [b"one"])])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for each in (path.parent, folder, folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_start_finds_what_was_kept_and_removes_what_was_not(spool: Spool, folder: Path) -> None:
    kept = spool.keep(SERIES, INSTANCE, [b"one"])
    (folder / SERIES / "xyz.part").write_bytes(b"half")
    (folder / "empty").mkdir()

    found = Spool(folder, reserve_bytes=0).recover()

    assert found == [kept]
    assert files(folder) == spool.paths([kept])
    assert not (folder / "empty").exists()


def test_discarded_instance_is_gone_and_its_neighbour_is_not(spool: Spool, folder: Path) -> None:
    kept = spool.keep(SERIES, INSTANCE, [b"one"])
    neighbour = spool.keep(SERIES, InstanceKey("b2"), [b"two"])

    spool.discard([kept])
    spool.discard([kept])

    assert files(folder) == spool.paths([neighbour])
