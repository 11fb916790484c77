"""Measure a shipped folder, and its peers, on heads that nothing was trained on.

Three sets: real heads, heads drawn from held-out label maps (`held_out`), and heads drawn by code
alone (`drawn_heads`, for which no data is needed). One scorer for all (`score`), one table for each set and defacer, and what it says about the goals. ``--turned``
asks instead what turning and spoiling the real heads changes (`turned`).

Usage: ``python -m face_model.evaluate WEIGHTS [LANDMARKS.json HEADS] [--brains FOLDER]
[--labels FOLDER] [--drawn] [--plain] [--peers BIN --template FILE --facemask FILE] [--turned] [--json OUT]``
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_model import turned
from face_model.defacers import Plain, Runtime, peers
from face_model.drawn_heads import drawn_heads
from face_model.head_surface import find_surface
from face_model.real_heads import real_heads
from face_model.report import Row, findings, summary, table
from face_model.score import score

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from face_model.defacers import Defacer
    from face_model.head import Head


def measure(defacers: list[Defacer], heads: Iterable[Head]) -> dict[str, list[Row]]:
    """Score every defacer on every head; its surface is found once."""
    rows: dict[str, list[Row]] = {defacer.name: [] for defacer in defacers}
    for head in heads:
        surface = find_surface(head)
        for defacer in defacers:
            answer = defacer(head)
            if answer is None:
                print(f"SKIPPED: {defacer.name} on {head.name}: no brain mask", file=sys.stderr)
                continue
            scores = score(head, answer.removed, surface)
            row = Row(head=head.name, scores=scores, verdict=answer.verdict, cpu_s=answer.cpu_s)
            rows[defacer.name].append(row)
        print(f"{head.name}: done", file=sys.stderr, flush=True)
    return rows


def show(title: str, rows: dict[str, list[Row]]) -> dict[str, Any]:
    """Print the tables of one set; returns them for JSON."""
    report = {}
    for name, own in rows.items():
        if not own:
            continue
        found = findings(own)
        print(f"\n{title}: {name}\n{table(own)}\n{summary(found)}", flush=True)
        report[name] = {
            "heads": {row.head: row.as_json() for row in own},
            "goals": {f.goal: {"met": f.met, "figures": f.figures} for f in found},
        }
    return report


def chosen(arguments: argparse.Namespace) -> list[Defacer]:
    """List the defacers to measure; of peers that cannot run it is said why."""
    defacers: list[Defacer] = [Runtime(arguments.weights)]
    if arguments.plain:
        defacers.append(Plain(arguments.weights))
    if arguments.peers:
        found, missing = peers(arguments.peers, arguments.template, arguments.facemask)
        defacers += found
        for why in missing:
            print(f"SKIPPED: {why}", file=sys.stderr)
    if arguments.only:
        defacers = [d for d in defacers if d.name in arguments.only.split(",")]
    return defacers


def sets(arguments: argparse.Namespace) -> Iterator[tuple[str, Iterable[Head]]]:
    """Name and heads of each set that was asked for."""
    if arguments.landmarks and arguments.heads:
        yield "Real heads", real_heads(arguments.landmarks, arguments.heads, arguments.brains)
    if arguments.labels and not arguments.turned:
        from face_model.held_out import held_out_heads  # noqa: PLC0415 - needs torch

        yield "Held-out heads", held_out_heads(arguments.labels)
    if arguments.drawn and not arguments.turned:
        yield "Heads drawn by code", drawn_heads()


def main(arguments: argparse.Namespace) -> None:
    defacers = chosen(arguments)
    report = {
        title: turned.show(defacers, heads)
        if arguments.turned
        else show(title, measure(defacers, heads))
        for title, heads in sets(arguments)
    }
    if not report:
        sys.exit("no heads: name landmarks and heads, or --labels, or --drawn")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="model folder")
    parser.add_argument("landmarks", type=Path, nargs="?", help="landmarks of the real heads")
    parser.add_argument("heads", type=Path, nargs="?", help="folder of the real heads")
    parser.add_argument("--brains", type=Path, help="brain masks of the real heads")
    parser.add_argument("--labels", type=Path, help="label maps; the two held-out ones are drawn")
    parser.add_argument("--drawn", action="store_true", help="heads drawn by code, too")
    parser.add_argument("--plain", action="store_true", help="the simple mask of `plain`, too")
    parser.add_argument("--peers", type=Path, help="folder of niimath and quickshear")
    parser.add_argument("--template", type=Path, default=Path("mean_reg2mean.nii.gz"))
    parser.add_argument("--facemask", type=Path, default=Path("facemask.nii.gz"))
    parser.add_argument("--only", help="names of defacers, with commas")
    parser.add_argument("--turned", action="store_true")
    parser.add_argument("--json", type=Path)
    main(parser.parse_args())
