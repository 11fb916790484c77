"""Header de-identification beside its peers: speed, tokens that survive, new IOD errors.

Usage: python bench/headers.py [--rounds N] [--peers FOLDER] [--profile NAME] [--large N]
       python bench/headers.py --profile-engine

CPU-seconds are user and system time of the whole process with its children, as the kernel
counts them (wait4); "loop" leaves out imports and set-up where the work runs in Python. The
median of N rounds is shown; every second round runs in reverse order. The input is drawn, see
`bench/drawn_mr.py`. Peers are installed from PyPI into a virtual environment of their own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.drawn_mr import write_instances  # noqa: E402

LOOPS: Final = PROJECT / "bench" / "header_loops.py"
PEERS: Final = ("dicognito==0.19.0", "dicom-anonymizer==2.1.0", "dcm-anonymizer==0.5.0", "dcmanon==0.3.1")  # fmt: skip
SMALL: Final = 200
STRANGERS: Final = "strangers"
"""Folder of instances of as many patients: what an engine remembers does not help it there."""

GOAL_NAIVE, GOAL_GDCM, GOAL_PEERS = 4.5, 0.7, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One row: what is run, and on how many instances.

    Parameters
    ----------
    name
        First column.
    command
        ``{in}``, ``{out}`` and ``{cpu}`` stand for the two folders and the file with the
        loop's CPU-seconds.
    count
        Instances in the folder.
    kind
        What the goals compare: ours, naive, python, native, copy; strangers is shown only.
    folder
        Name of the input folder; that of the count by default.
    """

    name: str
    command: tuple[str, ...]
    count: int
    kind: str
    folder: str = ""


@dataclass(slots=True, kw_only=True)
class Row:
    """What was measured of one contestant."""

    contestant: Contestant
    process: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    tokens: int | None = None
    new_errors: int | None = None
    failed: str = ""

    def rate(self, seconds: list[float]) -> float | None:
        """Instances per CPU-second, by the median of the rounds."""
        return self.contestant.count / statistics.median(seconds) if seconds else None


def main() -> None:
    """Draw the input, run every contestant in turn, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=2000, help="instances of the large set")
    parser.add_argument("--profile", default="research-mr")
    parser.add_argument("--peers", type=Path, help="virtual environment that holds the peers")
    parser.add_argument("--profile-engine", action="store_true", help="cProfile of our loop")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-headers-") as scratch:
        work = Path(scratch)
        if arguments.profile_engine:
            profile_engine(work, arguments.profile)
            return
        tokens = write_instances(work / str(SMALL), SMALL)
        write_instances(work / str(arguments.large), arguments.large)
        write_instances(work / STRANGERS, SMALL, strangers=True)
        rows = [Row(contestant=each) for each in contestants(work, arguments)]
        for turn in range(arguments.rounds):
            for row in rows[:: -1 if turn % 2 else 1]:
                measure(row, work, tokens)
    show(rows, arguments)


def contestants(work: Path, arguments: argparse.Namespace) -> list[Contestant]:
    """List what can be run here; what cannot is said aloud."""
    large, profile = arguments.large, arguments.profile
    found = [
        _loop("file copy", "copy", "copy"),
        _loop("naive pydicom", "naive", "naive"),
        _loop("naive pydicom", "naive", "naive", count=large),
        _loop(f"deid-node loop, {profile}", "ours", "ours", profile),
        _loop(f"deid-node loop, {profile}", "ours", "ours", profile, count=large),
        replace(
            _loop(f"deid-node loop, {SMALL} patients", "ours", STRANGERS, profile),
            folder=STRANGERS,
        ),
    ]
    if _runs([sys.executable, "-m", "deid_node", "scrub", "--help"]):
        settings = ("--config", str(_settings(work, profile)))
        verb = (sys.executable, "-m", "deid_node", "scrub", "{in}", "--out", "{out}", *settings)
        found += [
            Contestant(name=f"deid-node scrub, {profile}", command=verb, count=n, kind="command")
            for n in (SMALL, large)
        ]
    else:
        print("SKIPPED: deid-node scrub (no such verb in this version)")
    gdcmanon = shutil.which("gdcmanon")
    if gdcmanon is None:
        print("SKIPPED: gdcmanon (Debian package libgdcm-tools)")
    else:
        command = (gdcmanon, "-e", "-c", str(_certificate(work)), "-r", "-i", "{in}", "-o", "{out}")
        found += [Contestant(name="gdcmanon -e (C++)", command=command, count=n, kind="native") for n in (SMALL, large)]  # fmt: skip
    python = _peers(arguments.peers or work / "peers")
    if python is not None:
        found += [
            _loop("dicognito 0.19.0", "dicognito", "python", python=python),
            _loop("Kitware dicom-anonymizer 2.1.0", "kitware", "python", python=python),
            _loop("dcm-anonymizer 0.5.0", "dcm_anon", "python", python=python),
            _loop("dcmanon 0.3.1 (Rust)", "dcmanon", "native", python=python),
        ]
    return found


def measure(row: Row, work: Path, tokens: list[str]) -> None:
    """Run a contestant once; look at what it wrote the first time."""
    if row.failed:
        return
    out, cpu_file = work / "out", work / "cpu"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    cpu_file.unlink(missing_ok=True)
    source = work / (row.contestant.folder or str(row.contestant.count))
    places = {"{in}": str(source), "{out}": str(out), "{cpu}": str(cpu_file)}
    command = [places.get(word, word) for word in row.contestant.command]
    seconds, status = cpu_seconds(command)
    written = sorted(path for path in out.rglob("*") if path.is_file() and _is_dicom(path))
    if status or len(written) < row.contestant.count:
        row.failed = f"exit {status}, {len(written)} of {row.contestant.count} files"
        return
    row.process.append(seconds)
    if cpu_file.exists():
        row.loop.append(float(cpu_file.read_text(encoding="ascii")))
    if row.tokens is None:
        row.tokens = survivors(written[:5], tokens)
        row.new_errors = new_errors(min(source.iterdir()), written[0])


def cpu_seconds(command: list[str]) -> tuple[float, int]:
    """User and system time of a process and the children it waited for, and its exit status."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, process.returncode


def survivors(written: list[Path], tokens: list[str]) -> int:
    """Count the planted words that are in any of these files, or in their names."""
    searched = b"\n".join(path.name.encode() + path.read_bytes() for path in written).lower()
    return sum(token.lower().encode() in searched for token in tokens)


def new_errors(before: Path, after: Path) -> int | None:
    """Count kinds of errors that dciodvfy finds in the output and not in the input."""
    if shutil.which("dciodvfy") is None:
        return None
    return sum((_errors(after) - _errors(before)).values())


def _is_dicom(path: Path) -> bool:
    """Tell an instance from a report or an audit file that a peer writes beside."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _errors(path: Path) -> Counter[str]:
    done = subprocess.run(
        ["dciodvfy", str(path)], check=False, capture_output=True, text=True, errors="replace"
    )
    lines = (done.stderr + done.stdout).splitlines()
    return Counter(re.sub(r"= .*|<[^>]*>", "<>", ln) for ln in lines if ln.startswith("Error"))


def show(rows: list[Row], arguments: argparse.Namespace) -> None:
    """Print the table, and the goals beside what was reached."""
    naive = {r.contestant.count: r for r in rows if r.contestant.kind == "naive"}
    table = Table(
        title=f"Headers: median of {arguments.rounds} rounds, load {os.getloadavg()[0]:.1f}",
        caption="inst/CPU-s: instances per second of user and system time.",
    )
    for column in ("", "instances", "CPU s", "inst/CPU-s", "× naive", "loop only", "× naive", "tokens left", "new errors"):  # fmt: skip
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        if row.failed:
            table.add_row(row.contestant.name, str(row.contestant.count), f"FAILED: {row.failed}")
            continue
        floor = naive[row.contestant.count]
        process, loop = row.rate(row.process), row.rate(row.loop)
        table.add_row(
            row.contestant.name,
            str(row.contestant.count),
            f"{statistics.median(row.process):.2f}",
            _figure(process),
            _ratio(process, floor.rate(floor.process)),
            _figure(loop),
            _ratio(loop, floor.rate(floor.loop)),
            str(row.tokens),
            str(row.new_errors),
        )
    console = Console(width=130)
    console.print(table)
    for line in goals(rows):
        console.print(line)


def goals(rows: list[Row]) -> list[str]:
    """Say what each goal asks and what our rows reached, start-up counted and left out."""
    lines = []
    for ours in (r for r in rows if r.contestant.kind in {"ours", "command"} and r.process):
        for kind, factor, how in (
            ("naive", GOAL_NAIVE, "naive pydicom"),
            ("native", GOAL_GDCM, "gdcmanon"),
            ("python", GOAL_PEERS, "the fastest Python peer"),
        ):
            rivals = [r for r in rows if r.contestant.kind == kind and r.process]
            if kind == "native":
                rivals = [r for r in rivals if "gdcmanon" in r.contestant.name]
            lines += _verdicts(ours, rivals, factor, how)
    return lines


def _verdicts(ours: Row, rivals: list[Row], factor: float, how: str) -> list[str]:
    """Compare whole processes of one size, and loops; a rival without a loop by its process."""
    count = ours.contestant.count
    same = [r for r in rivals if r.contestant.count == count]
    compared = {"process": (ours.process, [r.rate(r.process) for r in same])}
    if ours.loop:
        compared["loop"] = (ours.loop, [r.rate(r.loop or r.process) for r in same or rivals])
    lines = []
    for what, (own, theirs) in compared.items():
        best = max((rate for rate in theirs if rate), default=0.0)
        rate = ours.rate(own)
        if best and rate:
            verdict = "reached" if rate / best >= factor else "MISSED"
            lines.append(
                f"{ours.contestant.name} ({count}), {what}: {rate / best:.2f} × {how}; "
                f"goal ≥ {factor}: {verdict}"
            )
    return lines


def profile_engine(work: Path, profile: str) -> None:
    """Print where the time of our loop goes."""
    import cProfile
    import pstats

    from bench.header_loops import ours

    write_instances(work / "in", SMALL)
    (work / "out").mkdir()
    loop = ours(profile)
    loop(work / "in", work / "out")  # caches are warm, as in a long run
    watch = cProfile.Profile()
    watch.runcall(loop, work / "in", work / "out")
    stats = pstats.Stats(watch)
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(30)


def _loop(
    name: str, contestant: str, kind: str, *rest: str, count: int = SMALL, python: str = ""
) -> Contestant:
    command = (python or sys.executable, str(LOOPS), contestant, "{in}", "{out}", "{cpu}", *rest)
    return Contestant(name=name, command=command, count=count, kind=kind)


def _runs(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True, cwd=PROJECT).returncode == 0


def _settings(work: Path, profile: str) -> Path:
    """Write settings with a key of their own."""
    subprocess.run(
        [sys.executable, "-m", "deid_node", "init", "--folder", str(work)],
        check=True,
        capture_output=True,
        cwd=PROJECT,
    )
    path = work / "deid-node.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"research-mr"', f'"{profile}"'))
    return path


def _certificate(work: Path) -> Path:
    """Make the certificate with which gdcmanon encrypts what it takes out."""
    path = work / "certificate.pem"
    asked = (
        f"req -x509 -newkey rsa:2048 -nodes -subj /CN=bench -days 2 -keyout {work}/key -out {path}"
    )
    subprocess.run(["openssl", *asked.split()], check=True, capture_output=True)
    return path


def _peers(folder: Path) -> str | None:
    """Install the Python peers into an environment of their own; None if that fails."""
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for peer in PEERS:
            subprocess.run(
                [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", peer],
                check=True,
            )
    except (OSError, subprocess.CalledProcessError):
        print(f"SKIPPED: {', '.join(PEERS)} (cannot be installed from PyPI here)")
        return None
    return str(python)


def _figure(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.0f}"


def _ratio(rate: float | None, floor: float | None) -> str:
    return "–" if rate is None or not floor else f"{rate / floor:.2f}"


if __name__ == "__main__":
    main()
