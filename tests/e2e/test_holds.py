"""A person judges a held mask by its picture, while the node runs and while it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from PIL import Image

from deid_node.config.load import load_settings
from deid_node.node.service import Service, status
from tests.fakes.command import run
from tests.fakes.face import UnsureModel
from tests.fakes.node import eventually, free_port, recipe_for, running, settings_file
from tests.fakes.peer import send

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from deid_node.config.schema import Settings
    from deid_node.pipeline.recipe import Recipe

WORD = ("--who", "A. Reader", "--why", "the face is gone")


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    port = free_port()
    more = '[audit]\nfile = "audit.jsonl"'
    return load_settings(settings_file(tmp_path, port=port, quiet_seconds=0.5, more=more), {})


def unsure(settings: Settings) -> Recipe:
    """Give a recipe whose model is never sure."""
    return replace(recipe_for(settings), model=UnsureModel())


def held(settings: Settings, head: list[Dataset], node: Service) -> str:
    send(head, node.port)
    eventually(lambda: status(settings).held)
    [waiting] = status(settings).held
    assert waiting.error == "ImplausibleFaceMask"
    return waiting.series


def shown(tmp_path: Path, key: str, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capfd.readouterr()
    assert run("hold", "show", key, "--json", "-c", tmp_path / "deid-node.toml") == 0
    [generation] = json.loads(capfd.readouterr().out)["generations"]
    return generation  # type: ignore[no-any-return]


def copies(tmp_path: Path) -> int:
    return len(list((tmp_path / "copies").rglob("*.dcm")))


def test_accepted_result_leaves_and_the_word_is_on_record(
    tmp_path: Path,
    settings: Settings,
    head: list[Dataset],
    capfd: pytest.CaptureFixture[str],
) -> None:
    config = ("-c", tmp_path / "deid-node.toml")
    with running(settings, unsure(settings)) as node:
        key = held(settings, head, node)
        first = shown(tmp_path, key, capfd)
        with Image.open(first["picture"]) as picture:
            size = picture.size
        assert run("hold", "release", key, *WORD, *config) == 0
        eventually(lambda: len(shown(tmp_path, key, capfd)["history"]) == 7)
        again = shown(tmp_path, key, capfd)
        nothing_left = copies(tmp_path)
    assert run("hold", "release", key, "--accept", *WORD, *config) == 0
    with running(settings, unsure(settings)):
        eventually(lambda: status(settings).series.get("purged"))

    lines = [json.loads(each) for each in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert min(size) > 100
    assert (again["state"], again["error"]) == ("held", "ImplausibleFaceMask")
    assert nothing_left == 0
    assert copies(tmp_path) == len(head) + 1
    assert [line["disposition"] for line in lines] == [
        *("held", "released", "held", "accepted", "ready")
    ]
    assert not list((tmp_path / "spool" / "work").rglob("*.png"))


def test_refused_series_does_not_leave_however_often_it_comes(
    tmp_path: Path, settings: Settings, head: list[Dataset], capfd: pytest.CaptureFixture[str]
) -> None:
    config = ("-c", tmp_path / "deid-node.toml")
    with running(settings, unsure(settings)) as node:
        key = held(settings, head[:-1], node)
        assert run("hold", "refuse", key, *WORD, *config) == 0
        send(head, node.port)
        assert run("purge", key, "--yes", *config) == 0
        files = list((tmp_path / "spool").rglob("*.dcm"))
        send(head[-1:], node.port)
        states = status(settings).series
        run("status", key, *config)

    told = capfd.readouterr().out
    assert files == []
    assert states == {"purged": 1, "refused": 1}
    assert copies(tmp_path) == 0
    assert [each for each in FakePatient().identifiers() if each in told] == []
