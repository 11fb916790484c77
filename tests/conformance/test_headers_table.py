"""Table E.1-1 row by row: for each IOD, option and level, the action that the standard asks for.

Once as it is decided, once as it is found in the bytes that are written. How many rows were
gone through stands at the end of the run (`conftest`).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.sequence import Sequence

from deid_node.headers.confidentiality import Option, table
from deid_node.headers.iod import section_of
from deid_node.headers.plan import explain, plan
from deid_node.headers.profile import Action, Profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.conformance.table_oracle import (
    ALWAYS_GONE,
    COLUMNS,
    IODS,
    STRICTER,
    allowed,
    outcome,
    rows,
    value_of,
    vr_of,
)
from tests.planted import INSTANCES, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset

    Recorder = Callable[[str, object], None]

OURS = Pseudonyms(bytes(range(32)))
NESTED = 0x00081115
"""Referenced Series Sequence, which all three IODs have and no row of the table names."""

each_iod = pytest.mark.parametrize("iod", IODS)
each_column = pytest.mark.parametrize(
    "option", COLUMNS, ids=lambda option: option.value if option else "basic"
)
each_level = pytest.mark.parametrize("nested", [False, True], ids=["top level", "nested"])


def profile_of(option: Option | None) -> Profile:
    options = frozenset({option}) if option else frozenset[Option]()
    return Profile(name="row", version=1, edition=table().edition, options=options)


def tell(record: Recorder, way: str, iod: str, option: Option | None, level: str) -> None:
    for key, value in (
        ("table", way),
        ("rows", len(rows())),
        ("column", option.value if option else "basic"),
        ("iod", iod),
        ("level", level),
    ):
        record(key, value)


@each_level
@each_iod
@each_column
def test_every_row_gets_the_action_of_the_standard(
    iod: str, option: Option | None, record_property: Recorder, *, nested: bool
) -> None:
    top = plan(profile_of(option), IODS[iod])
    level = top.below(NESTED) if nested else top
    types = section_of(IODS[iod])
    types = types.below(NESTED) if nested else types

    wrong = []
    for tag, row in rows().items():
        decision = level.decision(tag, vr_of(tag))
        if decision.action not in allowed(row, option, types.type_of(tag), vr_of(tag)):
            wrong.append((f"{tag:08X}", row.basic, types.type_of(tag), decision.action.value))

    assert len(rows()) > 600
    assert wrong == []
    tell(record_property, "decided", iod, option, f"nested {nested}")


@each_level
@each_iod
@each_column
def test_every_row_is_found_written_as_the_standard_asks(
    iod: str, option: Option | None, record_property: Recorder, *, nested: bool
) -> None:
    source = INSTANCES[iod]()
    entry = source
    if nested:
        source.ReferencedSeriesSequence = Sequence([pydicom.Dataset()])
        entry = source.ReferencedSeriesSequence[0]
    for tag in rows():
        if nested or tag != 0x00080018:
            entry.add_new(tag, vr_of(tag), value_of(tag))
    section = section_of(IODS[iod])
    section = section.below(NESTED) if nested else section

    written_bytes = HeaderScrubber(profile_of(option), OURS).run(written(source)).encoded.part10

    output: Dataset = pydicom.dcmread(io.BytesIO(written_bytes))
    output = output.ReferencedSeriesSequence[0] if nested else output
    wrong = []
    for tag, row in rows().items():
        kind = section.type_of(tag)
        wanted = allowed(row, option, kind, vr_of(tag))
        if Action.REMOVE in wanted and tag in section.demanded and vr_of(tag) != "SQ":
            wanted = {Action.EMPTY, Action.DUMMY}
        if Action.KEEP in wanted and tag in STRICTER:
            wanted = {Action.REMOVE}
        found = outcome(entry[tag], output.get(tag), option)
        if not found & wanted:
            wrong.append((f"{tag:08X}", vr_of(tag), row.basic, kind, wanted, found))
    assert wrong == []
    tell(record_property, "written", iod, option, f"nested {nested}")


def test_of_two_options_that_grant_an_attribute_the_stricter_decides() -> None:
    every = frozenset(Option) - {Option.RETAIN_FULL_DATES, Option.CLEAN_PIXEL_DATA}
    profile = Profile(name="all", version=1, edition=table().edition, options=every)
    doubly = {
        tag: set(row.options.values())
        for tag, row in rows().items()
        if len(row.options.keys() & every) > 1 and vr_of(tag) != "TM"  # a moved day keeps its time
    }

    kept = [tag for tag in doubly if explain(profile, tag, IODS["MR"]).action is Action.KEEP]

    assert {"C", "K"} in doubly.values()
    assert [tag for tag in kept if "C" in doubly[tag]] == []
    assert kept == [tag for tag in doubly if doubly[tag] == {"K"}]


@pytest.mark.parametrize("tag", sorted(ALWAYS_GONE))
@each_iod
def test_what_can_hide_anything_goes_under_every_option(tag: int, iod: str) -> None:
    options = frozenset(Option) - {Option.RETAIN_FULL_DATES, Option.CLEAN_PIXEL_DATA}
    profile = Profile(name="all", version=1, edition=table().edition, options=options)

    assert explain(profile, tag, IODS[iod]).action is Action.REMOVE
