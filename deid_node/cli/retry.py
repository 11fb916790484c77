"""``deid-node retry``: dead letters are sent again."""

from __future__ import annotations

from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json


def retry(
    series: Annotated[str, typer.Argument(help="Key of the series, or its beginning.")],
    to: Annotated[
        str | None, typer.Option("--to", help="The only destination; all that refused by default.")
    ] = None,
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Send a series again to destinations that refused it or were given up.

    Example: deid-node retry k7q2m4x9tz3a --to research-archive
    """
    from deid_node.node.send.dead_letters import retry as owe_again

    key, n_destinations = owe_again(settings_from(config), series, destination=to)
    if json:
        say_json({"series": key, "n_destinations": n_destinations})
    elif n_destinations:
        say(f"{key[:12]} is owed to {n_destinations} destinations again")
    else:
        say(f"{key[:12]} is no dead letter; nothing was changed")
