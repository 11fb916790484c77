"""One contestant of `bench/headers.py` in a process of its own: a folder in, a folder out.

Usage: python bench/header_loops.py NAME SOURCE OUT CPU_FILE [ARGUMENT ...]

Runs under our interpreter for our own rows, and under that of the peers for theirs; so it
imports nothing of the project at the top. Writes the CPU-seconds of the work itself, imports
and set-up left out, to CPU_FILE.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def ours(profile: str = "research-mr") -> Callable[[Path, Path], None]:
    """Take the seam that every verb takes: bytes in, bytes out, all features on."""
    from deid_node.config.profile_file import load_profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.pipeline.header_only import HeaderScrubber

    scrubber = HeaderScrubber(load_profile(profile), Pseudonyms(bytes(range(32))))

    def work(source: Path, out: Path) -> None:
        for path in sorted(source.iterdir()):
            done = scrubber.run(path.read_bytes()).encoded
            (out / f"{done.sop_instance_uid}.dcm").write_bytes(done.part10)

    return work


def naive() -> Callable[[Path, Path], None]:
    """Read with pydicom, look at every element, empty the names, write: the least one can do."""
    from pydicom import dcmread

    def work(source: Path, out: Path) -> None:
        for path in sorted(source.iterdir()):
            dataset = dcmread(path)
            for element in dataset.iterall():
                if element.VR == "PN":
                    element.value = ""
            dataset.save_as(out / path.name)

    return work


def copy() -> Callable[[Path, Path], None]:
    """Read and write the bytes: the floor of anything that writes a file."""

    def work(source: Path, out: Path) -> None:
        for path in sorted(source.iterdir()):
            shutil.copyfile(path, out / path.name)

    return work


def dicognito() -> Callable[[Path, Path], None]:
    """Run dicognito's command line, seeded."""
    from dicognito.__main__ import main

    return lambda source, out: main(["--quiet", "--seed", "bench", "-o", str(out), str(source)])


def kitware() -> Callable[[Path, Path], None]:
    """Run the command line of Kitware's dicom-anonymizer."""
    from dicomanonymizer.anonymizer import main

    return lambda source, out: _run(main, [str(source), str(out)])


def dcm_anon() -> Callable[[Path, Path], None]:
    """Run the command line of dcm-anonymizer."""
    from dcm_anon.cli import main

    return lambda source, out: _run(main, [str(source), str(out), "--salt", "bench", "--quiet"])


def dcmanon() -> Callable[[Path, Path], None]:
    """Call the Python binding of dcmanon, whose engine is Rust."""
    from dcmanon import Anonymizer

    engine = Anonymizer()

    def work(source: Path, out: Path) -> None:
        for path in sorted(source.iterdir()):
            (out / path.name).write_bytes(engine.anonymize(str(path)))

    return work


def _run(main: Callable[[], object], arguments: list[str]) -> None:
    """Call the entry point of a command line; an exit status of 0 is no exception here."""
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as done:
        if done.code:
            raise


CONTESTANTS = {each.__name__: each for each in (ours, naive, copy, dicognito, kitware, dcm_anon, dcmanon)}  # fmt: skip


def main() -> None:
    """Import first, then measure."""
    name, source, out, cpu_file, *rest = sys.argv[1:]
    work = CONTESTANTS[name](*rest)
    began = time.process_time()
    work(Path(source), Path(out))
    Path(cpu_file).write_text(str(time.process_time() - began), encoding="ascii")


if __name__ == "__main__":
    main()
