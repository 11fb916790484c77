"""The node as a service: what systemd hears of it, and that its memory stays its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from deid_node.config.load import load_settings
from deid_node.config.schema import Monitor
from deid_node.node import own_process
from deid_node.node import service as service_module
from deid_node.node.monitor.server import MonitorServer
from deid_node.node.monitor.watch import Watch
from deid_node.node.own_process import (
    AUTOGROUP,
    LONGEST_BEAT_SECONDS,
    beat_seconds,
    let_niceness_count,
    notify,
)
from deid_node.node.service import Service
from tests.fakes.node import eventually, free_port, recipe_for, settings_file, worker_here
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT: Final = Path(__file__).parents[2]
UNIT: Final = PROJECT / "deploy" / "deid-node.service"


class Systemd:
    """Hears what a service tells."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(60)
        self.address = str(path)

    def hears(self) -> str:
        return self._socket.recv(100).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    yield systemd
    systemd.close()


def test_systemd_hears_of_start_life_and_stop_and_no_core_is_dumped(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    port = free_port()
    with serving(settings_file(tmp_path, port=port), port) as node:
        heard = [systemd.hears() for _ in range(3)]
        limits = Path(f"/proc/{node.pid}/limits").read_text()
        node.send_signal(signal.SIGTERM)
        node.wait(timeout=60)
    while heard[-1] == "WATCHDOG=1":
        heard.append(systemd.hears())

    assert heard[:3] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert heard[-1] == "STOPPING=1"
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]


def test_node_that_does_not_live_does_not_beat(
    tmp_path: Path, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(settings_file(tmp_path, port=free_port()), {})
    service = Service(settings, worker_here(recipe_for(settings)))
    looked: list[bool] = []
    is_live = service._watch.is_live

    def look() -> bool:
        looked.append(is_live())
        return looked[-1]

    monkeypatch.setattr(service._watch, "is_live", look)
    monkeypatch.setattr(service_module, "beat_seconds", lambda: 0.01)
    dead = threading.Thread(target=lambda: None)
    service._watch.works_in((dead,))
    beating = threading.Thread(target=service._beat_until_stopped)
    beating.start()
    eventually(lambda: len(looked) > 3)
    notify("still nothing")
    service._watch.works_in((threading.main_thread(),))
    heard = [systemd.hears(), systemd.hears()]
    service._stopping.set()
    beating.join()

    assert not any(looked[:3])
    assert heard == ["still nothing", "WATCHDOG=1"]


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)
    notify("READY=1")
    assert beat_seconds() == LONGEST_BEAT_SECONDS

    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    assert beat_seconds() == 10
    monkeypatch.setenv("WATCHDOG_USEC", "no number")
    assert beat_seconds() == LONGEST_BEAT_SECONDS


def test_memory_cannot_be_read_by_other_processes_of_the_account() -> None:
    code = (
        "import ctypes, resource\n"
        "from deid_node.node.own_process import keep_memory_private\n"
        "keep_memory_private()\n"
        "print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "0 (0, 0)"


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="needs a kernel that groups by session")
def test_what_works_on_series_stands_back_for_whoever_receives(tmp_path: Path) -> None:
    """It has a session of its own, so that niceness alone would not count: sched(7)."""
    port = free_port()
    with serving(settings_file(tmp_path, port=port), port) as node:
        children = Path(f"/proc/{node.pid}/task/{node.pid}/children")
        eventually(lambda: len(children.read_text().split()) == 1)
        worker = f"/proc/{children.read_text().strip()}"
        eventually(lambda: Path(worker, "autogroup").read_text().strip().endswith("nice 10"))
        receiver = Path(f"/proc/{node.pid}/autogroup").read_text().strip()

    # A process that was started outside of any session belongs to none of these groups: it reads
    # empty, and is as nice to others as it is by itself.
    assert receiver.split()[-1:] in ([], ["0"])


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="needs a kernel that groups by session")
def test_a_process_is_as_nice_as_it_was_started_towards_other_sessions(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from deid_node.node.own_process import AUTOGROUP, let_niceness_count\n"
        "os.nice(7)\n"
        "let_niceness_count(Path(sys.argv[1]))\n"
        "print(AUTOGROUP.read_text().split()[-1])"
    )

    def niceness(group: Path) -> str:
        command = [sys.executable, "-c", code, str(group)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, start_new_session=True
        )
        return done.stdout.strip()

    assert niceness(AUTOGROUP) == "7"
    assert niceness(tmp_path) == "0", "what is no such file is no fault"


def test_a_wish_that_comes_too_soon_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def write(_: Path, text: str, **_kwargs: str) -> int:
        said.append(text)
        if len(said) < 3:
            raise BlockingIOError
        return len(text)

    monkeypatch.setattr(own_process, "AUTOGROUP_SECONDS", 0.0)
    monkeypatch.setattr(Path, "write_text", write)
    let_niceness_count()
    assert said == [str(os.nice(0))] * 3

    said[:] = []
    monkeypatch.setattr(own_process, "AUTOGROUP_TRIES", 2)
    let_niceness_count()
    assert len(said) == 2


def test_unit_is_valid_and_well_confined(tmp_path: Path, peer: Callable[[str], str]) -> None:
    analyze = peer("systemd-analyze")
    text = UNIT.read_text().replace("/opt/deid-node/bin/deid-node", "/bin/true")
    (tmp_path / "deid-node.service").write_text(text.replace("User=deid-node", "User=daemon"))

    verified = subprocess.run(
        [analyze, "verify", tmp_path / "deid-node.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    rated = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=20", UNIT],
        capture_output=True,
        check=False,
    )

    assert [line for line in verified.stderr.splitlines() if "deid-node" in line] == []
    assert verified.returncode == 0
    assert rated.returncode == 0, "its exposure is above 2.0"


def test_container_is_healthy_only_while_the_node_lives(tmp_path: Path) -> None:
    text = (PROJECT / "docker" / "Dockerfile").read_text()
    [(declared, command)] = re.findall(
        r"MONITOR__PORT=(\d+).*?\n  CMD (\[.*?\])\n", text, re.DOTALL
    )
    port = free_port()
    code = json.loads(command)[-1].replace(declared, str(port))
    watch = Watch(tmp_path, reserve_bytes=0)

    def rc() -> int:
        return subprocess.run(
            [sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False
        ).returncode

    with MonitorServer(Monitor(port=port), watch):
        lives = rc()
        watch.works_in((threading.Thread(target=lambda: None),))
        dead = rc()
    gone = rc()

    assert (lives, dead, gone) == (0, 1, 1)
    assert "USER deid-node" in text
