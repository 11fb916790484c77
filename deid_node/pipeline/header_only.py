"""De-identify the header of one instance and leave its pixels as they are.

For `deid-node scrub`, not for the node: nothing here looks at a face, so nothing here ever
claims that one was removed (113102, or (0028,0302) NO), and no destination takes the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node import __version__
from deid_node.dicom.part10 import encode_like
from deid_node.dicom.series import decode_instance
from deid_node.dicom.uids import sop_class_name
from deid_node.errors import BurnedInAnnotation, ResidualIdentifier, SOPClassNotAccepted
from deid_node.headers.declaration import codes_of, declare
from deid_node.headers.iod import section_of
from deid_node.headers.profile import Action
from deid_node.headers.residue import identifiers_of, residue
from deid_node.headers.scrub import scrub
from deid_node.pipeline.linkage import linkage_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from deid_node.dicom.part10 import EncodedInstance
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.scrub import Deed
    from deid_node.pipeline.linkage import Linkage


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubbedInstance:
    """One instance with a new header, its old pixels, and what was done.

    Parameters
    ----------
    encoded
        The new instance.
    deeds
        What was done to each attribute; holds no value.
    codes
        Codes of CID 7050 that the deeds bear out.
    linkage
        Old and new identifiers; never to be shown.
    """

    encoded: EncodedInstance
    deeds: tuple[Deed, ...]
    codes: tuple[str, ...]
    linkage: Linkage


class HeaderScrubber:
    """Scrubs one instance after another under one profile and one key.

    Equal instance, profile and key give equal bytes, whatever came before.

    Parameters
    ----------
    profile
        What is done to each attribute.
    pseudonyms
        The site's secret key at work.
    """

    def __init__(self, profile: Profile, pseudonyms: Pseudonyms) -> None:
        self._profile = profile
        self._pseudonyms = pseudonyms

    def run(self, part10: bytes) -> ScrubbedInstance:
        """De-identify the header of one Part 10 file.

        Raises
        ------
        InstanceRefused
            If it is not DICOM, breaks off, or is of a SOP Class the profile does not accept.
        SeriesHeld
            If text is burned into its pixels, or an identifier is left.
        """
        source = decode_instance(part10)
        self._screen(source)
        scrubbed = scrub(source, self._profile, self._pseudonyms)
        declared = declare(
            scrubbed.dataset,
            profile=self._profile,
            deeds=scrubbed.deeds,
            face_removed=False,
            node=f"deid-node {__version__}",
        )
        encoded = encode_like(declared, source)
        self._look_again(source, encoded, scrubbed.deeds)
        return ScrubbedInstance(
            encoded=encoded,
            deeds=scrubbed.deeds,
            codes=codes_of(scrubbed.deeds, face_removed=False),
            linkage=linkage_of(source, declared, scrubbed.deeds, self._pseudonyms),
        )

    def _screen(self, source: Dataset) -> None:
        """Turn away what the profile does not accept, and what names a person in its pixels."""
        sop_class_uid = str(source.SOPClassUID)
        if not section_of(sop_class_uid).types:
            raise SOPClassNotAccepted(
                sop_class=sop_class_name(sop_class_uid), profile=self._profile.name
            )
        if str(source.get("BurnedInAnnotation", "")).strip().upper() == "YES":
            raise BurnedInAnnotation(n_instances=1)

    def _look_again(
        self, source: Dataset, encoded: EncodedInstance, deeds: tuple[Deed, ...]
    ) -> None:
        """Search what was written for the identifiers of its source."""
        kept = frozenset(deed.keyword for deed in deeds if deed.action is Action.KEEP)
        found = residue(encoded.part10, identifiers_of(source, kept=kept))
        if found:
            keywords = tuple(sorted({finding.keyword for finding in found}))
            raise ResidualIdentifier(keywords=keywords, n_instances=1)
