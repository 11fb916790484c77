"""What a profile file may say: types from which the JSON Schema for editors is made."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.valuerep import STANDARD_VR

from deid_node.dicom.rectangle import Rectangle
from deid_node.headers.iod import is_patients
from deid_node.headers.paths import mask_of, path_mask, path_of
from deid_node.headers.profile import AGE_CAP, SHIFT_DAYS, Action, Option

EDITION: Final = "2024e"

_NAME: Final = r"^[a-z0-9][a-z0-9._-]*$"
_LOW_BYTE: Final = re.compile(r"[0-9a-fA-F]{2}")
_ODD_GROUP: Final = r"^[0-9a-fA-F]{3}[13579bdfBDF]$"
_NO_GROUPS: Final = frozenset({0x0001, 0x0003, 0x0005, 0x0007, 0xFFFF})
"""Odd groups that private elements cannot have, PS3.5 7.8."""
_VRS: Final = frozenset(map(str, STANDARD_VR))
_LONGEST_SHIFT: Final = 36500
_CONDITION_TEXT: Final = frozenset({"AE", "CS", "LO", "SH", "UI"})
_CONDITION_NUMBER: Final = frozenset({"IS", "SL", "SS", "UL", "US"})
_FIRST_GROUP: Final = 0x0008
_PATIENT_GROUP: Final = 0x0010
_GEOMETRY: Final = frozenset({"Rows", "Columns"})
_FEWEST_CONDITIONS: Final = 2
NumberVR = Literal["US", "SS", "UL", "SL", "FL", "FD", "DS", "IS", "CS", "CSA"]
"""What a safe private element is read as; ``CSA`` is a header of Siemens, of which a new one is
written from numbers (`headers.csa`)."""


def _tag(written: str) -> str:
    mask_of(written)
    return written


def _path(written: str) -> str:
    path_mask(written)
    return written


def _vr(written: str) -> str:
    if written not in _VRS:
        raise ValueError(f"{written[:8]} is no value representation")
    return written


def _sop_class(keyword: str) -> str:
    uid = sop_class_uid(keyword)
    if uid is None:
        raise ValueError(f"{keyword[:64]} is no keyword of a SOP Class")
    if not is_patients(uid):
        raise ValueError(f"what instances of {keyword} hold cannot be told from their header")
    return keyword


def _condition(keyword: str, value: object) -> str | int:
    """Check one attribute by which instances are told, and strip its value."""
    tag = path_of(keyword)[0]
    vr = dictionary_VR(tag) if keyword_for_tag(tag) == keyword else ""
    if vr not in _CONDITION_TEXT | _CONDITION_NUMBER or dictionary_VM(tag) != "1":
        raise ValueError(f"{keyword[:64]} is no keyword of one string or whole number")
    if tag >> 16 < _FIRST_GROUP or tag >> 16 == _PATIENT_GROUP:
        raise ValueError(f"{keyword} does not tell what made the pixels")
    if vr in _CONDITION_NUMBER and type(value) is int:
        return value
    if vr in _CONDITION_TEXT and isinstance(value, str) and value.strip():
        return value.strip()
    kind = "text: write it in quotes" if vr in _CONDITION_TEXT else "a whole number"
    raise ValueError(f"the value of {keyword} is {kind}")


def _listed(found: object) -> object:
    return (found,) if isinstance(found, str) else found


def sop_class_uid(keyword: str) -> str | None:
    """UID of a SOP Class by the keyword of PS3.6, such as ``MRImageStorage``."""
    return next((uid for uid, entry in UID_dictionary.items() if entry[4] == keyword), None)


Why = Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=40)]
TagText = Annotated[str, AfterValidator(_tag)]
PathText = Annotated[str, AfterValidator(_path)]
VRText = Annotated[str, AfterValidator(_vr), WithJsonSchema({"enum": sorted(_VRS)})]
Paths = Annotated[
    tuple[PathText, ...],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
SOPClass = Annotated[str, AfterValidator(_sop_class)]
SOPClasses = Annotated[
    Annotated[Literal["known"], Tag("word")] | Annotated[tuple[SOPClass, ...], Tag("list")],
    Discriminator(lambda found: "word" if isinstance(found, str) else "list"),
]
Elements = dict[str, NumberVR]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,32}$")]
CodeString = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_ ]{0,14}[A-Z0-9]$")]


Conditions = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "required": sorted(_GEOMETRY),
            "minProperties": len(_GEOMETRY) + _FEWEST_CONDITIONS,
        }
    ),
]
PixelCount = Annotated[int, Field(strict=True)]
RectangleNumbers = tuple[PixelCount, PixelCount, PixelCount, PixelCount]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleFile(_Part):
    """One rule: which attributes, which action, and why."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [key]} for key in ("tags", "path", "vr")]}
    )

    tags: tuple[TagText, ...] = Field((), description="Keywords, (gggg,eeee), or masks with x.")
    path: Paths = Field(
        (),
        description="Keywords, tags or masks with / between levels of sequences; * for any "
        "attribute at a level; a leading **/ for any depth.",
    )
    vr: tuple[VRText, ...] = Field((), description="Value representations.")
    action: Action = Field(description="What is done to the element.")
    value: str | None = Field(None, description="New value; with action `set` only.")
    why: Why = Field(description="Reason, printed by `profile explain`.")

    @model_validator(mode="after")
    def _names_its_target(self) -> RuleFile:
        if sum(map(bool, (self.tags, self.path, self.vr))) != 1:
            raise ValueError("a rule names either `tags` or `vr` or `path`")
        if (self.action is Action.SET) != (self.value is not None):
            raise ValueError("`value` belongs to action `set`, and `set` needs it")
        steps = [step for path in self.path for step in path_mask(path).steps]
        private = any(
            int(mask[3], 16) & 1 for mask in (*map(mask_of, self.tags), *steps) if mask[3] != "x"
        )
        if private and self.action is not Action.REMOVE:
            raise ValueError("private elements may stay by `safe_private` only")
        return self


class SafePrivateFile(_Part):
    """Private elements of one creator that may stay, being numbers or known codes."""

    creator: Annotated[str, StringConstraints(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,62}[!-\[\]-~])?$")]
    group: Annotated[str, StringConstraints(pattern=_ODD_GROUP)] | None = Field(
        None, description="Odd group number; with `elements`."
    )
    elements: Elements = Field(
        {}, description="VR by low byte of the element; CSA for a CSA header."
    )
    groups: dict[Annotated[str, StringConstraints(pattern=_ODD_GROUP)], Elements] = Field(
        {}, description="Elements by odd group number, for a creator with several groups."
    )
    why: Why

    @field_validator("elements")
    @classmethod
    def _low_bytes(cls, elements: Elements) -> Elements:
        return _once(elements)

    @field_validator("groups")
    @classmethod
    def _low_bytes_of_groups(cls, groups: dict[str, Elements]) -> dict[str, Elements]:
        return {group: _once(elements) for group, elements in groups.items()}

    @model_validator(mode="after")
    def _names_its_elements(self) -> SafePrivateFile:
        single = self.group is not None and bool(self.elements)
        if single == bool(self.groups) or (self.group is None) == bool(self.elements):
            raise ValueError("a creator has either `group` and `elements`, or `groups`")
        numbers = [int(group, 16) for group in self.by_group]
        if len(set(numbers)) < len(numbers) or not all(self.by_group.values()):
            raise ValueError("a group is there twice, or without elements")
        if _NO_GROUPS & set(numbers):
            raise ValueError("groups 0001 to 0007 and ffff have no private elements")
        return self

    @property
    def by_group(self) -> dict[str, Elements]:
        """Elements of each group, however they were written."""
        return self.groups if self.group is None else {self.group: self.elements}


def _once(elements: Elements) -> Elements:
    if not all(_LOW_BYTE.fullmatch(element) for element in elements):
        raise ValueError("an element is named by its low byte: two hexadecimal digits")
    if len({element.lower() for element in elements}) < len(elements):
        raise ValueError("an element is there twice")
    return elements


class PixelRegionFile(_Part):
    """Where the instances of one kind have text in their pixels."""

    when: Conditions = Field(
        description="Attributes of the top level by keyword; an instance that has all these "
        "values is of this kind. Rows, Columns and at least two others."
    )
    rectangles: tuple[RectangleNumbers, ...] = Field(
        json_schema_extra={"minItems": 1},
        description="[column, row, width, height] in pixels from the upper left, counted from 0; "
        "black in every frame.",
    )
    why: Why

    @field_validator("when")
    @classmethod
    def _tells_one_kind(cls, when: dict[str, Any]) -> dict[str, str | int]:
        conditions = {keyword: _condition(keyword, value) for keyword, value in when.items()}
        if not conditions.keys() >= _GEOMETRY:
            raise ValueError("Rows and Columns are missing; a region is for one size of frame")
        if len(conditions) < len(_GEOMETRY) + _FEWEST_CONDITIONS:
            raise ValueError("Rows and Columns tell no scanner; name at least two attributes more")
        return conditions

    @model_validator(mode="after")
    def _lies_inside(self) -> PixelRegionFile:
        if not self.rectangles:
            raise ValueError("a region has at least one rectangle")
        rows, columns = self.when["Rows"], self.when["Columns"]
        for number, (column, row, width, height) in enumerate(self.rectangles, start=1):
            if not Rectangle(column=column, row=row, width=width, height=height).fits(
                rows, columns
            ):
                raise ValueError(
                    f"rectangle {number} is empty or reaches outside the {rows} rows and "
                    f"{columns} columns; it is [column, row, width, height]"
                )
        return self


class UnlistedFile(_Part):
    """Attributes that neither a rule nor Table E.1-1 names."""

    standard: Literal["keep-clean", "remove"] = Field(
        "keep-clean",
        description="`remove` makes the rules the list of what may stay: only what the IOD "
        "demands stays besides.",
    )
    private: Literal["remove"] = Field("remove", description="Said for the reader.")
    unknown: Literal["remove"] = Field("remove", description="Said for the reader.")


class AcceptFile(_Part):
    """Instances that the profile is made for; all others are held."""

    sop_classes: SOPClasses = Field(
        "known",
        description="Keywords of PS3.6 such as MRImageStorage; `known` for all whose header "
        "can be de-identified.",
    )

    @model_validator(mode="after")
    def _accepts_something(self) -> AcceptFile:
        if not self.sop_classes:
            raise ValueError("a profile that accepts no SOP Class holds everything")
        return self


class PatientsFile(_Part):
    """How patients are named in the output."""

    method: Literal["hmac", "table", "sequence"] = Field(
        "hmac",
        description="`hmac`: by the secret key. `table`: by a CSV file with the header "
        "PatientID,pseudonym. `sequence`: numbered in order of arrival.",
    )
    prefix: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,23}$")] | None
    ) = Field(None, description="First characters of a name; P, or site- for a sequence.")
    file: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="Of a table or sequence; the path starts from the profile's folder."
    )
    on_missing: Literal["hold"] = Field("hold", description="Said for the reader.")

    @model_validator(mode="after")
    def _has_its_file(self) -> PatientsFile:
        if (self.method == "hmac") != (self.file is None):
            raise ValueError("`file` belongs to methods `table` and `sequence`, which need it")
        if self.method == "table" and self.prefix is not None:
            raise ValueError("a table gives whole pseudonyms; `prefix` belongs to other methods")
        return self


class DatesFile(_Part):
    """How far dates are moved where an option lets them be moved."""

    days: tuple[int, int] = Field(
        SHIFT_DAYS, description="Least and greatest number of days; 0 is not between them."
    )

    @model_validator(mode="after")
    def _never_nought(self) -> DatesFile:
        least, greatest = self.days
        if least > greatest or least <= 0 <= greatest:
            raise ValueError("days are [least, greatest], both before 0 or both after it")
        if max(map(abs, self.days)) > _LONGEST_SHIFT:
            raise ValueError(f"no date is moved by more than {_LONGEST_SHIFT} days")
        return self


class TextFile(_Part):
    """Words of the site that may stay besides the vocabulary that is shipped."""

    words: tuple[Word, ...] = Field((), description="Of descriptions; lower case letters only.")
    codes: tuple[CodeString, ...] = Field((), description="Whole values of code strings (CS).")


class ProfileFile(_Part):
    """A profile file."""

    profile: Name
    version: int = Field(ge=1)
    why: Why = Field(description="What the profile is for.")
    extends: Annotated[str, StringConstraints(pattern=_NAME)] | None = Field(
        None, description="Profile whose rules, options and other words hold unless said anew."
    )
    table: str = Field(EDITION, description="Edition of PS3.15 Table E.1-1.")
    options: tuple[Option, ...] = Field((), description="Options of PS3.15 E.3.")
    accept: AcceptFile = AcceptFile()
    patients: PatientsFile = PatientsFile()
    dates: DatesFile = DatesFile()
    text: TextFile = TextFile()
    unlisted: UnlistedFile = UnlistedFile()
    age_cap: int = Field(AGE_CAP, ge=1, le=998, description="Greatest age in years that passes.")
    rules: tuple[RuleFile, ...] = ()
    safe_private: tuple[SafePrivateFile, ...] = ()
    pixel_regions: tuple[PixelRegionFile, ...] = Field(
        (), description="Pixels that are cleaned; with option `clean-pixel-data` only."
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema of a profile file, for editors."""
    schema = ProfileFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Profile of deid-node",
    }
