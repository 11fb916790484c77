"""CPU-seconds and peak memory of the face path alone: from a volume to a judged mask.

Usage: python bench/face.py [FOLDER] [--threads N ...]

Without a folder a drawn head of 192 sagittal slices of 256 x 256 is used. Each number of threads
has a process of its own. "first" is the first series after the start, "again" the median of those
after it. The network's row is the estimate less the reading, which is measured by itself too.
Peak memory is that of the process up to the end of the stage's first run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

PROJECT = Path(__file__).parents[1]
MIB = 1024
AGAIN = 5
"""Rounds after the first."""

PATH = ("read", "network", "shape", "judge")
"""Stages that every series passes."""

Row = dict[str, float]


def main() -> None:
    """Measure one volume on each number of threads and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="one series")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        volume = Path(scratch) / "volume.npz"
        shape = apart(keep, arguments.folder, volume)
        for threads in arguments.threads:
            rows = apart(measure, volume, threads)
            show(rows, f"{' x '.join(str(n) for n in shape)} voxels, {threads} threads")


def apart(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run in a new process, whose time and memory are its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(work, *arguments, **named).result()


def keep(folder: Path | None, path: Path) -> tuple[int, ...]:
    """Write a volume to a file, so that drawing or stacking it is not measured."""
    import numpy as np

    from deid_node.dicom.volume import Volume, stack

    if folder is None:
        sys.path.insert(0, str(PROJECT / "tools"))
        from drawn_head.head import draw_head, grid

        affine = grid("sagittal").affine
        affine[:3, 3] -= 8 * affine[:3, 0]  # 16 more slices than the grid has
        head = draw_head(contrast="T1", shape=(192, 256, 256), affine=affine, seed=7)
        volume = Volume(
            stored=np.rint(head.values).astype(np.int16),
            slope=np.ones(len(head.values)),
            intercept=np.zeros(len(head.values)),
            affine=affine,
        )
    else:
        from deid_node.dicom.pixels import pixel_words
        from deid_node.dicom.series import read_series

        series = read_series(sorted(each for each in folder.rglob("*") if each.is_file()))
        volume = stack(series, [pixel_words(each) for each in series.instances])
    fields = ("stored", "slope", "intercept", "affine")
    np.savez(path, **{field: getattr(volume, field) for field in fields})
    return volume.stored.shape


def measure(path: Path, threads: int) -> dict[str, list[Row]]:
    """Take one volume down the face path several times."""
    rows: dict[str, list[Row]] = {}
    clock = Clock(rows)
    clock.start()
    import numpy as np

    from deid_node.dicom.volume import Volume
    from deid_node.face.mask import MaskPolicy, shape_mask
    from deid_node.face.openvino_model import OpenVinoModel, load_model
    from deid_node.face.plausibility import judge
    from deid_node.face.shrunk import shrink
    from deid_node.face.weights import default_weights
    from deid_node.face.windows import see

    model = load_model(default_weights(), threads=threads)
    clock.stop("start-up")
    if not isinstance(model, OpenVinoModel):
        raise TypeError
    with np.load(path) as arrays:
        volume = Volume(**arrays)
    for _ in range(1 + AGAIN):
        clock.start()
        view = model.plans.view
        see(volume, shrink(volume, view.level_mm), view.spacing_mm, view.window)
        clock.stop("read")
        clock.start()
        estimate = model.estimate(volume)
        clock.stop("estimate")
        clock.start()
        mask = shape_mask(estimate, volume, MaskPolicy())
        clock.stop("shape")
        clock.start()
        judge(mask, estimate, volume)
        clock.stop("judge")
        del estimate, mask
    rows["network"] = [less(*pair) for pair in zip(rows.pop("estimate"), rows["read"], strict=True)]
    return rows


class Clock:
    """Collects CPU-seconds, wall seconds and peak memory of stages."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self._rows = rows
        self._cpu = self._wall = 0.0

    def start(self) -> None:
        """Begin a stage."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self, stage: str) -> None:
        """End it, and note what it took."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MIB
        self._rows.setdefault(stage, []).append({"cpu": cpu, "wall": wall, "peak": peak})


def less(whole: Row, part: Row) -> Row:
    """Take the seconds of a part from those of the whole."""
    return {**whole, "cpu": whole["cpu"] - part["cpu"], "wall": whole["wall"] - part["wall"]}


def show(rows: dict[str, list[Row]], title: str) -> None:
    """Print one table, with the sum of what every series passes."""
    table = Table(
        "stage", "CPU s first", "CPU s again", "wall s again", "peak MiB so far", title=title
    )
    for column in table.columns[1:]:
        column.justify = "right"
    start = rows["start-up"][0]
    table.add_row("start-up", f"{start['cpu']:.2f}", "", "", f"{start['peak']:.0f}")
    total = [0.0, 0.0, 0.0]
    for stage in PATH:
        first, again = rows[stage][0], rows[stage][1:]
        seconds = [
            first["cpu"],
            statistics.median(row["cpu"] for row in again),
            statistics.median(row["wall"] for row in again),
        ]
        total = [a + b for a, b in zip(total, seconds, strict=True)]
        table.add_row(stage, *(f"{each:.2f}" for each in seconds), f"{first['peak']:.0f}")
    peak = max(row["peak"] for each in rows.values() for row in each)
    table.add_row("face path", *(f"{each:.2f}" for each in total), f"{peak:.0f}", style="bold")
    Console().print(table)


if __name__ == "__main__":
    main()
