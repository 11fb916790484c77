"""Tables of scores, and what they say about the goals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from face_model.score import FAR_MM, FEATURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from face_model.score import Scores

COMPOSITE_MEAN, COMPOSITE_LEAST, FEATURE_LEAST, EARS_MEAN = 0.99, 0.97, 0.95, 0.97
CSF_SHARE, RESIDUE_MOST, LEAK_MOST, TISSUE_MOST = 0.95, 0.02, 0.05, 0.11
FAR_ML_MOST = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One defacer on one head."""

    head: str
    scores: Scores
    verdict: str
    cpu_s: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self.scores) | {"verdict": self.verdict, "cpu_s": round(self.cpu_s, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Whether one goal is met, and the figures that say so."""

    goal: str
    met: bool | None
    figures: str


def table(rows: list[Row]) -> str:
    """Lay out one defacer's rows; a last line gives the means."""
    heads = " ".join(f"{name:>6s}" for name in (*FEATURES, "compos"))
    lines = [
        f"{'':24s} {heads}  brain   csf tissue residue  leak upright shown far_ml CPU-s verdict",
        *(_line(row) for row in rows),
        _mean_line(rows),
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    s = row.scores
    cells = [_cell(s.coverage.get(name)) for name in FEATURES] + [_cell(s.composite)]
    counts = " ".join(
        f"{'-' if n is None else n:>{width}}"
        for n, width in ((s.brain_voxels, 6), (s.csf_voxels, 5))
    )
    shares = (
        f"{_percent(s.tissue, 6)} {_percent(s.residue, 7)}"
        f" {_percent(s.leak, 5)} {_percent(s.upright, 7)} {_percent(s.shown, 5)}"
    )
    return (
        f"{row.head[:24]:24s} {' '.join(cells)} {counts} {shares}"
        f" {s.far_ml:6.1f} {row.cpu_s:5.1f} {row.verdict}"
    )


def _mean_line(rows: list[Row]) -> str:
    scores = [row.scores for row in rows]
    features = [_average([s.coverage.get(name) for s in scores]) for name in FEATURES]
    cells = [_cell(value) for value in (*features, _average([s.composite for s in scores]))]
    shares = [
        _percent(_average([s.tissue for s in scores]), 6),
        _percent(_average([s.residue for s in scores]), 7),
        _percent(_average([s.leak for s in scores]), 5),
        _percent(_average([s.upright for s in scores]), 7),
        _percent(_average([s.shown for s in scores]), 5),
    ]
    far, cpu = np.mean([s.far_ml for s in scores]), np.mean([row.cpu_s for row in rows])
    return f"{'mean':24s} {' '.join(cells)} {'':12s} {' '.join(shares)} {far:6.1f} {cpu:5.1f}"


def _average(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _cell(value: float | None) -> str:
    return f"{'-':>6s}" if value is None else f"{value:6.3f}"


def _percent(value: float | None, width: int) -> str:
    return f"{'-':>{width}s}" if value is None else f"{100 * value:{width}.2f}"


def findings(rows: list[Row]) -> list[Finding]:
    """Hold the rows of one defacer on one set against every goal."""
    composite = _known(rows, lambda s: s.composite)
    ears = _known(rows, lambda s: s.ears)
    features = {f"{row.head}, {k}": v for row in rows for k, v in row.scores.coverage.items()}
    below = sum(v < FEATURE_LEAST for v in features.values())
    worst = min(features, key=features.__getitem__)
    return [
        Finding(
            goal=f"composite at least {COMPOSITE_MEAN} on average",
            met=_mean(composite) >= COMPOSITE_MEAN,
            figures=f"{_mean(composite):.4f}",
        ),
        _every("composite", composite, COMPOSITE_LEAST, least=True),
        Finding(
            goal=f"no feature of any head below {FEATURE_LEAST}",
            met=not below,
            figures=f"{below} of {len(features)} below; worst {features[worst]:.3f} ({worst})",
        ),
        Finding(
            goal=f"ears at least {EARS_MEAN} on average",
            met=_mean(ears) >= EARS_MEAN,
            figures=f"{_mean(ears):.4f}; worst head {min(ears.values()):.3f}",
        ),
        _untouched("brain", _known(rows, lambda s: s.brain_voxels), 1.0),
        _untouched("CSF round the brain", _known(rows, lambda s: s.csf_voxels), CSF_SHARE),
        _every("surface residue", _known(rows, lambda s: s.residue), RESIDUE_MOST),
        _every("SEG leak", _known(rows, lambda s: s.leak), LEAK_MOST),
        _every("tissue removed", _known(rows, lambda s: s.tissue), TISSUE_MOST),
        _every(
            f"tissue farther than {FAR_MM:g} mm, in ml,",
            _known(rows, lambda s: s.far_ml),
            FAR_ML_MOST,
        ),
    ]


def _known(rows: list[Row], pick: Callable[[Scores], float | None]) -> dict[str, float]:
    return {row.head: float(v) for row in rows if (v := pick(row.scores)) is not None}


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


def _every(what: str, values: dict[str, float], bound: float, *, least: bool = False) -> Finding:
    """Judge a bound that every head must keep."""
    worst = (min if least else max)(values, key=values.__getitem__)
    within = sum((v >= bound) if least else (v <= bound) for v in values.values())
    return Finding(
        goal=f"{what} at {'least' if least else 'most'} {bound:g} on every head",
        met=within == len(values),
        figures=f"{within} of {len(values)} heads; mean {_mean(values):.4f};"
        f" worst {values[worst]:.4f} ({worst})",
    )


def _untouched(what: str, voxels: dict[str, float], share: float) -> Finding:
    goal = f"{what} untouched in {share:.0%} of the images"
    if not voxels:
        return Finding(goal=goal, met=None, figures="no mask to hold it against")
    whole = sum(n == 0 for n in voxels.values())
    worst = max(voxels, key=voxels.__getitem__)
    return Finding(
        goal=goal,
        met=whole >= share * len(voxels),
        figures=f"{whole} of {len(voxels)}; most voxels lost {voxels[worst]:.0f} ({worst})",
    )


def summary(found: list[Finding]) -> str:
    """Say of each goal whether it is met."""
    words = {True: "met", False: "NOT MET", None: "unknown"}
    return "\n".join(f"  {words[f.met]:8s} {f.goal}: {f.figures}" for f in found)
