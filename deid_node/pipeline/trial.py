"""Try a profile on a made-up instance in which everything is an identifier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deid_node.dicom.part10 import encode, encode_like
from deid_node.dicom.series import decode_instance
from deid_node.headers.declaration import codes_of, declare
from deid_node.headers.planted import planted_instance, survivors
from deid_node.headers.profile import Patients
from deid_node.headers.scrub import scrub

if TYPE_CHECKING:
    from deid_node.headers.planted import Survivor
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a profile left of the planted identifiers.

    Parameters
    ----------
    n_planted
        How many identifiers there were.
    survivors
        Those that are still there and should not be.
    meant
        Those that stay because an option of PS3.15 keeps what they stand for.
    codes
        Codes of CID 7050 that the output declares.
    """

    n_planted: int
    survivors: tuple[Survivor, ...]
    meant: tuple[Survivor, ...]
    codes: tuple[str, ...]


def try_profile(profile: Profile, pseudonyms: Pseudonyms) -> Trial:
    """De-identify the made-up instance and look for what was planted in it.

    Raises
    ------
    ProfileInvalid
        If the profile is written for another edition of the table.
    """
    profile = replace(profile, patients=Patients())  # nobody's table has the made-up patient
    planted = planted_instance()
    source = decode_instance(encode(planted.dataset).part10)
    scrubbed = scrub(source, profile, pseudonyms)
    declared = declare(scrubbed.dataset, profile=profile, deeds=scrubbed.deeds, face_removed=False)
    output = encode_like(declared, source)
    found = survivors(planted, output.part10, scrubbed.dataset, profile)
    return Trial(
        n_planted=len(planted.places),
        survivors=tuple(each for each in found if each.option is None),
        meant=tuple(each for each in found if each.option is not None),
        codes=codes_of(scrubbed.deeds, face_removed=False),
    )
