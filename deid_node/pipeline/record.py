"""What was done to one series, without a word of whom it was done to."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deid_node.headers.scrub import Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The account of one de-identified series.

    Parameters
    ----------
    recipe : str
        Digest of the recipe.
    profile : str
        Name and version of the profile.
    model : str
        Name, version and digest of the face model.
    series_instance_uid : str
        The *new* Series Instance UID.
    n_instances : int
        Defaced instances, the SEG not counted.
    n_voxels_removed : int
        Voxels that were replaced.
    removed_ml : float
        Their volume, in millilitres.
    method_codes : tuple of str
        Codes of CID 7050 that every instance bears.
    deeds : mapping of str to int
        How often each action was done, by ``"action Keyword"``.
    """

    recipe: str
    profile: str
    model: str
    series_instance_uid: str
    n_instances: int
    n_voxels_removed: int
    removed_ml: float
    method_codes: tuple[str, ...]
    deeds: Mapping[str, int]

    def as_json(self) -> dict[str, object]:
        """Give the record as JSON types."""
        return {**asdict(self), "deeds": dict(self.deeds), "method_codes": list(self.method_codes)}


def count_deeds(deeds: Iterable[tuple[Deed, ...]]) -> dict[str, int]:
    """Count deeds over all instances, by ``"action Keyword"``."""
    counts: Counter[str] = Counter()
    for each in deeds:
        for deed in each:
            counts[f"{deed.action.value} {deed.keyword}"] += deed.count
    return dict(sorted(counts.items()))
