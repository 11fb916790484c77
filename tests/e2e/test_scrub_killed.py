"""A scrub that is killed leaves whole files, each on record; the next run finishes the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deid_node.config.load import create_key, read_key
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.records.audit_chain import verify
from deid_node.node.records.broker_key import create_broker_key
from deid_node.node.records.crosswalk_export import open_crosswalk
from tests.fakes.node import eventually
from tests.planted import mr_instance, written

ROOT = Path(__file__).parents[2]
N_FILES = 300


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    create_key(folder / "site.key")
    create_broker_key(folder / "broker.key")
    (folder / "incoming").mkdir()
    for k in range(N_FILES):
        dataset = mr_instance()
        dataset.SOPInstanceUID = f"1.2.3.4.5.1.{k}"
        (folder / "incoming" / f"{k:04}").write_bytes(written(dataset))
    assert start(folder, "whole", jobs=1).wait() == 0
    return folder


def start(site: Path, out: str, *, jobs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deid_node", "scrub", site / "incoming", "--out", site / out]
    command += ["--profile", "research-mr", "--key", site / "site.key", "--jobs", str(jobs)]
    command += ["--audit", site / f"{out}.jsonl", "--crosswalk", site / f"{out}.xwalk"]
    command += ["--recipient", site / "broker.key.pub"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(
        list(map(str, command)), cwd=site, env=environment, stdout=subprocess.DEVNULL
    )


def instances(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.dcm")}


def children(pid: int) -> list[str]:
    """List the processes that a process started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("n_written", [1, 100])
def test_killed_run_leaves_whole_files_on_record_and_the_next_one_finishes(
    site: Path, jobs: int, n_written: int
) -> None:
    out = f"killed-{jobs}-{n_written}"
    running = start(site, out, jobs=jobs)
    while running.poll() is None and len(list((site / out).rglob("*.dcm"))) < n_written:
        time.sleep(0.002)
    others = children(running.pid)
    running.send_signal(signal.SIGKILL)
    running.wait()

    whole, some = instances(site / "whole"), instances(site / out)
    key = Pseudonyms(read_key(site / "site.key"))
    linked = open_crosswalk(site / f"{out}.xwalk", site / "broker.key").links
    audited = (site / f"{out}.jsonl").read_text()
    assert len(some) >= n_written
    assert some.items() <= whole.items()
    assert {Path(name).stem for name in some} <= {new for kind, _, new in linked}
    assert not [name for name in some if Path(name).stem not in audited]
    assert verify(site / f"{out}.jsonl", key).broken is None

    eventually(lambda: not [pid for pid in others if Path(f"/proc/{pid}").exists()])

    assert start(site, out, jobs=jobs).wait() == 0

    assert instances(site / out) == whole
    assert not [path for path in (site / out).rglob("*") if ".part" in str(path)]
    assert verify(site / f"{out}.jsonl", key).broken is None
    links = open_crosswalk(site / f"{out}.xwalk", site / "broker.key").links
    assert sum(kind == "instance" for kind, _, _ in links) == N_FILES
