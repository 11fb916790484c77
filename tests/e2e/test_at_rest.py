"""An encrypted spool over kills, starts, re-sends and wrong keys, with whole nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series

from deid_node.config.load import create_key, load_settings
from deid_node.node.at_rest.names import KEY_FILE
from deid_node.node.service import status
from tests.e2e.test_restart import in_state
from tests.fakes.node import eventually, free_port, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from pydicom import Dataset

PROJECT: Final = Path(__file__).parents[2]
ENCRYPTED: Final = 'encrypt_key = "spool.key"'


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def port() -> int:
    return free_port()


def received(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder / "spool" / "received").rglob(f"*{suffix}"))


def test_encrypted_series_is_delivered_once_after_a_kill_and_known_when_it_comes_again(
    tmp_path: Path, port: int, head: list[Dataset]
) -> None:
    create_key(tmp_path / "spool.key", what="spool key")
    with receiving(Receiver()) as archive:
        path = settings_file(
            tmp_path, port=port, archive=archive.port, quiet_seconds=0.5, more=ENCRYPTED
        )
        settings = load_settings(path, {})
        with serving(path, port, pause=3600) as node:
            send(head, port)
            eventually(in_state(settings, "claimed"))
            node.send_signal(signal.SIGKILL)
            node.wait()
        waiting = [each.read_bytes() for each in received(tmp_path, ".dcm")]
        keys = received(tmp_path, KEY_FILE)
        with serving(path, port):
            eventually(in_state(settings, "purged"))
            eventually(lambda: not received(tmp_path, ".dcm"))
            again = send(head, port)
            after = status(settings).series
            left = [each for each in (tmp_path / "spool" / "received").rglob("*") if each.is_file()]

    assert len(waiting) == len(head)
    assert len(keys) == 1
    assert [each for each in waiting if FakePatient().name.encode() in each] == []
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == len(head) + 1
    assert again == [0x0000] * len(head)
    assert after == {"purged": 1}
    assert left == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('encrypt_key = "other.key"', "1 of 1 series in the spool were encrypted under another"),
        ("", "the spool is encrypted, and [spool] encrypt_key names no key"),
        ('encrypt_key = "none.key"', "cannot be read"),
    ],
    ids=["another", "not named", "missing"],
)
def test_wrong_key_is_one_line_at_the_start_and_nothing_is_listened_on(
    tmp_path: Path, port: int, head: list[Dataset], more: str, said: str
) -> None:
    for name in ("spool.key", "other.key"):
        create_key(tmp_path / name, what="spool key")
    path = settings_file(tmp_path, port=port, quiet_seconds=3600, more=ENCRYPTED)
    with serving(path, port):
        send(head, port)
    before = {each: each.read_bytes() for each in received(tmp_path, "") if each.is_file()}
    settings_file(tmp_path, port=port, quiet_seconds=3600, more=more)

    done = subprocess.run(
        [sys.executable, "-m", "deid_node", "serve", "--config", path],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 78
    complaint = done.stderr.splitlines()[-1]
    assert said in complaint
    assert "→" in complaint
    assert "listening" not in done.stderr
    assert {each: each.read_bytes() for each in before} == before


def test_tampered_instance_holds_its_series(tmp_path: Path, port: int, head: list[Dataset]) -> None:
    create_key(tmp_path / "spool.key", what="spool key")
    path = settings_file(tmp_path, port=port, quiet_seconds=3600, more=ENCRYPTED)
    with serving(path, port):
        send(head, port)
    victim = received(tmp_path, ".dcm")[0]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    settings_file(tmp_path, port=port, quiet_seconds=0.5, more=ENCRYPTED)

    with serving(path, port):
        eventually(lambda: status(load_settings(path, {})).held)

    [held] = status(load_settings(path, {})).held
    assert (held.state, held.error) == ("held", "SpooledFileDamaged")
    assert not (tmp_path / "copies").exists()
