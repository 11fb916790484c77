"""De-identify the header of one instance; of its pixels, clean the regions its profile names.

For `deid-node scrub`, not for the node: nothing here looks at a face, so nothing here ever
claims that one was removed (113102, or (0028,0302) NO), and no destination takes the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node import __version__
from deid_node.dicom.part10 import EncodedInstance, encode, encode_like
from deid_node.dicom.series import decode_instance
from deid_node.dicom.uids import sop_class_name, written_syntax
from deid_node.dicom.wire import Unsuited
from deid_node.dicom.wire_out import file_head
from deid_node.dicom.wire_reader import Part10Reader
from deid_node.errors import (
    BurnedInAnnotation,
    MissingAttribute,
    ResidualIdentifier,
    SOPClassNotAccepted,
)
from deid_node.headers.declaration import codes_of, declare
from deid_node.headers.level_scrub import kept_keywords, strings_of
from deid_node.headers.pixel_regions import rectangles_of
from deid_node.headers.scrub import scrub
from deid_node.headers.second_look import SecondLook
from deid_node.headers.splice import Splicer
from deid_node.pipeline.linkage import Linker, linkage_of
from deid_node.pipeline.new_instance import for_new_pixels
from deid_node.pipeline.pixel_regions import PIXELS_CLEANED, with_black_regions

if TYPE_CHECKING:
    from deid_node.dicom.rectangle import Rectangle
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.reading import Source
    from deid_node.headers.scrub import Deed
    from deid_node.pipeline.linkage import Linkage

NODE: Final = f"deid-node {__version__}"
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
BURNED_IN_ANNOTATION: Final = 0x00280301


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubbedInstance:
    """One instance with a new header, and what was done.

    Parameters
    ----------
    encoded
        The new instance.
    deeds
        What was done to each attribute; holds no value.
    codes
        Codes of CID 7050 that the deeds bear out.
    kept
        Keywords of attributes that the profile kept as they were.
    linkage
        Old and new identifiers; never to be shown.
    """

    encoded: EncodedInstance
    deeds: tuple[Deed, ...]
    codes: tuple[str, ...]
    kept: frozenset[str]
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
        self._profile = for_new_pixels(profile) if profile.pixel_regions else profile
        self._pseudonyms = pseudonyms
        self._reader = Part10Reader()
        self._linker = Linker()
        self._splicer = Splicer(self._profile, pseudonyms, node=NODE)
        self._second_look = SecondLook()

    def run(self, part10: bytes) -> ScrubbedInstance:
        """De-identify the header of one Part 10 file.

        Raises
        ------
        InstanceRefused
            If it is not DICOM, breaks off, or is of a SOP Class the profile does not accept.
        SeriesHeld
            If text is burned into its pixels where no region of the profile is, if pixels in a
            region cannot be cleaned, or an identifier is left.
        """
        try:
            done = self._as_bytes(part10)
        except (Unsuited, RecursionError):  # the latter of items within items without end
            done = self._as_dataset(part10)
        found = self._second_look.findings(part10, done.encoded.part10, kept=done.kept)
        if found:
            keywords = tuple(sorted({finding.keyword for finding in found}))
            raise ResidualIdentifier(keywords=keywords, n_instances=1)
        return done

    def _as_bytes(self, part10: bytes) -> ScrubbedInstance:
        """Take the short way, for files of the plain kind whose pixels stay."""
        file = self._reader.read(part10)
        if SOP_CLASS_UID not in file.dataset:
            raise Unsuited
        if self._screen(file.dataset):
            raise Unsuited
        spliced = self._splicer.run(file)
        elements = spliced.elements
        sop_class_uid, sop_instance_uid = (
            _uid(elements, tag) for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID)
        )
        syntax = written_syntax(file.transfer_syntax_uid)
        content = b"".join([elements[tag] for tag in sorted(elements)])
        return ScrubbedInstance(
            encoded=EncodedInstance(
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=syntax,
                part10=file_head(sop_class_uid, sop_instance_uid, syntax) + content,
            ),
            deeds=spliced.account.deeds,
            codes=spliced.account.codes,
            kept=spliced.account.kept,
            linkage=self._linker.link(file.dataset, elements, days=spliced.days),
        )

    def _as_dataset(self, part10: bytes) -> ScrubbedInstance:
        """Take the long way, by pydicom."""
        source = decode_instance(part10)
        rectangles = self._screen(source)
        scrubbed = scrub(source, self._profile, self._pseudonyms)
        deeds = (*scrubbed.deeds, PIXELS_CLEANED) if rectangles else scrubbed.deeds
        declared = declare(
            scrubbed.dataset, profile=self._profile, deeds=deeds, face_removed=False, node=NODE
        )
        if rectangles:
            declared = with_black_regions(declared, source, rectangles)
        return ScrubbedInstance(
            encoded=encode(declared) if rectangles else encode_like(declared, source),
            deeds=deeds,
            codes=codes_of(deeds, face_removed=False),
            kept=kept_keywords(deeds),
            linkage=linkage_of(source, declared, days=scrubbed.days),
        )

    def _screen(self, source: Source) -> tuple[Rectangle, ...]:
        """Turn away what the profile does not accept, and what names a person in its pixels.

        Returns
        -------
        tuple of Rectangle
            Where the profile says that its pixels name a person; empty if it does not.
        """
        sop_class_uid = "".join(strings_of(source, SOP_CLASS_UID, "UI")[:1])
        if not self._profile.accepts(sop_class_uid):
            raise SOPClassNotAccepted(
                sop_class=sop_class_name(sop_class_uid), profile=self._profile.name
            )
        if not strings_of(source, SOP_INSTANCE_UID, "UI"):
            raise MissingAttribute(keyword="SOPInstanceUID", n_instances=1)
        regions = self._profile.pixel_regions
        rectangles = rectangles_of(source, regions) if regions else ()
        burned_in = strings_of(source, BURNED_IN_ANNOTATION, "CS")
        if not rectangles and any(value.strip().upper() == "YES" for value in burned_in):
            raise BurnedInAnnotation(n_instances=1)
        return rectangles


def _uid(elements: dict[int, bytes], tag: int) -> str:
    """Value of a written UID."""
    return elements[tag][8:].rstrip(b"\0").decode("ascii")
