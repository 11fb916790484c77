"""Draw the course of a training: loss and held-out Dice against iterations.

Usage: ``python -m face_model.plot LOG.jsonl OUT.png``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def main(log: Path, out: Path) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    reports = [line for line in lines if "dice" in line]
    resumed = [line["from_iteration"] for line in lines if "from_iteration" in line]
    at = [line["iteration"] for line in reports]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.plot(at, [line["loss"] for line in reports], color="black")
    left.set(xlabel="iteration", ylabel="loss (mean since last report)")
    for name in ("face", "ears", "brain"):
        right.plot(at, [line["dice"][name] for line in reports], label=name)
    right.set(xlabel="iteration", ylabel="Dice, held-out heads")
    right.legend()
    for axes in (left, right):
        for iteration in resumed[1:]:
            axes.axvline(iteration, color="grey", linewidth=0.5, linestyle=":")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
