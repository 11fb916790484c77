"""Several processes work on series at a time: each on another, on a device of its own."""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from deid_node.config.load import load_settings
from deid_node.errors import SettingsInvalid, SpoolError, StageStuck, WeightsUnusable
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.ledger import Ledger
from deid_node.node.spool_lock import WORK_LOCK, exclusive
from deid_node.node.states import Generation
from deid_node.node.status import LEDGER
from deid_node.node.work import workers as module
from deid_node.node.work.shares import n_processes, share_of
from deid_node.node.work.workers import Workers
from tests.fakes.node import eventually, settings_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.config.schema import Settings

    Make = Callable[..., "Site"]

THREE = [Generation(series=SeriesKey(f"s{n}"), number=1) for n in (1, 2, 3)]


def settings_with(folder: Path, more: str) -> Settings:
    return load_settings(settings_file(folder, port=1, more=more), {})


class Site:
    """Workers whose processes do `how`, and who asks them."""

    def __init__(self, folder: Path, how: str, more: str) -> None:
        self.folder = folder
        self.settings = settings_with(folder, more)
        self.spool = self.settings.spool.folder
        self.spool.mkdir(exist_ok=True)
        self.ledger = Ledger(self.spool / LEDGER)
        program = [sys.executable, "-m", "tests.fakes.stray_worker", how, str(folder)]
        self.workers = Workers(self.settings, self.ledger, program)

    def begin(self, generation: Generation) -> Future[float | None]:
        """Ask for a step, and do not wait for it."""
        pause: Future[float | None] = Future()

        def step() -> None:
            pause.set_result(self.workers.step(generation))

        threading.Thread(target=step, daemon=True).start()
        return pause

    def begun(self) -> list[str]:
        """Tell of which series a step was asked of a process."""
        return [each["series"] for each in self.told("requests") if each["do"] == "step"]

    def told(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def close(self) -> None:
        self.workers.close()
        self.ledger.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Make]:
    sites: list[Site] = []

    def make(how: str, more: str = "[work]\nprocesses = 2") -> Site:
        sites.append(Site(tmp_path, how, more))
        return sites[-1]

    yield make
    for each in sites:
        each.close()


def test_as_many_series_are_worked_on_as_there_are_processes(site: Make) -> None:
    node = site("waits")
    node.workers.wait()
    steps = [node.begin(each) for each in THREE]
    eventually(lambda: len(node.begun()) == 2)
    two = node.begun()

    (node.folder / two[0]).touch()
    eventually(lambda: len(node.begun()) == 3)
    for each in THREE:
        (node.folder / each.series).touch()

    assert len(set(two)) == 2
    assert [each.result(60) for each in steps] == [2.5] * 3
    assert sorted(node.begun()) == ["s1", "s2", "s3"]
    assert len((node.folder / "starts").read_text().splitlines()) == 2


def test_series_that_takes_too_long_is_held_and_the_others_go_on(site: Make) -> None:
    node = site("waits")
    node.workers.wait()
    slow, other = (node.begin(each) for each in THREE[:2])
    eventually(lambda: len(node.begun()) == 2)
    (node.folder / "go").touch()

    node.workers.give_up(THREE[0], StageStuck(seconds=60))
    ended = slow.result(60)
    (node.folder / "s2").touch()

    assert ended is None
    assert other.result(60) == 2.5
    held = [each for each in node.told("requests") if each["do"] == "hold"]
    assert held == [{"do": "hold", "series": "s1", "number": 1, "seconds": 60}]


def test_whatever_is_worked_on_is_given_back_when_the_node_stops(site: Make) -> None:
    node = site("waits")
    node.workers.wait()
    steps = [node.begin(each) for each in THREE[:2]]
    eventually(lambda: len(node.begun()) == 2)

    node.workers.give_back()

    assert [each.result(60) for each in steps] == [None, None]


def test_a_step_that_fails_leaves_its_place_to_the_next_series(
    site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = site("dies", "")
    node.workers.wait()
    with monkeypatch.context() as patch:
        patch.setattr(node.ledger, "unclaim", locked)
        with pytest.raises(OSError, match="locked"):
            node.workers.step(THREE[0])

    assert node.begin(THREE[1]).result(60) == 1.0


def locked(*_arguments: object) -> None:
    raise OSError("locked")


def test_each_has_a_gpu_of_its_own_and_all_are_ready(site: Make) -> None:
    node = site("works", '[face]\ndevice = ["cuda:0", "cuda:1"]')
    before = node.workers.is_ready

    node.workers.wait()

    devices = sorted(each["face"]["device"] for each in node.told("settings"))
    assert (before, node.workers.is_ready) == (False, True)
    assert devices == [["cuda:0"], ["cuda:1"]]


def test_a_gpu_that_is_not_there_is_told_though_others_are(site: Make) -> None:
    node = site("is refused on cuda:1", '[face]\ndevice = ["cuda:0", "cuda:1"]')

    with pytest.raises(WeightsUnusable, match="damaged"):
        node.workers.wait()

    assert not node.workers.is_ready


def test_the_next_node_waits_for_the_last_of_them(site: Make) -> None:
    node = site("works")
    node.workers.wait()
    os.close(node.workers._lock)
    first, second = node.workers._all

    first.close()
    with pytest.raises(SpoolError):
        exclusive(node.spool, WORK_LOCK)
    second.close()

    node.workers._lock = exclusive(node.spool, WORK_LOCK)


def test_those_of_another_node_are_waited_for(
    tmp_path: Path, site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spool").mkdir()
    lock = exclusive(tmp_path / "spool", WORK_LOCK)
    monkeypatch.setattr(module, "LAST_ONE_SECONDS", 0.3)

    with pytest.raises(SpoolError, match="another node uses the spool folder"):
        site("works")
    monkeypatch.setattr(module, "LAST_ONE_SECONDS", 60)
    threading.Timer(0.3, os.close, (lock,)).start()
    node = site("works")
    node.workers.wait()
    node.workers.close()

    node.workers._lock = exclusive(node.spool, WORK_LOCK)


@pytest.mark.parametrize(
    ("more", "devices", "threads"),
    [
        ("", [("cpu",)], [0]),
        ('[face]\ndevice = "cuda"', [("cuda",)], [0]),
        ('[face]\ndevice = ["cuda:0", "cuda:2"]', [("cuda:0",), ("cuda:2",)], [4, 4]),
        ("[face]\nthreads = 7\n[work]\nprocesses = 2", [("cpu",)] * 2, [7, 7]),
        (
            '[face]\ndevice = ["cuda:0", "cuda:1"]\n[work]\nprocesses = 3',
            [("cuda:0",), ("cuda:1",), ("cuda:0",)],
            [3, 3, 3],
        ),
        ("[work]\nprocesses = 12", [("cpu",)] * 12, [1] * 12),
        ('[face]\ndevice = ["cuda:0", "cuda:1"]\n[work]\nprocesses = 1', [("cuda:0",)], [0]),
    ],
)
def test_processes_take_devices_in_turn_and_share_cores(
    tmp_path: Path, more: str, devices: list[tuple[str, ...]], threads: list[int]
) -> None:
    settings = settings_with(tmp_path, more)
    n = n_processes(settings)

    placed = [share_of(settings, k, n_cores=9).faces for k in range(n)]

    assert [face.device for [face] in placed] == devices
    assert [face.threads for [face] in placed] == threads


def test_routes_ask_the_device_of_their_process(tmp_path: Path) -> None:
    route = '[[routes]]\ncallers = ["PACS"]\nface.model = "paper"\n'
    settings = settings_with(tmp_path, f'[face]\ndevice = ["cuda:0", "cuda:1"]\n{route}')

    placed = share_of(settings, 1, n_cores=4).faces

    assert [(face.model, face.device) for face in placed] == [
        ("default", ("cuda:1",)),
        ("paper", ("cuda:1",)),
    ]


@pytest.mark.parametrize("n", [-1, 65, "'two'"])
def test_a_number_of_processes_that_is_none_is_refused(tmp_path: Path, n: object) -> None:
    with pytest.raises(SettingsInvalid, match=r"work\.processes"):
        settings_with(tmp_path, f"[work]\nprocesses = {n}")
