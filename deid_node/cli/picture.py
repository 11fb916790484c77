"""``deid-node picture``: look at what became of a series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, settings_from
from deid_node.cli.output import say, say_json
from deid_node.errors import OutputUnwritable


def picture(
    series: Annotated[str, typer.Argument(help="Key of the series, or its beginning.")],
    out: Annotated[Path, typer.Argument(help="PNG file that does not exist yet.")],
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Take out the before/after picture of a series, decrypted. It shows a face: keep it private.

    Example: deid-node picture k7q2m4x9tz3a before-after.png
    """
    from deid_node.node.evidence import picture_of

    key, content = picture_of(settings_from(config), series)
    try:
        out.touch(mode=0o600, exist_ok=False)
        out.write_bytes(content)
    except OSError:
        raise OutputUnwritable(f"{out} cannot be written, or exists") from None
    if json:
        say_json({"series": key, "picture": str(out)})
    else:
        say(f"wrote {out}, of {key[:12]}; it shows a face")
