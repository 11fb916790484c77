"""Peers that say half, too much, the wrong thing or nothing do no harm to any other."""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deid_node.node.receive import listener as listening_to
from tests.fakes.node import eventually
from tests.fakes.raw_peer import (
    ABORT,
    RELEASE,
    RawPeer,
    associate_rq,
    command_pdu,
    data_pdu,
    dataset,
    echo,
    echoes,
    pdu,
    pdv,
    store,
)
from tests.fakes.scp import listening, resident_mib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.scp import Listening

GIB = 2**30
UID = "1.2.826.0.1.3680043.8.498.1"
BY_PROVIDER = 2
REASON_UNKNOWN_PDU, REASON_UNEXPECTED_PDU, REASON_INVALID = 1, 2, 6


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as node:
        yield node


@pytest.fixture
def caller(node: Listening) -> Iterator[RawPeer]:
    with RawPeer(node.port) as caller:
        yield caller


def aborted(caller: RawPeer, reason: int) -> bool:
    """Tell whether the node aborted for a reason, and then closed."""
    kind, body = caller.hear()
    return (kind, *body[2:]) == (7, BY_PROVIDER, reason) and caller.is_closed()


HALF = data_pdu(dataset(UID)[:500], last=False)
VIOLATIONS = {
    "2 GiB of P-DATA": (pdu(4, b"", claims=2 * GIB), REASON_INVALID),
    "unknown PDU": (pdu(9, b"x"), REASON_UNKNOWN_PDU),
    "second request": (associate_rq(), REASON_UNEXPECTED_PDU),
    "answer to an association": (pdu(2, bytes(68)), REASON_UNEXPECTED_PDU),
    "answer to a release": (pdu(6, bytes(4)), REASON_UNEXPECTED_PDU),
    "PDV longer than its PDU": (pdu(4, struct.pack(">IBB", 99, 3, 3) + b"x"), REASON_INVALID),
    "PDV of length 1": (pdu(4, struct.pack(">IBB", 1, 3, 3)), REASON_INVALID),
    "PDV head cut off": (pdu(4, b"\0\0\0"), REASON_INVALID),
    "context nobody agreed on": (command_pdu(echo(), context=9), REASON_INVALID),
    "dataset before a command": (data_pdu(dataset(UID)), REASON_INVALID),
    "dataset on another context": (
        command_pdu(store(UID)) + data_pdu(dataset(UID), context=1),
        REASON_INVALID,
    ),
    "command within a dataset": (
        command_pdu(store(UID)) + HALF + command_pdu(echo(), context=1),
        REASON_INVALID,
    ),
    "command on two contexts": (
        pdu(4, pdv(3, 1, echo()[:20]) + pdv(1, 3, echo()[20:])),
        REASON_INVALID,
    ),
    "command without an end": (pdu(4, pdv(3, 1, bytes(5000))), REASON_INVALID),
    "release within a dataset": (command_pdu(store(UID)) + HALF + RELEASE, REASON_UNEXPECTED_PDU),
    "release within a command": (pdu(4, pdv(3, 1, echo()[:20])) + RELEASE, REASON_UNEXPECTED_PDU),
    "response": (command_pdu(echo(e0100=b"\x30\x80")), REASON_INVALID),
    "garbage for a command": (command_pdu(b"\xff" * 60), REASON_INVALID),
}


@pytest.mark.parametrize("said", VIOLATIONS)
def test_violation_is_answered_with_an_abort_and_leaves_nothing(
    node: Listening, caller: RawPeer, said: str
) -> None:
    encoded, reason = VIOLATIONS[said]
    caller.associate()
    caller.say(encoded)

    assert aborted(caller, reason)
    assert node.files() == []
    assert echoes(node.port)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (pdu(1, b"", claims=2 * GIB), REASON_INVALID),
        (pdu(1, b"short"), REASON_INVALID),
        (pdu(1, bytes(67)), REASON_INVALID),
        (pdu(4, b"", claims=2 * GIB), REASON_UNEXPECTED_PDU),
        (RELEASE, REASON_UNEXPECTED_PDU),
        (b"GET / HTTP/1.1\r\n\r\n", REASON_UNKNOWN_PDU),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", REASON_UNKNOWN_PDU),
        (associate_rq()[:2] + struct.pack(">I", 80) + associate_rq()[6:86], REASON_INVALID),
    ],
    ids=[
        "2 GiB",
        "short",
        "one byte short",
        "P-DATA",
        "release",
        "HTTP",
        "TLS",
        "cut in an item",
    ],
)
def test_what_is_no_request_for_an_association_is_answered_with_an_abort(
    node: Listening, caller: RawPeer, said: bytes, reason: int
) -> None:
    caller.say(said)

    assert aborted(caller, reason)
    assert echoes(node.port)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (associate_rq(calling="STRANGER"), (1, 1, 3)),
        (associate_rq(called="OTHER"), (1, 1, 7)),
        (associate_rq(version=2), (1, 2, 2)),
        (associate_rq(application="1.2.3"), (1, 1, 2)),
    ],
)
def test_peer_that_is_not_let_in_is_told_why(
    caller: RawPeer, said: bytes, code: tuple[int, int, int]
) -> None:
    caller.say(said)

    kind, body = caller.hear()
    assert (kind, *body[1:]) == (3, *code)


def test_bytes_that_a_stranger_sends_are_not_decoded(
    node: Listening, caller: RawPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deid_node.node.receive.negotiation.A_ASSOCIATE_RQ", lambda: pytest.fail("decoded")
    )
    caller.say(associate_rq(calling="STRANGER"))

    assert caller.hear()[0] == 3
    assert node.files() == []


@pytest.mark.parametrize("ending", [ABORT, b""], ids=["A-ABORT", "connection closed"])
def test_peer_that_breaks_off_leaves_nothing(node: Listening, ending: bytes) -> None:
    with RawPeer(node.port) as caller:
        caller.associate()
        caller.say(command_pdu(store(UID)), data_pdu(dataset(UID)[:900], last=False))
        eventually(node.files)
        caller.say(ending)

    eventually(lambda: not node.files())
    assert echoes(node.port)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"associate_seconds": 0.2}, b""),
        ({"associate_seconds": 0.2}, associate_rq()[:100]),
        ({"pdu_seconds": 0.2}, associate_rq() + command_pdu(echo(), context=1)[:20]),
        ({"pdu_seconds": 0.2}, associate_rq() + command_pdu(store(UID)) + HALF + HALF[:50]),
        ({"idle_seconds": 0.2}, associate_rq()),
        ({"idle_seconds": 0.2}, associate_rq() + command_pdu(store(UID)) + HALF),
    ],
    ids=[
        "silent",
        "half a request",
        "half a command",
        "half a P-DATA",
        "idle",
        "idle within a dataset",
    ],
)
def test_peer_that_stops_talking_is_let_go(
    tmp_path: Path, settings: dict[str, Any], said: bytes
) -> None:
    with listening(tmp_path, **settings) as node, RawPeer(node.port) as caller:
        threads = threading.active_count()
        caller.say(said)
        heard = [caller.hear()[0]]
        while heard[-1]:
            heard.append(caller.hear()[0])
        eventually(lambda: threading.active_count() < threads or not node.files())

        assert heard in ([0], [2, 7, 0])
        assert node.files() == []


def test_peer_that_sends_crumbs_does_not_get_more_time(tmp_path: Path) -> None:
    with listening(tmp_path, associate_seconds=0.5) as node, RawPeer(node.port) as caller:
        closed = threading.Thread(target=caller.is_closed, daemon=True)
        closed.start()
        for crumb in associate_rq():
            closed.join(0.05)
            if not closed.is_alive():
                break
            caller.say(bytes((crumb,)))

        assert not closed.is_alive()


def test_silent_connections_do_not_keep_a_peer_out(tmp_path: Path) -> None:
    with listening(tmp_path, max_associations=1) as node:
        silent = [socket.create_connection(("127.0.0.1", node.port), 20) for _ in range(400)]
        for each in silent[::3]:
            each.sendall(associate_rq()[:40])

        assert echoes(node.port)
        assert silent[0].recv(1) == b""
        assert threading.active_count() < listening_to.MOST_SILENT + 10
        for each in silent:
            each.close()


def test_node_without_descriptors_sends_the_silent_away_and_goes_on(
    node: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, scarce = socket.socket.accept, [errno.EMFILE, errno.ENFILE]

    def failing(listener: socket.socket) -> tuple[socket.socket, Any]:
        if scarce:
            raise OSError(scarce.pop(), "too many open files")
        return accept(listener)

    with RawPeer(node.port) as first, RawPeer(node.port) as second:
        eventually(lambda: len(node.scp._listener._silent) == 2)  # type: ignore[union-attr]
        monkeypatch.setattr(socket.socket, "accept", failing)

        assert echoes(node.port)
        assert first.is_closed()
        assert second.is_closed()


def test_associations_beyond_the_limit_are_rejected_for_a_while(tmp_path: Path) -> None:
    with listening(tmp_path, max_associations=2) as node:
        peers = [RawPeer(node.port) for _ in range(3)]
        for each in peers[:2]:
            each.associate()
        peers[2].say(associate_rq())
        kind, body = peers[2].hear()
        for each in peers:
            each.socket.close()

        assert (kind, *body[1:]) == (3, 2, 3, 2)
        eventually(lambda: echoes_or_not(node.port))


def echoes_or_not(port: int) -> bool:
    try:
        return echoes(port)
    except AssertionError:
        return False


def test_senders_at_one_time_lose_nothing(node: Listening) -> None:
    def send(sender: int) -> None:
        with RawPeer(node.port) as caller:
            caller.associate()
            for k in range(15):
                uid = f"{UID}.{sender}.{k}"
                caller.say(command_pdu(store(uid)), data_pdu(dataset(uid, series=f"1.{k % 3}")))
                statuses.append(caller.status())
            caller.say(RELEASE)

    statuses: list[int] = []
    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [0] * 60
    assert len(node.files()) == 60
    assert len(node.ledger.states()) == 3


def test_stop_lets_a_message_end_and_aborts_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_to, "FINISH_SECONDS", 20)
    with listening(tmp_path) as node, RawPeer(node.port) as busy, RawPeer(node.port) as idle:
        for each in (busy, idle):
            each.associate()
        busy.say(command_pdu(store(UID)), HALF)
        eventually(node.files)
        stopping = threading.Thread(target=node.scp.stop)
        stopping.start()
        assert idle.hear()[0] == 7
        time.sleep(0.2)
        busy.say(data_pdu(dataset(UID)[500:]))

        assert busy.status() == 0
        assert busy.hear()[0] == 7
        stopping.join()
        assert len(node.files()) == 1


IDLE_THREADS = 1
"""An idle node has the thread that accepts."""


@pytest.fixture(autouse=True)
def bystanders() -> frozenset[threading.Thread]:
    """Threads that run before the node starts; other tests may have left some."""
    return frozenset(threading.enumerate())


def started(bystanders: frozenset[threading.Thread]) -> int:
    return len(set(threading.enumerate()) - bystanders)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("seed", "n"), [(0, 60), (1, 60), (2, 60), pytest.param(3, 10_000, marks=pytest.mark.slow)]
)
def test_damaged_messages_crash_no_thread_and_leak_no_descriptor(
    bystanders: frozenset[threading.Thread], node: Listening, seed: int, n: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - a reproducible accident
    whole = [associate_rq(), command_pdu(store(UID)), data_pdu(dataset(UID)), RELEASE]
    assert echoes(node.port)
    eventually(lambda: started(bystanders) == IDLE_THREADS)
    before = descriptors()
    for _ in range(n):
        said = bytearray(b"".join(whole[: rng.randint(1, 4)]))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(said))
            said[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        with RawPeer(node.port) as caller:
            try:
                caller.say(bytes(said))
            except OSError:
                continue

    assert echoes(node.port)
    eventually(lambda: started(bystanders) == IDLE_THREADS)
    eventually(lambda: descriptors() <= before)
    eventually(lambda: [path for path in node.files() if path.suffix != ".dcm"] == [])


@pytest.mark.slow
def test_many_instances_leave_memory_descriptors_and_threads_as_they_were(
    bystanders: frozenset[threading.Thread], node: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _fd: None)
    node.ledger.database.connection.execute("PRAGMA synchronous=OFF")

    def send(first: int, n: int) -> None:
        with RawPeer(node.port) as caller:
            caller.associate()
            for k in range(first, first + n):
                uid = f"{UID}.{k}"
                caller.say(command_pdu(store(uid)), data_pdu(dataset(uid, series=f"1.{k // 50}")))
                assert caller.status() == 0
            caller.say(RELEASE)
            assert caller.hear()[0] == 6

    send(0, 3000)
    eventually(lambda: started(bystanders) == IDLE_THREADS)
    memory, files = resident_mib(), descriptors()
    for round_ in range(1, 8):
        send(round_ * 3000, 3000)

    eventually(lambda: started(bystanders) == IDLE_THREADS)
    assert resident_mib() < 1.05 * memory
    assert descriptors() <= files
