"""A model folder is used only if every file is what its card says."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from deid_node.errors import WeightsUnusable
from deid_node.face import weights
from deid_node.face.weights import default_weights, read_card

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    contents = {"face.xml": b"<net/>", "face.bin": b"\x00\x01", "plans.json": b"{}"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    write_card(tmp_path, {"name": "small", "version": "3", "sha256": digests, "licence": "x"})
    return tmp_path


def write_card(folder: Path, card: object) -> None:
    (folder / "card.json").write_text(json.dumps(card))


def card_of(folder: Path) -> dict[str, object]:
    card: dict[str, object] = json.loads((folder / "card.json").read_text())
    return card


def test_a_whole_folder_gives_its_card(folder: Path) -> None:
    card = read_card(folder)

    assert (card.name, card.version) == ("small", "3")
    assert len(card.sha256) == 64


def test_the_digest_changes_with_any_file(folder: Path) -> None:
    before = read_card(folder).sha256
    card = card_of(folder)
    (folder / "face.bin").write_bytes(b"other")
    digests = card["sha256"]
    assert isinstance(digests, dict)
    digests["face.bin"] = hashlib.sha256(b"other").hexdigest()
    write_card(folder, card)

    assert read_card(folder).sha256 != before


def test_the_digest_does_not_depend_on_the_order_of_the_files(folder: Path) -> None:
    before = read_card(folder).sha256
    card = card_of(folder)
    digests = card["sha256"]
    assert isinstance(digests, dict)
    write_card(folder, card | {"sha256": dict(reversed(digests.items()))})

    assert read_card(folder).sha256 == before


@pytest.mark.parametrize("name", ["face.xml", "face.bin", "plans.json"])
def test_one_changed_byte_is_found(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")

    with pytest.raises(WeightsUnusable, match=f"{name} is damaged"):
        read_card(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "face.bin").unlink()

    with pytest.raises(WeightsUnusable, match=r"face\.bin is missing"):
        read_card(folder)


def test_a_file_that_is_a_folder_is_named(folder: Path) -> None:
    (folder / "face.bin").unlink()
    (folder / "face.bin").mkdir()

    with pytest.raises(WeightsUnusable, match=r"face\.bin cannot be read"):
        read_card(folder)


def test_a_folder_without_card_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match=r"no card\.json"):
        read_card(tmp_path)


def test_a_card_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "card.json").write_text("{")

    with pytest.raises(WeightsUnusable, match="cannot be read"):
        read_card(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"version": 3},
        {"sha256": {}},
        {"sha256": ["face.xml"]},
        {"sha256": {"face.xml": 5}},
        {"sha256": {"../outside": "00"}},
        {"sha256": {"/etc/hostname": "00"}},
    ],
)
def test_a_card_that_lacks_something_is_refused(folder: Path, change: dict[str, object]) -> None:
    write_card(folder, card_of(folder) | change)

    with pytest.raises(WeightsUnusable, match="lacks"):
        read_card(folder)


def test_a_card_that_is_a_list_is_refused(folder: Path) -> None:
    write_card(folder, [])

    with pytest.raises(WeightsUnusable, match="lacks"):
        read_card(folder)


def test_the_error_is_one_line(folder: Path) -> None:
    (folder / "face.bin").write_bytes(b"")

    with pytest.raises(WeightsUnusable) as refused:
        read_card(folder)

    assert "\n" not in str(refused.value)


def test_the_default_model_is_whole() -> None:
    card = read_card(default_weights())

    assert card.name
    assert card.version


def test_the_default_model_is_found_after_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "share" / "deid-node" / "weights" / "default"
    installed.mkdir(parents=True)
    write_card(installed, {})
    package = tmp_path / "lib" / "deid_node" / "face" / "weights.py"
    monkeypatch.setattr(weights, "__file__", str(package))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))

    assert default_weights() == installed


def test_an_installation_without_model_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "a" / "b" / "weights.py"))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))

    with pytest.raises(WeightsUnusable, match="not installed"):
        default_weights()
