"""Options that several verbs share, and where settings are looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.errors import SettingsInvalid

if TYPE_CHECKING:
    from deid_node.config.schema import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings file. Default: ./deid-node.toml, else the one that `deid-node init` wrote.",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Name of a shipped profile, or path of a YAML file. Default: that of the settings.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="File with the pseudonym key. Default: that of the settings.",
        show_default=False,
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Write a one-page HTML with before/after pictures. It shows faces: keep it private.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]


def home_folder() -> Path:
    """Name the folder in which `deid-node init` keeps settings and key by default."""
    return Path(typer.get_app_dir("deid-node"))


def settings_from(config: Path | None) -> Settings:
    """Load the named settings file, or the first that is found.

    Raises
    ------
    SettingsInvalid
        If there is none, or it cannot be used.
    """
    from deid_node.config.load import load_settings

    candidates = [config] if config else [Path("deid-node.toml"), home_folder() / "deid-node.toml"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        where = os.fspath(config) if config else "no deid-node.toml here"
        raise SettingsInvalid(f"settings file not found: {where}; `deid-node init` writes one")
    return load_settings(found)
