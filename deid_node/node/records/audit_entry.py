"""What one line of the audit log tells: keyed names, new UIDs, codes, counts, class names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from deid_node.headers.plan import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deid_node.headers.profile import Action
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.scrub import Deed
    from deid_node.pipeline.deidentify import DeidentifiedSeries
    from deid_node.pipeline.header_only import ScrubbedInstance
    from deid_node.pipeline.linkage import Linkage

_keyword = lru_cache(maxsize=None)(name_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one line tells; holds no value of an element but new UIDs.

    Parameters
    ----------
    disposition
        What became of it: ``written``, ``held`` and so on.
    reason
        Class of the error, where there was one.
    patient, series, instance
        Keyed names.
    uids
        New UIDs by kind; an UID that stayed is not among them.
    codes
        Codes of CID 7050.
    counts
        How often each action was done to each keyword.
    source
        Keyed name of the content of a file that gave no instance.
    n_instances
        Of a series.
    recipe
        Digest of everything that decided about a series, the face model included.
    who, why
        Words of the person who decided about a held series.
    """

    disposition: str
    reason: str = ""
    patient: str = ""
    series: str = ""
    instance: str = ""
    uids: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    source: str = ""
    n_instances: int = 0
    recipe: str = ""
    who: str = ""
    why: str = ""

    def told(self) -> dict[str, object]:
        """Give what is not empty."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


def written_entry(scrubbed: ScrubbedInstance, pseudonyms: Pseudonyms) -> Entry:
    """Account for an instance that was scrubbed."""
    linkage = scrubbed.linkage
    return Entry(
        disposition="written",
        patient=_patient(linkage, pseudonyms),
        series=pseudonyms.series_key(linkage.of("series").old),
        instance=pseudonyms.instance_key(linkage.of("instance").old),
        uids=_new_uids(linkage),
        codes=scrubbed.codes,
        counts=counted(scrubbed.deeds),
    )


def series_entry(series: str, result: DeidentifiedSeries, pseudonyms: Pseudonyms) -> Entry:
    """Account for a series that was de-identified and may leave."""
    record = result.record
    counts: dict[str, dict[str, int]] = {}
    for deed, n in record.deeds.items():
        action, _, keyword = deed.partition(" ")
        counts.setdefault(action, {})[keyword] = n
    uids = _new_uids(result.linkages[0])
    uids.pop("instance", None)
    return Entry(
        disposition="ready",
        patient=_patient(result.linkages[0], pseudonyms),
        series=series,
        uids=uids,
        codes=record.method_codes,
        counts=counts,
        n_instances=record.n_instances,
        recipe=record.recipe,
    )


def _patient(linkage: Linkage, pseudonyms: Pseudonyms) -> str:
    """Name the patient by the key, whatever the profile makes of the Patient ID."""
    old = linkage.of("patient").old
    return pseudonyms.patient(old) if old else ""


def _new_uids(linkage: Linkage) -> dict[str, str]:
    """List UIDs that are new; one that the profile retains identifies the patient."""
    return {
        link.kind: link.new
        for link in linkage.links
        if link.kind != "patient" and link.new not in {link.old, ""}
    }


def held_entry(state: str, error: str, content: bytes, pseudonyms: Pseudonyms) -> Entry:
    """Account for a file that gave no instance; who has file and key can find its line."""
    digest = hashlib.sha256(content).hexdigest()
    return Entry(
        disposition=state, reason=error, source=pseudonyms.instance_key(f"content {digest}")
    )


def counted(deeds: Iterable[Deed]) -> dict[str, dict[str, int]]:
    """Count deeds by action and keyword."""
    counts: dict[int, tuple[Action, dict[str, int]]] = {}
    for deed in deeds:
        action = deed.action
        # Hash and value of an enum member are Python calls; this is done for every deed.
        found = counts.get(id(action))
        if found is None:
            found = counts[id(action)] = (action, {})
        keyword = _keyword(deed.path[-1])
        found[1][keyword] = found[1].get(keyword, 0) + deed.count
    return {action.value: by_keyword for action, by_keyword in counts.values()}
