"""Small verbs about the node itself: `init`, `echo`, `version`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from deid_node import __version__
from deid_node.cli.options import ConfigOption, home_folder, settings_from
from deid_node.cli.output import say
from deid_node.errors import OutputUnwritable

SETTINGS_TEMPLATE: Final = """\
# Settings of deid-node; `deid-node config schema` lists every key.
schema_version = 1
profile        = "research-mr"          # `deid-node profile list`
pseudonym_key  = "pseudonym.key"        # keep a copy in a safe: without it no link is ever found again

[node]
ae_title = "DEIDNODE"
bind     = "127.0.0.1"                  # "0.0.0.0" to be reached by a PACS
port     = 11112
callers  = []                           # calling AE titles that may send; empty accepts nobody

[series]
quiet_seconds = 30                      # a series is complete after this silence

[spool]
folder      = "spool"
reserve_gib = 10

[face]
model = "default"

# [[destinations]]
# kind     = "dicom"
# name     = "research-archive"
# ae_title = "ORTHANC"
# host     = "archive.example.org"
# port     = 4242
"""


def init(
    folder: Annotated[
        Path | None, typer.Option(help="Where settings and key go.", show_default=False)
    ] = None,
) -> None:
    """Write a settings file and a new secret key; nothing that exists is overwritten.

    Example: deid-node init --folder /etc/deid-node
    """
    from deid_node.config.load import create_key

    target = folder or home_folder()
    settings = target / "deid-node.toml"
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        created_settings = not settings.exists()
        if created_settings:
            settings.write_text(SETTINGS_TEMPLATE, encoding="utf-8")
    except OSError:
        raise OutputUnwritable(f"{target} cannot be written") from None
    say(f"{'wrote' if created_settings else 'kept '} {settings}")
    create_key(target / "pseudonym.key")
    say(f"wrote {target / 'pseudonym.key'}; keep a copy of it in a safe place")


def echo(
    name: Annotated[str, typer.Argument(help="A destination's NAME, or host:port/AET.")],
    config: ConfigOption = None,
) -> None:
    """Ask a destination whether it is there (C-ECHO, a search, or a file that is deleted again).

    Example: deid-node echo research-archive
    """
    from deid_node.node.send.destination import find_destination

    destination = find_destination(name, settings_from(config))
    destination.echo()
    say(f"{name} answers")


def version() -> None:
    """Print the version.

    Example: deid-node version
    """
    say(__version__)
