"""The spool at rest: nothing can be read without the key, and nothing can be changed unseen."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid_node.config.load import create_key
from deid_node.errors import (
    KeyUnusable,
    OriginalsMissing,
    SpooledFileDamaged,
    SpoolFull,
    SpoolKeyUnusable,
)
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node import durable
from deid_node.node.at_rest import sealing
from deid_node.node.at_rest.names import KEY_FILE, MAGIC
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.at_rest.sealing import Sealing, rotate
from deid_node.node.at_rest.series_keys import MasterKey
from deid_node.node.at_rest.stream import FRAME, HEAD_LENGTH, TAG_LENGTH, Sealer, Unsealable, unseal
from deid_node.node.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.node.kept import Kept

SERIES, OTHER = SeriesKey("k7q2m4x9tz3a"), SeriesKey("z8w3")
INSTANCE = InstanceKey("a1")
KEY = bytes(range(32))
CANARY = b"DOE^JANE" * 40
SEALED_FRAME = FRAME + TAG_LENGTH


def sealed(content: bytes, name: str = "s/i") -> bytes:
    sealer = Sealer(KEY, name)
    return b"".join([*sealer.seal([content]), *sealer.end()])


@given(st.lists(st.binary(max_size=3 * 4096), max_size=12), st.integers(0, 2))
def test_what_comes_in_pieces_comes_back_whole(pieces: list[bytes], n_frames: int) -> None:
    pieces = [*pieces, bytes(n_frames * FRAME)]
    sealer = Sealer(KEY, "s/i")
    content = b"".join([*(s for piece in pieces for s in sealer.seal([piece])), *sealer.end()])

    assert unseal(content, KEY, "s/i") == b"".join(pieces)


@pytest.mark.parametrize(
    "length", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 7], ids=str
)
def test_length_is_that_of_head_and_frames(length: int) -> None:
    content = sealed(bytes(length))

    assert len(content) == HEAD_LENGTH + length + TAG_LENGTH * max(-(-length // FRAME), 1)
    assert unseal(content, KEY, "s/i") == bytes(length)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


HEAD, FIRST, SECOND = HEAD_LENGTH, HEAD_LENGTH + SEALED_FRAME, HEAD_LENGTH + 2 * SEALED_FRAME
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the contents": lambda c: flipped(c, HEAD),
    "a bit of a tag": lambda c: flipped(c, len(c) - 1),
    "a bit of the salt": lambda c: flipped(c, len(MAGIC)),
    "a bit of the magic": lambda c: flipped(c, 0),
    "last frame gone": lambda c: c[:SECOND],
    "last octet gone": lambda c: c[:-1],
    "all frames gone": lambda c: c[:HEAD],
    "cut in the head": lambda c: c[:20],
    "frames changed places": lambda c: c[:HEAD] + c[FIRST:SECOND] + c[HEAD:FIRST] + c[SECOND:],
    "frame twice": lambda c: c[:FIRST] + c[HEAD:],
    "octets behind": lambda c: c + b"\0",
    "frame of another file": lambda c: c[:HEAD] + sealed(CANARY * 1000)[HEAD:FIRST] + c[FIRST:],
    "nothing is left": lambda _: b"",
}


@pytest.mark.parametrize("how", CHANGES)
def test_change_of_any_kind_is_seen(how: str) -> None:
    content = sealed(os.urandom(2 * FRAME + 4))
    assert len(unseal(content, KEY, "s/i")) == 2 * FRAME + 4

    with pytest.raises(Unsealable):
        unseal(CHANGES[how](content), KEY, "s/i")


def test_other_name_or_key_opens_nothing() -> None:
    content = sealed(CANARY)

    with pytest.raises(Unsealable):
        unseal(content, KEY, "s/j")
    with pytest.raises(Unsealable):
        unseal(content, KEY[::-1], "s/i")


def test_same_contents_never_give_the_same_file() -> None:
    once, again = sealed(bytes(1000)), sealed(bytes(1000))

    assert once[HEAD_LENGTH:] != again[HEAD_LENGTH:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def master(tmp_path: Path) -> Path:
    create_key(tmp_path / "spool.key", what="spool key")
    return tmp_path / "spool.key"


def spool_in(folder: Path, master: Path | None) -> Spool:
    """Open a spool as a node does."""
    return Spool(folder / "received", reserve_bytes=0, sealing=open_sealing(folder, master))


def read(spool: Spool, kept: Kept) -> bytes:
    [source] = spool.sources([kept])
    return source.read_bytes()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_instance_is_unreadable_at_any_moment_and_comes_back_after_a_restart(
    folder: Path, master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    real = os.fdatasync

    def sync(fd: int) -> None:
        seen.extend(files(folder).values())
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    spool = spool_in(folder, master)
    kept = spool.keep(SERIES, INSTANCE, [CANARY, CANARY])

    again = spool_in(folder, master)

    assert again.recover() == [kept]
    assert read(again, kept) == CANARY * 2
    assert len(seen) >= 2
    assert [each for each in (*seen, *files(folder).values()) if CANARY[:8] in each] == []


def test_resend_finds_the_digest_of_the_contents_and_replaces_the_file(
    folder: Path, master: Path
) -> None:
    first = spool_in(folder, master).keep(SERIES, INSTANCE, [CANARY])
    plain = spool_in(folder / "other", None).keep(SERIES, INSTANCE, [CANARY])
    spool = spool_in(folder, master)
    again = spool.keep(SERIES, INSTANCE, [CANARY])

    assert first == again == plain
    assert sorted(files(folder / "received")) == [again.name, KEY_FILE]
    assert read(spool, again) == CANARY


def test_draft_holds_no_more_than_a_frame_in_memory(folder: Path, master: Path) -> None:
    draft = spool_in(folder, master).draft(SERIES, INSTANCE)
    piece = bytes(2**17)
    tracemalloc.start()
    for _ in range(200):
        draft.write([piece])
    draft.sync()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert Path(draft.path).stat().st_size > 200 * len(piece)
    assert peak < 8 * len(piece)


@pytest.mark.parametrize("to", [(OTHER, INSTANCE), (SERIES, InstanceKey("b2"))])
def test_file_that_took_the_place_of_another_is_not_read(
    folder: Path, master: Path, to: tuple[SeriesKey, InstanceKey]
) -> None:
    spool = spool_in(folder, master)
    mine, other = spool.keep(SERIES, INSTANCE, [CANARY]), spool.keep(*to, [CANARY])
    [source], [target] = spool.paths([mine]), spool.paths([other])
    target.write_bytes(source.read_bytes())

    with pytest.raises(SpooledFileDamaged):
        read(spool, other)
    assert read(spool, mine) == CANARY


def test_older_contents_under_the_name_of_newer_ones_are_not_read(
    folder: Path, master: Path
) -> None:
    spool = spool_in(folder, master)
    old, new = (spool.keep(SERIES, INSTANCE, [each]) for each in (b"old", b"new"))
    [source], [target] = spool.paths([old]), spool.paths([new])
    target.write_bytes(source.read_bytes())

    with pytest.raises(SpooledFileDamaged):
        read(spool, new)


@pytest.mark.parametrize("how", ["plain file", "key gone", "key damaged", "key of another"])
def test_tampering_is_a_typed_error_that_holds(folder: Path, master: Path, how: str) -> None:
    spool = spool_in(folder, master)
    kept, other = (spool.keep(series, INSTANCE, [CANARY]) for series in (SERIES, OTHER))
    [path], [elsewhere] = spool.paths([kept]), spool.paths([other])
    key = path.parent / KEY_FILE
    match how:
        case "plain file":
            path.write_bytes(CANARY)
        case "key gone":
            key.unlink()
        case "key damaged":
            key.write_bytes(key.read_bytes()[:-1])
        case _:
            key.write_bytes((elsewhere.parent / KEY_FILE).read_bytes())
    # as after a restart, which has no keys in memory yet
    spool._sealing = Sealing(MasterKey.from_file(master))

    with pytest.raises(SpooledFileDamaged) as caught:
        read(spool, kept)
    assert caught.value.disposition.value == "hold"


def test_last_instance_takes_the_key_of_its_series_with_it_and_key_goes_first(
    folder: Path, master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_in(folder, master)
    first, second = (spool.keep(SERIES, InstanceKey(i), [CANARY]) for i in ("a", "b"))
    neighbour = spool.keep(OTHER, INSTANCE, [CANARY])
    there: list[set[str]] = []

    def sync(path: Path) -> None:
        there.append({each.name for each in path.iterdir()})
        durable.sync_folder(path)

    monkeypatch.setattr(sealing, "sync_folder", sync)
    spool.discard([first])
    still = read(spool, second)
    spool.discard([second])

    assert still == CANARY
    assert there == [{second.name}]
    assert files(folder / "received" / SERIES) == {}
    assert read(spool, neighbour) == CANARY


def test_copy_of_an_erased_series_cannot_be_read_again(folder: Path, master: Path) -> None:
    spool = spool_in(folder, master)
    kept = spool.keep(SERIES, INSTANCE, [CANARY])
    [path] = spool.paths([kept])
    copy = path.read_bytes()
    spool.discard([kept])
    anew = spool.keep(SERIES, InstanceKey("b2"), [CANARY])
    path.write_bytes(copy)

    with pytest.raises(SpooledFileDamaged):
        read(spool, kept)
    assert read(spool, anew) == CANARY


def test_series_that_is_being_received_keeps_its_key(folder: Path, master: Path) -> None:
    spool = spool_in(folder, master)
    old = spool.keep(SERIES, INSTANCE, [CANARY])
    draft = spool.draft(SERIES, InstanceKey("b2"))
    draft.write([CANARY])
    spool.discard([old])
    draft.sync()
    [(kept, _)] = spool.settle([draft])

    assert read(spool_in(folder, master), kept) == CANARY


def test_folder_that_was_deleted_as_a_whole_gets_another_key(folder: Path, master: Path) -> None:
    spool = spool_in(folder, master)
    spool.keep(SERIES, INSTANCE, [CANARY])
    for path in (folder / "received" / SERIES).iterdir():
        path.unlink()

    anew = spool.keep(SERIES, INSTANCE, [CANARY])

    assert read(spool_in(folder, master), anew) == CANARY


def test_disk_that_has_no_room_for_a_key_answers_out_of_resources(
    folder: Path, master: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _chunks: list[bytes]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool = spool_in(folder, master)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "write_file", full)
        with pytest.raises(SpoolFull):
            spool.keep(SERIES, INSTANCE, [CANARY])

    assert files(folder) == {}
    assert read(spool, spool.keep(SERIES, INSTANCE, [CANARY])) == CANARY


def test_key_without_a_file_goes_at_the_next_start(folder: Path, master: Path) -> None:
    spool = spool_in(folder, master)
    spool.draft(SERIES, INSTANCE)  # and then the machine stops

    again = spool_in(folder, master)

    assert (folder / "received" / SERIES / KEY_FILE).exists()
    assert again.recover() == []
    assert list((folder / "received").iterdir()) == []


def test_start_encrypts_what_lies_there_in_the_clear(folder: Path, master: Path) -> None:
    large = os.urandom(3 * 2**20)
    plain = spool_in(folder, None)
    kept = [plain.keep(SERIES, INSTANCE, [CANARY]), plain.keep(OTHER, INSTANCE, [large])]

    spool = spool_in(folder, master)
    first, second = spool.recover(), spool.recover()

    assert first == second == kept
    assert [read(spool, each) for each in kept] == [CANARY, large]
    assert [name for name, held in files(folder).items() if CANARY[:8] in held] == []


def test_sealed_original_that_is_gone_is_missing_not_damaged(folder: Path, master: Path) -> None:
    spool = spool_in(folder, master)
    kept = [spool.keep(SERIES, INSTANCE, [CANARY]), spool.keep(OTHER, INSTANCE, [CANARY])]
    spool.paths(kept)[0].unlink()

    with pytest.raises(OriginalsMissing):
        spool.sources(kept)


def test_wrong_missing_or_open_key_is_one_clear_line(
    folder: Path, master: Path, tmp_path: Path
) -> None:
    spool_in(folder, master).keep(SERIES, INSTANCE, [CANARY])
    create_key(tmp_path / "other.key", what="spool key")

    with pytest.raises(SpoolKeyUnusable, match=r"1 of 1 series .* another key than .*other\.key"):
        open_sealing(folder, tmp_path / "other.key")
    with pytest.raises(SpoolKeyUnusable, match="encrypt_key names no key"):
        open_sealing(folder, None)
    with pytest.raises(KeyUnusable, match=r"spool key .* cannot be read"):
        open_sealing(folder, tmp_path / "missing.key")
    master.chmod(0o644)
    with pytest.raises(KeyUnusable, match=r"spool key .* may be read or written by others"):
        open_sealing(folder, master)


def test_rotation_wraps_keys_again_and_goes_on_where_it_broke_off(
    folder: Path, master: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new.key"
    create_key(new, what="spool key")
    spool = spool_in(folder, master)
    kept = [spool.keep(series, INSTANCE, [CANARY]) for series in (SERIES, OTHER)]
    before = {path: path.read_bytes() for path in spool.paths(kept)}
    n_written = iter(range(9))

    def crash(path: Path, chunks: list[bytes]) -> None:
        if next(n_written) == 1:
            raise OSError(errno.EIO, "the disk fails")
        durable.write_file(path, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "write_file", crash)
        with pytest.raises(OSError, match="the disk fails"):
            rotate(folder, master, new)
    with pytest.raises(SpoolKeyUnusable, match="1 of 2 series"):
        open_sealing(folder, master)
    n_keys = rotate(folder, master, new)

    assert n_keys == 2
    again = spool_in(folder, new)
    assert [read(again, each) for each in kept] == [CANARY] * 2
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(SpoolKeyUnusable, match="2 of 2 series"):
        open_sealing(folder, master)


def test_key_that_neither_master_wrapped_stops_a_rotation(
    folder: Path, master: Path, tmp_path: Path
) -> None:
    for name in ("a.key", "b.key"):
        create_key(tmp_path / name, what="spool key")
    spool_in(folder, master).keep(SERIES, INSTANCE, [CANARY])

    with pytest.raises(SpoolKeyUnusable, match="by neither"):
        rotate(folder, tmp_path / "a.key", tmp_path / "b.key")
    assert open_sealing(folder, master) is not None
