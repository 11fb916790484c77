"""`deid-node keys`: make the key of the spool, and put the spool under another one."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from deid_node.config.load import load_settings
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.spool import Spool
from deid_node.node.spool_lock import is_in_use, locked
from tests.fakes.command import run
from tests.fakes.node import settings_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder with settings, a key and an encrypted series."""
    settings = settings_file(tmp_path, port=1, more='encrypt_key = "old.key"')
    assert run("keys", "create", tmp_path / "old.key") == 0
    spool_of(settings).keep(SeriesKey("k7q2"), InstanceKey("a1"), [b"DOE^JANE"])
    return tmp_path


def spool_of(settings: Path) -> Spool:
    spool = load_settings(settings, {}).spool
    sealing = open_sealing(spool.folder, spool.encrypt_key)
    return Spool(spool.folder / "received", reserve_bytes=0, sealing=sealing)


def test_key_is_private_and_never_overwritten(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", "create", tmp_path / "a.key", "--json") == 0
    told = json.loads(capfd.readouterr().out)
    made = (tmp_path / "a.key").read_text()

    assert told["key"] == str(tmp_path / "a.key")
    assert len(bytes.fromhex(made)) == 32
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert run("keys", "create", tmp_path / "a.key") == 78
    assert "spool key" in capfd.readouterr().err
    assert (tmp_path / "a.key").read_text() == made


def test_rotation_changes_the_key_and_says_what_comes_next(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = site / "deid-node.toml"
    run("keys", "create", site / "new.key")
    capfd.readouterr()

    assert run("keys", "rotate", site / "new.key", "--config", settings) == 0
    assert "1 series are under" in capfd.readouterr().out
    settings.write_text(settings.read_text().replace("old.key", "new.key"))
    spool = spool_of(settings)
    [source] = spool.sources(spool.recover())
    assert source.read_bytes() == b"DOE^JANE"


def test_rotation_is_refused_while_a_node_runs_or_without_a_key(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = site / "deid-node.toml"
    run("keys", "create", site / "new.key")
    capfd.readouterr()

    with locked(site / "spool"):
        assert is_in_use(site / "spool")
        assert run("keys", "rotate", site / "new.key", "--config", settings) == 74
    assert not is_in_use(site / "spool")
    assert "another node uses" in capfd.readouterr().err
    settings_file(site, port=1)
    assert run("keys", "rotate", site / "new.key", "--config", settings) == 78
    assert "encrypt_key names no key" in capfd.readouterr().err
