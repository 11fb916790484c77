"""Write what follows from the profiles: their JSON Schema, and the tables of docs/profiles.md.

    python tools/build_profiles.py           # write
    python tools/build_profiles.py --check   # fail if something is stale

Run it after every change of a profile, of its language or of a table of the standard.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.uid import MRImageStorage

from deid_node.config.profile_file import load_profile
from deid_node.config.profile_schema import json_schema
from deid_node.headers.declaration import CODES
from deid_node.headers.paths import path_of
from deid_node.headers.plan import explain
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.trial import try_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deid_node.headers.profile import Profile
    from deid_node.pipeline.trial import Trial

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "profiles"
SCHEMA = PROFILES / "profile.schema.json"
DOCS = ROOT / "docs" / "profiles.md"
ORDER = ("basic", "research-mr", "research-mr-longitudinal", "tcia", "hipaa-safe-harbor")
MARKS = re.compile(
    r"(<!-- (\w+): made by tools/build_profiles.py -->\n).*?(<!-- end -->)", re.DOTALL
)

GROUPS: dict[str, tuple[str, ...]] = {
    "The patient": (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "EthnicGroup",
        "SmokingStatus",
        "Allergies",
        "PatientComments",
        "OtherPatientIDsSequence",
    ),
    "Dates and times": (
        "StudyDate",
        "StudyTime",
        "AcquisitionDate",
        "AcquisitionDateTime",
        "ContentDate",
        "TimezoneOffsetFromUTC",
    ),
    "People and places": (
        "ReferringPhysicianName",
        "OperatorsName",
        "InstitutionName",
        "InstitutionAddress",
        "StationName",
    ),
    "The scanner": (
        "Manufacturer",
        "ManufacturerModelName",
        "SoftwareVersions",
        "DeviceSerialNumber",
        "DeviceUID",
        "GantryID",
        "ReceiveCoilName",
    ),
    "Descriptions": (
        "StudyDescription",
        "SeriesDescription",
        "ProtocolName",
        "SequenceName",
        "DerivationDescription",
        "ContrastBolusAgent",
        "ImageComments",
    ),
    "Orders and links": (
        "AccessionNumber",
        "StudyID",
        "RequestAttributesSequence",
        "RequestAttributesSequence/RequestedProcedureID",
        "ReferencedImageSequence",
        "SourceImageSequence",
        "StudyInstanceUID",
        "FrameOfReferenceUID",
    ),
    "The acquisition": (
        "EchoTime",
        "FlipAngle",
        "SliceLocation",
        "DiffusionBValue",
        "ImageType",
        "AnatomicRegionSequence/CodeMeaning",
        "PixelData",
    ),
    "What can hide anything": ("IconImageSequence", "OriginalAttributesSequence"),
}
"""Attributes of the table, for an MR Image Storage instance."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    check = parser.parse_args().check
    stale = [path for path, text in built().items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{'stale' if check else 'wrote'} {path.relative_to(ROOT)}")
        if not check:
            path.write_text(built()[path], encoding="utf-8")
    return int(check and bool(stale))


def built() -> dict[Path, str]:
    """Text of each file that follows from the profiles."""
    page = DOCS.read_text(encoding="utf-8")
    parts = {"settings": settings_table(), "attributes": attributes_table()}
    return {
        SCHEMA: json.dumps(json_schema(), indent=2) + "\n",
        DOCS: MARKS.sub(lambda found: found[1] + parts[found[2]] + found[3], page),
    }


def settings_table() -> str:
    """Say what each profile is made of, and what it did to the planted instance."""
    loaded = [load_profile(name) for name in ORDER]
    trials = [try_profile(each, Pseudonyms(bytes(range(32)))) for each in loaded]
    rows = [[title, *map(tell, loaded)] for title, tell in FACTS.items()]
    rows += [
        [
            f"{CODES[option][0]} {option.value}",
            *("yes" if option in p.options else "–" for p in loaded),
        ]
        for option in CODES
        if any(option in p.options for p in loaded)
    ]
    rows += [[title, *map(tell, trials)] for title, tell in RESULTS.items()]
    return markdown(["", *(f"`{name}`" for name in ORDER)], rows)


def attributes_table() -> str:
    """Say what each profile does to chosen attributes."""
    loaded = [load_profile(name) for name in ORDER]
    rows = []
    for group, names in GROUPS.items():
        rows.append([f"**{group}**", *("" for _ in ORDER)])
        for name in names:
            path = path_of(name)
            rows.append(
                [f"`{name}`", *(explain(p, path, MRImageStorage).action.value for p in loaded)]
            )
    return markdown(["", *(f"`{name}`" for name in ORDER)], rows)


def _dates(profile: Profile) -> str:
    moved = explain(profile, path_of("StudyDate"), MRImageStorage).action.value == "shift"
    least, greatest = profile.days
    return f"moved by {least} to {greatest} days" if moved else "removed"


def _left(trial: Trial) -> str:
    return f"{len(trial.survivors)} of {trial.n_planted}"


FACTS: dict[str, Callable[[Profile], str]] = {
    "version": lambda profile: str(profile.version),
    "dates": _dates,
    "greatest age": lambda profile: (
        f"{profile.age_cap} years"
        if explain(profile, path_of("PatientAge"), MRImageStorage).action.value == "cap-age"
        else "no age"
    ),
    "unlisted attributes": lambda profile: profile.unlisted.standard,
    "private creators kept": lambda profile: (
        str(len({s.creator for s in profile.safe_private}))
        if profile.safe_private and "113111" in _codes(profile)
        else "–"
    ),
    "patients named by": lambda profile: profile.patients.method,
}
RESULTS: dict[str, Callable[[Trial], str]] = {
    "codes of CID 7050 that result": lambda trial: " ".join(trial.codes),
    "planted identifiers left": _left,
    "kept because an option keeps them": lambda trial: str(len(trial.meant)),
}


def _codes(profile: Profile) -> set[str]:
    return {CODES[option][0] for option in profile.options}


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    raise SystemExit(main())
