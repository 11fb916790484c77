"""``deid-node keys``: the key that encrypts the spool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json
from deid_node.errors import SettingsInvalid

app = typer.Typer(help="The key that encrypts the spool.", no_args_is_help=True)


@app.command()
def create(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
    *,
    json: JsonOption = False,
) -> None:
    """Make a key; name it in [spool] encrypt_key, and what is received is encrypted from then on.

    Example: deid-node keys create /etc/deid-node/spool.key
    """
    from deid_node.config.load import create_key

    create_key(file, what="spool key")
    if json:
        say_json({"key": str(file)})
    else:
        say(f"wrote {file}; name it in [spool] encrypt_key, and keep a copy in a safe place")


@app.command()
def rotate(
    new: Annotated[Path, typer.Argument(help="The new key, made by `keys create`.")],
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Put the spool under another key; stop the node before. No image is written again.

    Example: deid-node keys rotate /etc/deid-node/spool-2.key
    """
    from deid_node.node.at_rest.sealing import rotate as wrap_again
    from deid_node.node.spool_lock import locked

    settings = settings_from(config)
    old = settings.spool.encrypt_key
    if old is None:
        raise SettingsInvalid("[spool] encrypt_key names no key that could be rotated")
    with locked(settings.spool.folder):
        n_series = wrap_again(settings.spool.folder, old, new)
    if json:
        say_json({"n_series": n_series, "key": str(new)})
    else:
        say(
            f"{n_series} series are under {new}; name it in [spool] encrypt_key, then destroy {old}"
        )
