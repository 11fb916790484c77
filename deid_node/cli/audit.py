"""``deid-node audit``: check the log of what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deid_node.cli.options import ConfigOption, JsonOption, KeyOption
from deid_node.cli.output import complain, say, say_json

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The audit log."""  # noqa: D401 - it is the help of a group


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The log.")],
    key: KeyOption = None,
    config: ConfigOption = None,
    *,
    json: JsonOption = False,
) -> None:
    """Check that no line of a log was changed, moved, added or taken away.

    Example: deid-node audit verify audit.jsonl --key site.key
    """
    from deid_node.cli.options import settings_from
    from deid_node.config.load import read_key
    from deid_node.errors import InstanceRefused
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.records.audit_chain import verify as verdict_on

    pseudonyms = Pseudonyms(read_key(key or settings_from(config).pseudonym_key))
    verdict = verdict_on(file, pseudonyms)
    if json:
        say_json(
            {
                "ok": verdict.broken is None,
                "lines": verdict.n_lines,
                "torn": list(verdict.torn),
                "broken": verdict.broken,
                "why": verdict.why,
                "last": verdict.last,
            }
        )
    elif verdict.broken is None:
        torn = "".join(f"; a crash broke off the line before {n}" for n in verdict.torn)
        why = f"; {verdict.why}" if verdict.why else ""
        say(f"OK {verdict.n_lines} lines, last seal {verdict.last or 'none'}{torn}{why}")
    else:
        complain(
            f"{file}, line {verdict.broken}: {verdict.why}",
            next_step="trust no line from there on; compare with a copy",
        )
    raise typer.Exit(0 if verdict.broken is None else InstanceRefused.exit_code)
