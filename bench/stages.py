"""CPU-seconds and peak memory of every stage of one series, none left out.

Usage: python bench/stages.py [FOLDER] [--threads N]

Without a folder a drawn head of 192 sagittal slices of 256 x 256 is used. Start-up (imports,
model, profile) is a row of its own. Peak memory is that of the process so far.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).parents[1]
MIB = 1024


class Stopwatch:
    """Collects CPU-seconds, wall seconds and peak memory stage by stage."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float, int]] = []
        self._stage = ""
        self._cpu = self._wall = 0.0

    def begin(self, stage: str) -> None:
        """End the running stage, if any, and begin another."""
        cpu, wall = time.process_time(), time.perf_counter()
        if self._stage:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MIB
            self.rows.append((self._stage, cpu - self._cpu, wall - self._wall, peak))
        self._stage, self._cpu, self._wall = stage, cpu, wall


def main() -> None:
    """Measure one series and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the model; 0 is all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or drawn(Path(scratch) / "drawn")
        watch, n_instances = measure(folder, Path(scratch), arguments.threads)
    show(watch, f"{n_instances} instances, {arguments.threads or 'all'} threads")


def measure(folder: Path, scratch: Path, threads: int) -> tuple[Stopwatch, int]:
    """Take one series down the whole path."""
    watch = Stopwatch()
    watch.begin("start-up")
    from deid_node.config.profile_file import load_profile
    from deid_node.dicom.series import read_series
    from deid_node.face.fill import Fill
    from deid_node.face.mask import MaskPolicy
    from deid_node.face.openvino_model import load_model
    from deid_node.face.weights import default_weights
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.evidence import Pictures
    from deid_node.node.outgoing import from_encoded
    from deid_node.node.send.folder import FolderDestination
    from deid_node.pipeline.deidentify import deidentify
    from deid_node.pipeline.recipe import Recipe

    recipe = Recipe(
        profile=load_profile("research-mr"),
        pseudonyms=Pseudonyms(bytes(range(32))),
        model=load_model(default_weights(), threads=threads),
        mask=MaskPolicy(),
        fill=Fill(),
    )
    watch.begin("read")
    series = read_series(sorted(path for path in folder.rglob("*") if path.is_file()))
    result = deidentify(series, recipe, observe=watch.begin)
    watch.begin("write to a folder")
    FolderDestination(name="bench", folder=scratch / "out").deliver(
        from_encoded([*result.instances, result.segmentation])
    )
    watch.begin("picture")
    Pictures(scratch).keep("bench", result.evidence)
    watch.begin("")
    return watch, len(result.instances)


def show(watch: Stopwatch, title: str) -> None:
    """Print the table, with sums that leave start-up and picture out, and in."""
    table = Table("stage", "CPU s", "wall s", "peak MiB so far", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for stage, cpu, wall, peak in watch.rows:
        table.add_row(stage, f"{cpu:.2f}", f"{wall:.2f}", str(peak))
    apart = {"start-up", "picture"}
    for label, rows in (
        ("de-identify, deface and write", [r for r in watch.rows if r[0] not in apart]),
        ("everything", watch.rows),
    ):
        cpu, wall = sum(r[1] for r in rows), sum(r[2] for r in rows)
        table.add_row(
            label, f"{cpu:.2f}", f"{wall:.2f}", str(max(r[3] for r in rows)), style="bold"
        )
    Console().print(table)


def drawn(folder: Path) -> Path:
    """Draw the demo's head in a process of its own, so that its memory does not count here."""
    import subprocess

    tool = PROJECT / "tools" / "synth_head.py"
    subprocess.run([sys.executable, str(tool), "--out", str(folder)], check=True)
    return folder


if __name__ == "__main__":
    main()
