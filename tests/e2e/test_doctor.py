"""`deid-node doctor` may be asked while the node runs, and changes nothing of it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from deid_node.config.load import load_settings
from deid_node.node.doctor import work
from deid_node.node.service import Service
from tests.fakes.command import run
from tests.fakes.face import FakeFaceModel
from tests.fakes.node import recipe_for, settings_file
from tests.fakes.raw_peer import echoes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_running_node_is_found_well_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(work, "face_model", lambda *_arguments: FakeFaceModel())
    path = settings_file(tmp_path, port=free_port())
    settings = load_settings(path, {})
    service = Service(settings, recipe_for(settings))
    service.start()
    try:
        spool = sorted(tmp_path.rglob("*"))
        code = run("doctor", "--config", path, "--json")
        told = {each["check"]: each for each in json.loads(capfd.readouterr().out)["findings"]}
        after = sorted(tmp_path.rglob("*"))
        is_served = echoes(service.port)
    finally:
        service.stop()

    assert code == 0
    assert "a node runs on this spool" in told["port"]["told"]
    assert told["pseudonym key"]["level"] == told["ledger"]["level"] == "ok"
    assert [each for each in after if each not in spool and each.name != "copies"] == []
    assert is_served
