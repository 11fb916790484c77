"""``deid-node status``: the node on one screen, or everything that is known of one series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json, say_table
from deid_node.cli.series_summary import told_of_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.node.status import Owed, Waiting

SHOWN: Final = 6
"""Series that are named on the screen; the others are counted."""


def status(
    series: Annotated[
        str | None, typer.Argument(help="Key of a series, or its beginning: everything about it.")
    ] = None,
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Show on one screen how many series are in which state, and what waits for a person.

    With a SERIES: its states with their times, instances, destinations, and why it stopped.

    Example: deid-node status k7q2m4x9tz3a
    """
    settings = settings_from(config)
    if series is not None:
        from deid_node.node.series_status import series_status

        found = series_status(settings, series)
        if json:
            say_json(found.as_json())
        else:
            told_of_series(found)
        return
    from deid_node.node.status import status as snapshot_of

    snapshot = snapshot_of(settings)
    if json:
        say_json(snapshot.as_json())
        return
    say_table(
        ("state", "series"), [(k, str(n)) for k, n in snapshot.series.items()] or [("–", "0")]
    )
    _held(snapshot.held)
    _owed(snapshot.owed)


def _held(held: Sequence[Waiting]) -> None:
    for each in held[:SHOWN]:
        say(f"\n{each.series[:12]} waits for a person: {each.error}: {each.reason}")
        say(f"             → {each.next_step}")
    if len(held) > SHOWN:
        say(f"\n{len(held) - SHOWN} more wait for a person: `deid-node hold list`")


def _owed(owed: Sequence[Owed]) -> None:
    """Tell of each destination how much it has not taken, and why not."""
    for name in dict.fromkeys(each.destination for each in owed):
        here = [each for each in owed if each.destination == name]
        n_stored = sum(each.state == "stored" for each in here)
        stands = f"; {n_stored} of them stored, not committed" if n_stored else ""
        say(f"\n{name} is owed {len(here)} series{stands}; the first, {here[0].series[:12]},")
        say(f"             after {here[0].attempts} attempts: {here[0].reason or 'none failed'}")
