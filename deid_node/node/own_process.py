"""What this process asks of the system: no picture of its memory, its turn, a word to systemd."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""

AUTOGROUP: Final = Path("/proc/self/autogroup")
AUTOGROUP_TRIES: Final = 5
AUTOGROUP_SECONDS: Final = 0.1
"""Linux takes one such wish of an ordinary user in this time, from all processes together."""

LONGEST_BEAT_SECONDS: Final = 30.0


def keep_memory_private() -> None:
    """Have no core dump written, and let no other process of this user read the memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def memory_is_private() -> bool:
    """Tell whether `keep_memory_private` had effect."""
    is_dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    return not is_dumpable and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def let_niceness_count(group: Path = AUTOGROUP) -> None:
    """Make this process as nice towards other sessions as it is within its own.

    Linux shares the processor out among sessions first (sched(7), autogroups): niceness counts
    between the processes of one session only, and whatever runs beside the node has its own.

    Parameters
    ----------
    group
        Where Linux takes the niceness of a session; a kernel without such groups has no file.
    """
    wish = str(os.nice(0))
    for _ in range(AUTOGROUP_TRIES):
        try:
            group.write_text(wish, encoding="ascii")
        except BlockingIOError:
            time.sleep(AUTOGROUP_SECONDS)
        except OSError:
            return
        else:
            return


def end_on_stop_signals() -> None:
    """Let SIGTERM and SIGINT end the process at once: it has nothing to finish yet."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _end_at_once)


def on_stop_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT; the second ends the process at once."""

    def handle(_number: int, _frame: types.FrameType | None) -> None:
        end_on_stop_signals()
        stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)


def _end_at_once(number: int, _frame: types.FrameType | None) -> None:
    """Die of the signal, as a kill would have it: whatever was acknowledged is on the disk."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the first process of a container is not killed by its own hand


def notify(state: str) -> None:
    """Tell systemd, if it started this process and wants to know (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger, suppress(OSError):
        messenger.sendto(state.encode(), address.replace("@", "\0", 1))


def beat_seconds() -> float:
    """Tell how often systemd's watchdog wants to hear of us, or a long time if it does not."""
    try:
        watchdog = int(os.environ.get("WATCHDOG_USEC", "")) / 2e6
    except ValueError:
        return LONGEST_BEAT_SECONDS
    return min(max(watchdog, 0.05), LONGEST_BEAT_SECONDS)
