"""Apply a profile to one dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.headers.level_scrub import DEEPEST, Deed, LevelScrub, patient_identity

if TYPE_CHECKING:
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.values import Values

__all__ = ["DEEPEST", "Deed", "Scrubbed", "patient_identity", "scrub"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """A new dataset and what was done to make it.

    Parameters
    ----------
    dataset
        The new dataset.
    deeds
        What was done.
    days
        Whole days that its dates were moved by; 0 if none was. It undoes every date: never
        to be shown.
    """

    dataset: Dataset
    deeds: tuple[Deed, ...]
    days: int = field(repr=False)


def scrub(dataset: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> Scrubbed:
    """Remove what identifies a person from a dataset, at every depth.

    Parameters
    ----------
    dataset
        One instance without its file meta group. It is not changed; pixel data is shared,
        not copied.
    profile
        What is done to each attribute.
    pseudonyms
        Key of UIDs, patient and dates.

    Returns
    -------
    Scrubbed
        A dataset of the same IOD without file meta group. Its text is ASCII, or UTF-8
        with Specific Character Set saying so.

    Raises
    ------
    ProfileInvalid
        If the profile is written for another edition of the table.
    PatientNotInTable
        If the profile names patients by a table that does not have this one.

    References
    ----------
    PS3.15 Annex E.
    """
    work = _DatasetScrub(dataset, profile, pseudonyms)
    scrubbed = _dataset(work.top(dataset))
    deeds = work.deeds()
    return Scrubbed(dataset=scrubbed, deeds=deeds, days=work.days(deeds))


class _DatasetScrub(LevelScrub[DataElement]):
    """Makes elements of pydicom."""

    def _element(self, tag: int, vr: str, values: Values) -> DataElement:
        """Build an element; pydicom's own checks would quote a value in a warning."""
        value = values[0] if len(values) == 1 else list(values) or None
        return DataElement(tag, vr, value, validation_mode=config.IGNORE)

    def _pixels(self, tag: int, vr: str, values: Values, *, encapsulated: bool) -> DataElement:
        made = self._element(tag, vr, values)
        made.is_undefined_length = encapsulated
        return made

    def _sequence(self, tag: int, items: list[dict[int, DataElement]]) -> DataElement:
        return DataElement(tag, "SQ", Sequence([_dataset(each) for each in items]))

    def _is_empty(self, made: DataElement) -> bool:
        return made.is_empty


def _dataset(made: dict[int, DataElement]) -> Dataset:
    dataset = Dataset()
    for each in made.values():
        dataset.add(each)
    return dataset
