"""``deid-node purge``: files are deleted on a person's word."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json
from deid_node.errors import NotConfirmed

if TYPE_CHECKING:
    from deid_node.config.schema import Settings
    from deid_node.node.states import Generation


def purge(
    series: Annotated[
        str | None, typer.Argument(help="Key of the series, or its beginning.")
    ] = None,
    delivered_before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Everything that every destination has had since then, local time.",
        ),
    ] = None,
    config: ConfigOption = None,
    *,
    refused: Annotated[bool, typer.Option("--refused", help="Everything that is refused.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete originals, results and pictures of what is delivered or refused; no way back.

    Nothing goes that a destination has not taken, or not committed to where it is asked to.

    Example: deid-node purge k7q2m4x9tz3a --yes
    """
    from deid_node.node.purging import purge as delete

    if (series is not None) + (delivered_before is not None) + refused != 1:
        raise typer.BadParameter("name one: a SERIES, --delivered-before or --refused")
    settings = settings_from(config)
    chosen = _chosen(settings, series, delivered_before)
    if not yes and chosen:
        raise NotConfirmed(n_series=len({each.series for each in chosen}))
    purged = sorted({each.series for each in delete(settings, chosen)})
    if json:
        say_json({"purged": purged})
    else:
        say(f"the files of {len(purged)} series are deleted")


def _chosen(
    settings: Settings, series: str | None, delivered_before: datetime | None
) -> list[Generation]:
    from deid_node.node import purging

    if series is not None:
        return purging.of_series(settings, series)
    if delivered_before is not None:
        return purging.delivered_before(settings, delivered_before.timestamp())
    return purging.refused(settings)
