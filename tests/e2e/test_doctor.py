"""`deid-node doctor` may be asked while the node runs, and changes nothing of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from deid_node.config.load import load_settings
from deid_node.node.doctor import work
from deid_node.node.service import Service
from tests.fakes.command import run
from tests.fakes.face import FakeFaceModel
from tests.fakes.node import free_port, recipe_for, settings_file, worker_here
from tests.fakes.raw_peer import echoes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_running_node_is_found_well_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(work, "face_models", lambda faces, _: dict.fromkeys(faces, FakeFaceModel()))
    path = settings_file(tmp_path, port=free_port())
    settings = load_settings(path, {})
    service = Service(settings, worker_here(recipe_for(settings)))
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
    made = [each.name for each in after if each not in spool]  # the engine starts meanwhile
    assert [name for name in made if name != "copies" and not name.startswith("engine")] == []
    assert is_served
