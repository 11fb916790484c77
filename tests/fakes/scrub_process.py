"""A process of its own that scrubs files, on a day of one's choice.

Reads JSON from standard input: the profile, the key, the files in their order of arrival and the
day. Writes JSON: what the process takes for today, and SHA-256 of each output, or why there is
none.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).parents[2]


def scrubbed_elsewhere(
    files: Sequence[Path],
    *,
    profile: str,
    key: bytes,
    day: str = "2024-02-29",
    hash_seed: int = 0,
    time_zone: str = "UTC",
) -> dict[str, Any]:
    """Scrub files, in this order, in a new process.

    Returns
    -------
    dict
        ``today`` as that process sees it, and ``digests``, or reasons, by file name.
    """
    asked = {"profile": profile, "key": key.hex(), "files": list(map(str, files)), "day": day}
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "PYTHONHASHSEED": str(hash_seed),
        "TZ": time_zone,
    }
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(asked),
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def pretend(day: str) -> None:
    """Make every clock of this process show noon of a day."""
    noon = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")
    noon_tuple = noon.timetuple()
    seconds = noon.timestamp()
    shown = {name: getattr(time, name) for name in ("localtime", "gmtime", "strftime")}
    fakes: dict[str, Any] = {
        "time": lambda: seconds,
        "time_ns": lambda: int(seconds) * 10**9,
        "localtime": lambda at=seconds: shown["localtime"](at),
        "gmtime": lambda at=seconds: shown["gmtime"](at),
        "strftime": lambda form, at=noon_tuple: shown["strftime"](form, at),
    }
    for name, fake in fakes.items():
        setattr(time, name, fake)

    class Date(dt.date):
        @classmethod
        def today(cls) -> Date:
            return cls(noon.year, noon.month, noon.day)

    class DateTime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> DateTime:
            return cls.fromtimestamp(seconds, tz)

        @classmethod
        def utcnow(cls) -> DateTime:
            return cls.now(dt.UTC).replace(tzinfo=None)

    dt.date, dt.datetime = Date, DateTime  # type: ignore[misc]


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    pretend(asked["day"])
    # Only now: whatever these modules take from the clock is what `pretend` shows.
    from deid_node.config.profile_file import load_profile  # noqa: PLC0415
    from deid_node.errors import DeidNodeError  # noqa: PLC0415
    from deid_node.headers.pseudonyms import Pseudonyms  # noqa: PLC0415
    from deid_node.pipeline.header_only import HeaderScrubber  # noqa: PLC0415

    scrubber = HeaderScrubber(
        load_profile(asked["profile"]), Pseudonyms(bytes.fromhex(asked["key"]))
    )
    digests = {}
    for name in map(Path, asked["files"]):
        try:
            done = scrubber.run(name.read_bytes()).encoded.part10
        except DeidNodeError as error:
            digests[name.name] = str(error)
        else:
            digests[name.name] = hashlib.sha256(done).hexdigest()
    today = [time.strftime("%Y-%m-%d"), str(dt.datetime.now(dt.UTC).date())]
    json.dump({"today": today, "digests": digests}, sys.stdout)


if __name__ == "__main__":
    main()
