"""The kernel's own record: before each Success, file, name, folder and commit are on disk."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from deid_node.config.load import create_key
from deid_node.node.at_rest.names import KEY_FILE, is_sealed
from tests.fakes.node import eventually, is_open
from tests.fakes.raw_peer import RawPeer, command_pdu, data_pdu, dataset, elements, store
from tests.fakes.scp import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
UID = "1.2.826.0.1.3680043.8.498.1"
CALLS = "fsync,fdatasync,rename,renameat,renameat2,sendto"


class Call(NamedTuple):
    """A system call that was made without an error: when it began and ended, and on what."""

    began: int
    ended: int
    name: str
    on: str


def calls(record: str) -> Iterator[Call]:
    """Read what strace wrote; calls that overlap come in two lines."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(record.splitlines()):
        thread, _, text = line.partition(" ")
        began, text = number, text.strip()
        if text.endswith("<unfinished ...>"):
            begun[thread] = number, text.removesuffix("<unfinished ...>")
            continue
        if text.startswith("<..."):
            began, first = begun.pop(thread)
            text = first + text.partition("resumed>")[2]
        found = re.fullmatch(r"(\w+)\((.*)\)\s+= \d+", text)
        if found:
            yield Call(began, number, found[1], found[2])


def response(call: Call) -> dict[int, int | bytes] | None:
    """Decode the C-STORE-RSP that a call sends, if it does."""
    quoted = re.search(r'"((?:\\x[0-9a-f]{2})+)"', call.on)
    if call.name != "sendto" or quoted is None:
        return None
    sent = bytes.fromhex(quoted[1].replace("\\x", ""))
    if sent[0] != 4:
        return None
    answer = elements(sent[12:])
    return answer if answer[0x0100] == 0x8001 else None


def send(port: int, uids: list[str], statuses: list[int]) -> None:
    with RawPeer(port) as peer:
        peer.associate()
        for uid in uids:
            peer.say(command_pdu(store(uid)), data_pdu(dataset(uid, series="1.2.4")))
            statuses.append(peer.status())


@pytest.fixture(params=["in the clear", "encrypted"])
def spool_key(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Give the master key of an encrypted spool; None for one in the clear."""
    if request.param == "in the clear":
        return None
    path = tmp_path / "spool.key"
    create_key(path, what="spool key")
    return path


@pytest.fixture
def record(
    tmp_path: Path, spool_key: Path | None, peer: Callable[[str], str]
) -> tuple[list[Call], list[int]]:
    """Let one sender send, and then four at a time, under strace."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [peer("strace"), "-f", "-y", "-x", "-s", "400", "-e", f"trace={CALLS}"]
    node = [sys.executable, "-m", "tests.fakes.scp", str(tmp_path), str(port)]
    node += [] if spool_key is None else [str(spool_key)]
    traced = subprocess.Popen(
        [*command, "-o", str(tmp_path / "record"), *node],
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    statuses: list[int] = []
    try:
        eventually(lambda: is_open(port) or traced.poll() is not None)
        if traced.poll() is not None and traced.stderr is not None:
            said = traced.stderr.read().decode()
            assert "ptrace" in said, said
            pytest.skip("strace may not trace here")
        send(port, [f"{UID}.1", f"{UID}.2"], statuses)
        threads = [
            threading.Thread(
                target=send, args=(port, [f"{UID}.{n}.{k}" for k in range(4)], statuses)
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        # strace itself takes no signal while it writes to a file.
        os.killpg(traced.pid, signal.SIGTERM)
        traced.communicate(timeout=60)
    return list(calls((tmp_path / "record").read_text())), statuses


@pytest.mark.peer
def test_every_success_comes_after_file_name_folder_and_commit(
    record: tuple[list[Call], list[int]], spool_key: Path | None, tmp_path: Path
) -> None:
    made, statuses = record
    successes = 0
    for sent in made:
        answer = response(sent)
        if answer is None or answer[0x0900] != 0:
            continue
        successes += 1
        uid = answer[0x1000]
        assert isinstance(uid, bytes)
        assert_durable(
            [call for call in made if call.ended < sent.began], uid.rstrip(b"\0").decode()
        )

    assert statuses == [0] * 18
    assert successes == 18
    files = list(tmp_path.rglob("*.dcm"))
    assert [is_sealed(path.read_bytes()) for path in files] == [spool_key is not None] * 18
    if spool_key is not None:
        assert_key_comes_first(made)


def assert_durable(before: list[Call], uid: str) -> None:
    """Find the four steps in their order; each is over before the next begins."""
    folder_sync = named(before, f"/{KEYS.instance_key(uid)}-")
    assert [
        call
        for call in before
        if "sync" in call.name and "ledger.sqlite-wal>" in call.on and call.began > folder_sync
    ]


def assert_key_comes_first(made: list[Call]) -> None:
    """See that the key of the series is durable before a file under it has a name."""
    durable = named(made, f"/{KEY_FILE}")
    assert all(call.began > durable for call in made if renames_to(call, ".dcm"))


def named(calls: list[Call], name: str) -> int:
    """Find the sync of a file, its rename and the sync of its folder; tell when all are over."""
    [rename] = [call for call in calls if renames_to(call, name)]
    draft, path = re.findall(r'"([^"]+)"', rename.on)
    folder = str(Path(path).parent)
    assert str(Path(draft).parent) == folder
    assert [
        c for c in calls if "sync" in c.name and f"<{draft}>" in c.on and c.ended < rename.began
    ]
    return min(
        call.ended
        for call in calls
        if call.name == "fsync" and f"<{folder}>" in call.on and call.began > rename.ended
    )


def renames_to(call: Call, name: str) -> bool:
    """Tell whether a file gets a name with this in it."""
    return call.name.startswith("rename") and name in call.on.split(", ")[-1]
