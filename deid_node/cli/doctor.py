"""``deid-node doctor``: whether the node can do its work here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json
from deid_node.errors import DeidNodeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deid_node.node.doctor.finding import Finding

MARKS: Final = {"ok": "✓", "warning": "!", "failed": "✗"}


def doctor(
    config: ConfigOption = None,
    *,
    no_network: Annotated[
        bool, typer.Option("--no-network", help="Do not ask the destinations.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Check everything that the node needs, one line each; also while it runs.

    Exits with 1 if something must be repaired, with 0 if there are warnings (!) only.

    Example: deid-node doctor --config /etc/deid-node/deid-node.toml
    """
    findings = []
    for each in _findings(config, network_too=not no_network):
        findings.append(each)
        if not json:
            say(f"{MARKS[each.level.value]} {each.check:<20} {each.told}")
            if each.next_step:
                say(f"  {'':<20} → {each.next_step}")
    is_well = all(each.level.value != "failed" for each in findings)
    if json:
        say_json({"ok": is_well, "findings": [each.as_json() for each in findings]})
    return 0 if is_well else 1


def _findings(config: Path | None, *, network_too: bool) -> Iterator[Finding]:
    """Examine; settings that cannot be read are the only finding."""
    from deid_node.node.doctor.examination import examine
    from deid_node.node.doctor.finding import Finding, Level

    try:
        settings = settings_from(config)
    except DeidNodeError as error:
        yield Finding(
            check="settings", level=Level.FAILED, told=str(error), next_step=error.next_step
        )
        return
    yield from examine(settings, network_too=network_too)
