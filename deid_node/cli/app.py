"""The verbs of ``deid-node``, and the one place where an error becomes an exit code."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Final, NoReturn

import typer
from typer import Typer

from deid_node.cli import (
    admin,
    audit,
    config,
    deface,
    doctor,
    hold,
    inspect,
    keys,
    mapping,
    picture,
    profile,
    purge,
    retry,
    scrub,
    send,
    serve,
    status,
    verify,
    weights,
)
from deid_node.cli.output import complain
from deid_node.errors import DeidNodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE: Final = 64
"""Exit code of a wrong command line, as sysexits.h numbers it."""
SOFTWARE: Final = 70
INTERRUPTED: Final = 130

app = Typer(
    name="deid-node",
    help="Take the person out of brain MR and keep the science in.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    *(serve.serve, send.send, deface.deface, scrub.scrub),
    *(inspect.inspect, verify.verify, picture.picture),
    *(admin.init, doctor.doctor, status.status, retry.retry, purge.purge, admin.echo),
):
    app.command(rich_help_panel="Verbs")(verb)
app.command(rich_help_panel="Verbs")(admin.version)
app.add_typer(hold.app, name="hold", rich_help_panel="Verbs")
app.add_typer(profile.app, name="profile", rich_help_panel="What it is made of")
app.add_typer(config.app, name="config", rich_help_panel="What it is made of")
app.add_typer(audit.app, name="audit", rich_help_panel="What it is made of")
app.add_typer(mapping.app, name="mapping", rich_help_panel="What it is made of")
app.add_typer(keys.app, name="keys", rich_help_panel="What it is made of")
app.add_typer(weights.app, name="weights", rich_help_panel="What it is made of")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one verb and exit with its code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process by default.
    """
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """Run one verb; every failure is one line on standard error."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except DeidNodeError as error:
        complain(str(error), next_step=error.next_step)
        return error.exit_code
    except typer.Abort:
        complain("interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback, no value
        return _last_defence(error)
    return int(code or 0)


def _last_defence(error: Exception) -> int:
    """Report a wrong command line by its own text, anything else by its class name alone."""
    usage = getattr(error, "format_message", None)
    if usage is not None:
        complain(str(usage()), next_step="see `deid-node --help`")
        return USAGE
    complain(
        f"internal error {type(error).__name__}, error_id {uuid.uuid4().hex[:8]}",
        next_step="report it; nothing was passed on",
    )
    return SOFTWARE
