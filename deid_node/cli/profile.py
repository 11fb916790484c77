"""``deid-node profile``: what happens to each attribute, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.output import say
from deid_node.cli.profile_import import import_profile

app = typer.Typer(help="Profiles of header de-identification.", no_args_is_help=True)
app.command("import")(import_profile)


@app.command("list")
def list_profiles() -> None:
    """List the shipped profiles.

    Example: deid-node profile list
    """
    from deid_node.config.profile_file import shipped_profiles

    for path in sorted(shipped_profiles().glob("*.yaml")):
        say(path.stem)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A shipped profile's name, or a path.")],
) -> None:
    """Print a profile file, with the reason for each rule.

    Example: deid-node profile show research-mr
    """
    from deid_node.config.profile_file import load_profile, shipped_profiles

    load_profile(name)
    shipped = shipped_profiles() / f"{name}.yaml"
    path = shipped if shipped.is_file() else Path(name)
    say(path.read_text(encoding="utf-8").rstrip())
