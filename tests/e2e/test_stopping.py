"""A stop signal ends the node within ten seconds, whatever it is at, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.node.service import status
from deid_node.node.spool_lock import LOCK
from tests.e2e.test_restart import in_state
from tests.fakes.node import eventually, free_port, is_open, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.raw_peer import RawPeer, command_pdu, data_pdu, dataset, store
from tests.fakes.series import mr_series
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

PROJECT: Final = Path(__file__).parents[2]
DRAIN_SECONDS: Final = 10
"""What the node promises."""
FOREVER: Final = 3600.0
N_PEERS: Final = 20


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def port() -> int:
    return free_port()


def stopped(node: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Tell a node to stop; give its exit code."""
    node.send_signal(number)
    return node.wait(timeout=DRAIN_SECONDS)


@contextmanager
def silent_destination() -> Iterator[socket.socket]:
    """Take connections, and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_series_that_is_worked_on_is_taken_up_again(
    tmp_path: Path, port: int, head: list[Dataset], number: int
) -> None:
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with serving(path, port, pause=FOREVER) as node:
            send(head, port)
            eventually(in_state(settings, "claimed"))
            code = stopped(node, number)
        with serving(path, port):
            eventually(in_state(settings, "purged"))

    assert code == 0
    assert '"stopped"' in (tmp_path / "log").read_text()
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == len(head) + 1


@contextmanager
def serving_the_real_model(settings: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``deid-node serve`` with the weights that are shipped."""
    with (settings.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deid_node", "serve", "--config", str(settings)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signal_during_the_start_ends_it_at_once(tmp_path: Path, port: int, number: int) -> None:
    path = settings_file(tmp_path, port=port)
    (tmp_path / "pseudonym.key").unlink()
    os.mkfifo(tmp_path / "pseudonym.key", 0o600)  # whoever reads it waits for who writes it

    with serving_the_real_model(path) as node:
        eventually((tmp_path / "spool" / LOCK).exists)
        node.send_signal(number)
        code = node.wait(timeout=DRAIN_SECONDS)

    assert code == -number
    assert not is_open(port)


def test_large_series_in_the_middle_of_inference_does_not_keep_the_process(
    tmp_path: Path, port: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 900, (192, 192, 192), dtype=np.uint16)
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with serving_the_real_model(path) as node:
        eventually(lambda: is_open(port))
        answers = send(mr_series(noise), port)
        eventually(in_state(settings, "claimed"))
        code = stopped(node)

    states = status(settings).series
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert code == 0
    assert (events[0], events[-1]) == ("listening", "stopped")
    assert answers == [0x0000] * 192
    assert states in ({"received": 1}, {"claimed": 1}, {"held": 1})
    assert len(list((tmp_path / "spool" / "received").rglob("*.dcm"))) == 192


def test_destination_that_hangs_does_not_keep_the_process(
    tmp_path: Path, port: int, head: list[Dataset]
) -> None:
    with silent_destination() as destination:
        dead = destination.getsockname()[1]
        path = settings_file(tmp_path, port=port, archive=dead, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with serving(path, port) as node:
            send(head, port)
            connection, _ = destination.accept()
            with connection:
                code = stopped(node)
    archive = Receiver()
    archive.start(dead)
    with serving(path, port):
        eventually(in_state(settings, "purged"))
    archive.stop()

    assert code == 0
    assert len(archive.encoded) == len(head) + 1


def test_peers_in_the_middle_of_a_pdu_do_not_keep_the_process(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=FOREVER)
    peers: list[RawPeer] = []
    with serving(path, port) as node:
        for number in range(N_PEERS):
            peer = RawPeer(port)
            peer.associate()
            whole = dataset(f"1.2.{number}.1", series=f"1.2.{number}")
            peer.say(command_pdu(store(f"1.2.{number}.1")), data_pdu(whole))
            assert peer.status() == 0
            peer.say(command_pdu(store(f"1.2.{number}.2")), data_pdu(whole)[:700])
            peers.append(peer)
        code = stopped(node)
    for peer in peers:
        peer.socket.close()

    assert code == 0
    kept = [path for path in (tmp_path / "spool" / "received").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in kept) == [".dcm"] * N_PEERS
    assert status(load_settings(path, {})).series == {"receiving": N_PEERS}


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_second_signal_ends_the_node_at_once_and_loses_nothing(
    tmp_path: Path, port: int, head: list[Dataset], second: int
) -> None:
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with serving(path, port, pause=FOREVER) as node:
            answers = send(head, port)
            eventually(in_state(settings, "claimed"))
            node.send_signal(signal.SIGTERM)
            eventually(lambda: not is_open(port))
            node.send_signal(second)
            code = node.wait(timeout=DRAIN_SECONDS)
        with serving(path, port):
            eventually(in_state(settings, "purged"))

    assert code == -second
    assert (
        '"stopped"'
        not in (tmp_path / "log").read_text().partition("listening")[2].partition("listening")[0]
    )
    assert answers == [0x0000] * len(head)
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == len(head) + 1
