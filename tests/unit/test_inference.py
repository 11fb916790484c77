"""An imported model runs apart: what goes wrong there holds one series and nothing else."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.errors import ModelStopped, WeightsUnusable
from deid_node.face.nnunet.effort import BALANCED
from deid_node.face.nnunet.imported import load_imported
from deid_node.node.models import inference
from deid_node.node.models.frames import read_message, write_message
from deid_node.node.models.inference import GIB, InferenceProcess, ModelRun
from deid_node.node.own_process import AUTOGROUP
from tests.fakes import inference_process
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

IMAGE = np.arange(8 * 8 * 8, dtype=np.float32).reshape(8, 8, 8) % 3
MM = (1.0, 1.0, 1.0)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Wait for a process to end."""
    for _ in range(200):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., InferenceProcess]]:
    """Start a process that behaves as its folder is called."""
    program = (sys.executable, str(inference_process.__file__))
    monkeypatch.setattr(inference, "PROGRAM", program)
    monkeypatch.setenv("PYTHONPATH", str(Path(inference.__file__).parents[2]))
    processes = []

    def start(name: str, seconds: float = 60.0) -> InferenceProcess:
        folder = tmp_path / name
        folder.mkdir()
        how = ModelRun(accuracy="fast", threads=1)
        process = InferenceProcess(folder, how, seconds=seconds, memory_bytes=GIB)
        processes.append(process)
        return process

    yield start
    for each in processes:
        each.close()


def starts(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "starts").read_text().splitlines()]


def test_one_process_answers_series_after_series(
    tmp_path: Path, started: Callable[..., InferenceProcess]
) -> None:
    process = started("works")

    answers = [process.segment(IMAGE + n, MM, near) for n, near in ((0, None), (1, IMAGE > 1))]

    for n, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, IMAGE + n)
    assert len(starts(tmp_path / "works")) == 1
    assert process.used["cpu_seconds"] == 1.0


def test_a_series_is_tried_once_more_after_a_crash(
    tmp_path: Path, started: Callable[..., InferenceProcess]
) -> None:
    answer = started("crashes once").segment(IMAGE, MM, None)

    np.testing.assert_array_equal(answer, IMAGE)
    assert len(starts(tmp_path / "crashes once")) == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [("crashes", "with no word"), ("fails", "with RuntimeError"), ("babbles", "with no word")],
)
def test_a_series_is_held_after_the_second_crash(
    tmp_path: Path, started: Callable[..., InferenceProcess], name: str, told: str
) -> None:
    process = started(name)

    with pytest.raises(ModelStopped, match=told):
        process.segment(IMAGE, MM, None)

    assert len(starts(tmp_path / name)) == 2
    assert all(gone(pid) for pid in starts(tmp_path / name))


def test_the_series_after_a_held_one_is_tried_in_a_process_of_its_own(
    tmp_path: Path, started: Callable[..., InferenceProcess]
) -> None:
    process = started("crashes")
    with pytest.raises(ModelStopped):
        process.segment(IMAGE, MM, None)
    (tmp_path / "crashes").rename(tmp_path / "kept")
    (tmp_path / "works").mkdir()
    process._arguments[0] = str(tmp_path / "works")

    np.testing.assert_array_equal(process.segment(IMAGE, MM, None), IMAGE)


def test_a_series_whose_time_is_over_is_held_at_once_and_its_process_is_gone(
    tmp_path: Path, started: Callable[..., InferenceProcess]
) -> None:
    process = started("hangs", seconds=0.2)

    with pytest.raises(ModelStopped, match=r"more than 0\.2 s"):
        process.segment(IMAGE, MM, None)

    (pid,) = starts(tmp_path / "hangs")
    assert gone(pid)


@pytest.mark.parametrize(
    ("name", "told"), [("unusable", "is damaged"), ("unready", "cannot be loaded in 1 GiB")]
)
def test_a_model_that_cannot_be_loaded_stops_the_start(
    started: Callable[..., InferenceProcess], name: str, told: str
) -> None:
    with pytest.raises(WeightsUnusable, match=told):
        started(name)


def test_arrays_and_words_come_through_a_pipe_as_they_were() -> None:
    pipe = io.BytesIO()
    arrays = [IMAGE, IMAGE > 1, np.zeros((0, 2, 2), np.uint8), IMAGE[::2, ::-1]]
    write_message(pipe, {"spacing_mm": [0.1, 1e-9, 3.0]}, arrays)
    pipe.seek(0)

    words, found = read_message(pipe)

    assert words == {"spacing_mm": [0.1, 1e-9, 3.0]}
    for came, went in zip(found, arrays, strict=True):
        assert came.dtype == went.dtype
        np.testing.assert_array_equal(came, went)
    with pytest.raises(EOFError):
        read_message(pipe)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    arguments = ("--name", "m", "--folder", folder, "--accept-licence")
    assert run("weights", "import", MODELS / "v1.zip", *arguments) == 0
    return folder / "m"


def image() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((20, 20, 20)).astype(np.float32)


def test_a_signal_to_the_nodes_group_does_not_reach_the_model(
    started: Callable[..., InferenceProcess],
) -> None:
    """Ctrl-C in a terminal asks the node to stop in order, after the series it is at."""
    process = started("works")

    assert os.getpgid(process._process.pid) != os.getpgid(0)


def test_the_real_process_gives_the_answer_of_this_one_and_is_bounded(imported: Path) -> None:
    near = np.ones((20, 20, 20), bool)
    how = ModelRun(accuracy="balanced", threads=1)
    process = InferenceProcess(imported, how, seconds=60, memory_bytes=4 * GIB)

    answer = process.segment(image(), MM, near)
    limits = Path(f"/proc/{process._process.pid}/limits").read_text()
    process.close()

    expected = load_imported(imported, BALANCED, threads=1).segment(image(), MM, near)
    np.testing.assert_array_equal(answer, expected)
    assert process.used["peak_bytes"] > 1 << 20
    (bound,) = [line for line in limits.splitlines() if line.startswith("Max data size")]
    assert bound.split()[3] == str(4 * GIB)


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="needs a kernel that groups by session")
def test_the_process_stands_back_as_far_as_the_one_that_starts_it(imported: Path) -> None:
    code = f"""
import os
from pathlib import Path
from deid_node.node.models.inference import InferenceProcess, ModelRun
os.nice(9)
how = ModelRun(accuracy="balanced", threads=1)
process = InferenceProcess(Path({str(imported)!r}), how, seconds=60, memory_bytes=4 << 30)
print(Path(f"/proc/{{process._process.pid}}/autogroup").read_text().split()[-1])
process.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(os.nice(0) + 9)


@pytest.mark.slow
def test_a_series_that_needs_more_memory_than_it_may_take_is_held(imported: Path) -> None:
    how = ModelRun(accuracy="balanced", threads=1)
    process = InferenceProcess(imported, how, seconds=60, memory_bytes=GIB // 3)
    large = np.ones((250, 250, 250), np.float32)

    with pytest.raises(ModelStopped, match="MemoryError"):
        process.segment(large, MM, None)
    process.close()


@pytest.mark.slow
def test_the_process_ends_when_its_node_is_killed_in_the_middle_of_a_series(
    imported: Path, tmp_path: Path
) -> None:
    code = f"""
import sys, numpy as np
from pathlib import Path
from deid_node.node.models.inference import InferenceProcess, ModelRun
how = ModelRun(accuracy="balanced", threads=1)
process = InferenceProcess(Path({str(imported)!r}), how, seconds=600, memory_bytes=8 << 30)
print(process._process.pid, flush=True)
process.segment(np.random.default_rng(0).standard_normal((260, 260, 260)).astype("f4"), (1, 1, 1), None)
print("too early", flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(inference.__file__).parents[2])}
    node = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    assert node.stdout is not None
    pid = int(node.stdout.readline())
    time.sleep(1.5)
    assert alive(pid)

    node.kill()

    assert node.stdout.read() == b""
    node.wait()
    node.stdout.close()
    assert gone(pid)


def test_bench_tells_what_a_head_costs(imported: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("bench", "m", "--folder", imported.parent, "--voxels", 24, "--threads", 1)

    assert run("weights", *arguments, "--json") == 0

    told = json.loads(capfd.readouterr().out)
    assert told["accuracy"] == "fast"
    assert told["voxels"] == [24, 24, 16]
    assert told["cpu_seconds"] > 0
    assert told["peak_mib"] > 10
    assert run("weights", *arguments, "--accuracy", "sloppy") == 64
