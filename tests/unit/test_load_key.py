"""The pseudonym key is secret, long enough, and never lost by a second `init`."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from deid_node.config.load import create_key, read_key
from deid_node.errors import KeyUnusable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "pseudonym.key"
    create_key(path)
    return path


def test_new_key_can_be_read_by_its_owner_alone(key_file: Path) -> None:
    key = read_key(key_file)

    assert len(key) == 32
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_two_keys_differ(tmp_path: Path, key_file: Path) -> None:
    create_key(tmp_path / "other.key")

    assert read_key(tmp_path / "other.key") != read_key(key_file)


def test_key_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()

    with pytest.raises(KeyUnusable, match="never overwritten"):
        create_key(key_file)

    assert key_file.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_key_that_others_may_touch_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    with pytest.raises(KeyUnusable, match="by others"):
        read_key(key_file)


@pytest.mark.parametrize(
    ("text", "told"),
    [("ab" * 31, "31 bytes of 32"), ("", "0 bytes of 32"), ("S3CRET" * 20, "hexadecimal")],
)
def test_unusable_key_is_refused_without_showing_it(key_file: Path, text: str, told: str) -> None:
    key_file.write_text(text)

    with pytest.raises(KeyUnusable, match=told) as caught:
        read_key(key_file)

    assert "S3CRET" not in str(caught.value)


def test_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match=r"nowhere\.key cannot be read"):
        read_key(tmp_path / "nowhere.key")
