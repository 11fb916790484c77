"""What a profile can say of pixels with text in them, and what is refused in one line."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deid_node.config.profile_file import load_profile
from deid_node.config.profile_schema import json_schema
from deid_node.dicom.rectangle import Rectangle
from deid_node.errors import ProfileInvalid
from deid_node.headers.plan import plan
from deid_node.headers.profile import Option, PixelRegion
from tests.fakes.command import run

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "profile: mine\nversion: 1\nextends: basic\nwhy: A profile of a test.\n"
REGION = """\
options: [clean-pixel-data]
pixel_regions:
  - when: {Modality: US, Manufacturer: " ACME MEDICAL ", Rows: 480, Columns: 640}
    rectangles: [[0, 0, 640, 40], [600, 440, 40, 40]]
    why: The banner with name and date that this scanner draws.
"""


def file(folder: Path, text: str, name: str = "mine", head: str = HEAD) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(head + textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_region_is_read_with_its_conditions_in_the_order_of_tags(tmp_path: Path) -> None:
    profile = load_profile(file(tmp_path, REGION))

    assert Option.CLEAN_PIXEL_DATA in profile.options
    assert profile.pixel_regions == (
        PixelRegion(
            when=(
                (0x00080060, "US"),
                (0x00080070, "ACME MEDICAL"),
                (0x00280010, 480),
                (0x00280011, 640),
            ),
            rectangles=(
                Rectangle(column=0, row=0, width=640, height=40),
                Rectangle(column=600, row=440, width=40, height=40),
            ),
            why="The banner with name and date that this scanner draws.",
        ),
    )


def test_regions_of_parent_and_child_add_up(tmp_path: Path) -> None:
    file(tmp_path, REGION, name="parent", head=HEAD.replace("mine", "parent"))
    child = HEAD.replace("basic", "parent")

    profile = load_profile(file(tmp_path, REGION.replace("US", "XA").split("\n", 1)[1], head=child))

    assert [region.when[0][1] for region in profile.pixel_regions] == ["US", "XA"]


def test_the_digest_follows_conditions_and_rectangles_and_not_the_reason(tmp_path: Path) -> None:
    base = load_profile(file(tmp_path, REGION))
    region = base.pixel_regions[0]
    changed = {
        "none": (),
        "when": (replace(region, when=(*region.when[:-1], (0x00280011, 641))),),
        "text or number": (replace(region, when=(*region.when[:-1], (0x00280011, "640"))),),
        "column": (replace(region, rectangles=(replace(region.rectangles[0], column=1),)),),
        "row": (replace(region, rectangles=(replace(region.rectangles[0], row=1),)),),
        "width": (replace(region, rectangles=(replace(region.rectangles[0], width=1),)),),
        "height": (replace(region, rectangles=(replace(region.rectangles[0], height=1),)),),
    }

    digests = {replace(base, pixel_regions=regions).digest() for regions in changed.values()}

    assert len(digests | {base.digest()}) == len(changed) + 1
    told = replace(base, pixel_regions=(replace(region, why="Another reason."),))
    assert told.digest() == base.digest()


def region(
    when: str = "Modality: US, Manufacturer: ACME, Rows: 48, Columns: 64",
    rectangles: str = "[[0, 0, 64, 4]]",
    more: str = "",
) -> str:
    return (
        "options: [clean-pixel-data]\n"
        f"pixel_regions: [{{when: {{{when}}}, rectangles: {rectangles}, "
        f"why: A reason to test.{more}}}]\n"
    )


MISTAKES = {
    "unknown keyword": (region("Modalty: US, Manufacturer: A, Rows: 48, Columns: 64"), "Modality"),
    "tag": (region('"(0008,0060)": US, Manufacturer: A, Rows: 48, Columns: 64'), "is no keyword"),
    "path": (region("Rows/Rows: 5, Manufacturer: A, Rows: 48, Columns: 64"), "is no keyword"),
    "several values": (region("ImageType: A, Manufacturer: A, Rows: 48, Columns: 64"), "of one"),
    "sequence": (
        region("ReferencedImageSequence: A, Manufacturer: A, Rows: 48, Columns: 64"),
        "ReferencedImageSequence is no keyword of one string or whole number",
    ),
    "fraction": (region("SliceThickness: 1, Manufacturer: A, Rows: 48, Columns: 64"), "of one"),
    "patient": (region("PatientID: '1', Manufacturer: A, Rows: 48, Columns: 64"), "does not tell"),
    "meta": (
        region("ImplementationVersionName: A, Manufacturer: A, Rows: 48, Columns: 64"),
        "does not tell what made the pixels",
    ),
    "text as number": (
        region("Manufacturer: 5, Modality: US, Rows: 48, Columns: 64"),
        "the value of Manufacturer is text: write it in quotes",
    ),
    "yes as text": (
        region("BurnedInAnnotation: YES, Modality: US, Rows: 48, Columns: 64"),
        "the value of BurnedInAnnotation is text: write it in quotes",
    ),
    "empty text": (region("Manufacturer: ' ', Modality: US, Rows: 48, Columns: 64"), "is text"),
    "number as text": (
        region("Manufacturer: A, Modality: US, Rows: '48', Columns: 64"),
        "the value of Rows is a whole number",
    ),
    "number as truth": (
        region("Manufacturer: A, Modality: US, Rows: true, Columns: 64"),
        "the value of Rows is a whole number",
    ),
    "no rows": (region("Manufacturer: A, Modality: US, Columns: 64"), "Rows and Columns are"),
    "no columns": (region("Manufacturer: A, Modality: US, Rows: 48"), "Rows and Columns are"),
    "no scanner": (region("Modality: US, Rows: 48, Columns: 64"), "at least two attributes more"),
    "no rectangle": (region(rectangles="[]"), "a region has at least one rectangle"),
    "too wide": (region(rectangles="[[0, 0, 5, 5], [1, 0, 64, 4]]"), "rectangle 2 is empty or"),
    "too high": (region(rectangles="[[0, 45, 64, 4]]"), "outside the 48 rows and 64 columns"),
    "left": (region(rectangles="[[-1, 0, 64, 4]]"), "rectangle 1 is empty or reaches outside"),
    "above": (region(rectangles="[[0, -1, 64, 4]]"), "rectangle 1 is empty or reaches outside"),
    "no width": (region(rectangles="[[0, 0, 0, 4]]"), "rectangle 1 is empty or reaches outside"),
    "no height": (region(rectangles="[[0, 0, 4, 0]]"), "rectangle 1 is empty or reaches outside"),
    "three numbers": (region(rectangles="[[0, 0, 4]]"), "rectangles.0"),
    "half a pixel": (region(rectangles="[[0, 0, 4.0, 4]]"), "rectangles.0.2"),
    "misspelt key": (region(more=", whi: x"), "did you mean why?"),
    "option alone": (
        "options: [clean-pixel-data]\n",
        "clean-pixel-data: nothing says which pixels to clean; add pixel_regions",
    ),
    "regions alone": (
        region().split("\n", 1)[1],
        "pixel_regions: they count under the option clean-pixel-data only; add it",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    text, complaint = MISTAKES[name]

    with pytest.raises(ProfileInvalid) as raised:
        load_profile(file(tmp_path, text))

    assert complaint in str(raised.value)
    assert str(raised.value).startswith("mine.yaml")
    assert "\n" not in str(raised.value)


def test_a_region_as_wide_as_the_frame_is_accepted(tmp_path: Path) -> None:
    profile = load_profile(file(tmp_path, region(rectangles="[[0, 44, 64, 4]]")))

    assert profile.pixel_regions[0].rectangles[0].row == 44


@pytest.mark.parametrize("without", ["options", "pixel_regions"])
def test_a_profile_made_otherwise_is_checked_too(tmp_path: Path, without: str) -> None:
    made = load_profile(file(tmp_path, REGION))
    half = (
        replace(made, options=frozenset())
        if without == "options"
        else replace(made, pixel_regions=())
    )

    with pytest.raises(ProfileInvalid, match=r"profile mine: .*clean-pixel-data"):
        plan(half, "1.2.840.10008.5.1.4.1.1.6.1")


def test_editors_are_told_what_a_region_needs() -> None:
    definition = json_schema()["$defs"]["PixelRegionFile"]

    assert set(definition["required"]) == {"when", "rectangles", "why"}
    assert definition["properties"]["when"]["required"] == ["Columns", "Rows"]
    assert definition["properties"]["when"]["minProperties"] == 4


def test_lint_has_nothing_to_say_of_a_good_region_and_names_the_line_of_a_bad_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("profile", "lint", str(file(tmp_path, REGION)), "--json") == 0
    good = json.loads(capfd.readouterr().out)
    assert run("profile", "lint", str(file(tmp_path, REGION.replace("640, 40]", "641, 40]")))) == 78
    bad = capfd.readouterr().out

    assert (good["errors"], good["warnings"]) == ([], [])
    assert "error: mine.yaml, line 7: pixel_regions.0: rectangle 1 is empty or reaches" in bad
