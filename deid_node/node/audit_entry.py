"""What one line of the audit log tells: keyed names, new UIDs, codes, counts, class names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from deid_node.headers.plan import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.scrub import Deed
    from deid_node.pipeline.header_only import ScrubbedInstance

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

    def told(self) -> dict[str, object]:
        """Give what is not empty."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


def written_entry(scrubbed: ScrubbedInstance, pseudonyms: Pseudonyms) -> Entry:
    """Account for an instance that was scrubbed."""
    linkage = scrubbed.linkage
    old = {link.kind: link.old for link in linkage.links}
    return Entry(
        disposition="written",
        patient=pseudonyms.patient(old["patient"]) if old["patient"] else "",
        series=pseudonyms.series_key(old["series"]),
        instance=pseudonyms.instance_key(old["instance"]),
        uids={
            link.kind: link.new
            for link in linkage.links
            if link.kind != "patient" and link.new not in {link.old, ""}
        },
        codes=scrubbed.codes,
        counts=counted(scrubbed.deeds),
    )


def held_entry(state: str, error: str, content: bytes, pseudonyms: Pseudonyms) -> Entry:
    """Account for a file that gave no instance; who has file and key can find its line."""
    digest = hashlib.sha256(content).hexdigest()
    return Entry(
        disposition=state, reason=error, source=pseudonyms.instance_key(f"content {digest}")
    )


def counted(deeds: Iterable[Deed]) -> dict[str, dict[str, int]]:
    """Count deeds by action and keyword."""
    counts: dict[str, dict[str, int]] = {}
    for deed in deeds:
        by_keyword = counts.setdefault(deed.action.value, {})
        keyword = _keyword(deed.path[-1])
        by_keyword[keyword] = by_keyword.get(keyword, 0) + deed.count
    return counts
