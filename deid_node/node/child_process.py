"""Programs of the node that run beside it, and end with it: both ends of the pipes to them."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def started(
    program: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that is asked and answers through pipes.

    Its session is its own: a Ctrl-C, or a kill of its whole group, is for one of them.

    Parameters
    ----------
    program
        Command line.
    environment
        Variables that it has beside ours.
    keep_open
        Descriptors that it inherits.
    """
    return subprocess.Popen(  # noqa: S603 - our own program
        list(program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        pass_fds=keep_open,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[bytes]) -> str:
    """Kill a program that keeps nothing which could be lost; tell how it ended.

    Returns
    -------
    str
        Name of the signal, or the exit code.
    """
    process.kill()
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what could not be sent any more
            if pipe is not None:
                pipe.close()
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the pipes to ourselves: what a library prints must not be taken for an answer.

    Returns
    -------
    requests, answers
        What standard input and output were.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return requests, answers
