"""Read settings and the pseudonym key; the only reader of the environment."""

from __future__ import annotations

import difflib
import os
import re
import secrets
import stat
import tomllib
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, ValidationError

from deid_node.config.schema import Settings
from deid_node.errors import KeyUnusable, SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ENVIRONMENT_PREFIX: Final = "DEID_NODE__"
OF_SEVERAL_KINDS: Final = "destinations"
"""The list whose sections are members of a union."""
KEY_BYTES: Final = 32
"""Least length of the secret key: as long as the digest of HMAC-SHA-256."""


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings file; ``DEID_NODE__SECTION__KEY`` overrules it.

    Parameters
    ----------
    path
        A TOML file. Relative paths in it start from its own folder.
    environment
        The variables to look at; the process's own by default. A value that begins with
        ``[`` is read as a TOML array.

    Raises
    ------
    SettingsInvalid
        Naming the first wrong key, never its value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SettingsInvalid(f"{path} cannot be read") from None
    except UnicodeDecodeError:
        raise SettingsInvalid(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{path} is not TOML {_where(error)}".rstrip()) from None
    _overrule(raw, os.environ if environment is None else environment)
    try:
        return Settings.model_validate(raw, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise SettingsInvalid(f"{path}: {_first_mistake(error, raw)}") from None


def read_key(path: Path, *, what: str = "pseudonym key") -> bytes:
    """Read a secret key: that of the pseudonyms, or `what` it is.

    Returns
    -------
    bytes
        At least 32 bytes; the file holds them as hexadecimal digits.

    Raises
    ------
    KeyUnusable
        If the file is missing, open to others, too short or not hexadecimal.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyUnusable(f"{what} {path} may be read or written by others")
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError:
        raise KeyUnusable(f"{what} {path} cannot be read") from None
    except ValueError:
        raise KeyUnusable(f"{what} {path} does not hold hexadecimal digits") from None
    if len(key) < KEY_BYTES:
        raise KeyUnusable(f"{what} {path} holds {len(key)} bytes of {KEY_BYTES} needed")
    return key


def create_key(path: Path, *, what: str = "pseudonym key") -> None:
    """Write a new random key that its owner alone can read.

    Raises
    ------
    KeyUnusable
        If the file exists, which is left as it is, or cannot be written.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyUnusable(f"{what} {path} exists and is never overwritten") from None
    except OSError:
        raise KeyUnusable(f"{what} {path} cannot be written") from None
    with os.fdopen(fd, "w", encoding="ascii") as file:
        os.fchmod(fd, 0o600)
        file.write(f"{secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(fd)


def _overrule(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Write the environment's values into the parsed file."""
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        *sections, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        place = raw
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SettingsInvalid(f"{name} names a key inside a value that is not a section")
        place[key] = _value(name, text)


def _value(name: str, text: str) -> object:
    if not text.startswith("["):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        raise SettingsInvalid(f"{name} is not a TOML array") from None


def _where(error: tomllib.TOMLDecodeError) -> str:
    """Keep the place of a TOML error and drop its text, which quotes the file."""
    found = re.search(r"\(at (line \d+, column \d+|end of document)\)", str(error))
    return found.group(0) if found else ""


def _first_mistake(error: ValidationError, raw: dict[str, Any]) -> str:
    """Turn pydantic's report into one line without any value of the file."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = _place(first["loc"], raw)
    key = ".".join(place)
    match first["type"]:
        case "extra_forbidden":
            return f"unknown key {key}{_suggestion(place)}"
        case "missing":
            return f"key {key} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            return f'{key}: kind must be "dicom", "stow" or "folder"'
        case "value_error":
            return first["msg"].removeprefix("Value error, ")
        case _:
            return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _place(loc: Sequence[str | int], raw: object) -> list[str]:
    """Name a key as the file does: pydantic's names of union members are left out."""
    place: list[str] = []
    before: str | int = ""
    for part in loc:
        is_union_member = isinstance(before, int) and place[0] == OF_SEVERAL_KINDS
        before = part
        if isinstance(raw, dict) and not is_union_member:
            raw = raw.get(part)
        elif isinstance(raw, list) and isinstance(part, int):
            raw = raw[part]
        else:
            continue
        place.append(str(part))
    return place


def _suggestion(place: Sequence[str]) -> str:
    """Offer the most similar key of the same section."""
    known = sorted(_keys_of(Settings, place[:-1]))
    close = difflib.get_close_matches(place[-1], known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _keys_of(model: type[BaseModel], sections: Sequence[str]) -> set[str]:
    for section in sections:
        if section.isdigit():  # place in a list of sections
            continue
        field = model.model_fields.get(section)
        # A section that may be left out is `Section | None`.
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        sections_here = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not sections_here:
            return set()
        model = sections_here[0]
    return set(model.model_fields)
