"""Read a profile from YAML."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydicom.datadict import tag_for_keyword

from deid_node.errors import ProfileInvalid
from deid_node.headers.plan import NO_PIXEL_CLEANER
from deid_node.headers.profile import Action, Option, Profile, Rule, SafePrivate, Unlisted

if TYPE_CHECKING:
    from collections.abc import Sequence

INSTALLED: Final = Path("share") / "deid-node" / "profiles"
"""Where a wheel puts the profiles, below the data folder of the installation scheme."""

_NAME: Final = r"^[a-z0-9][a-z0-9._-]*$"
_TAG: Final = re.compile(r"\(?([0-9a-fA-Fx]{4}),?([0-9a-fA-Fx]{4})\)?")
_VRS: Final = frozenset(
    [
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "DT",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "OB",
        "OD",
        "OF",
        "OL",
        "OV",
        "OW",
        "PN",
        "SH",
        "SL",
        "SQ",
        "SS",
        "ST",
        "SV",
        "TM",
        "UC",
        "UI",
        "UL",
        "UN",
        "UR",
        "US",
        "UT",
        "UV",
    ]
)
NumberVR = Literal["US", "SS", "UL", "SL", "FL", "FD", "DS", "IS", "CS"]

Why = Annotated[str, StringConstraints(min_length=10, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleFile(_Part):
    """One rule: which attributes, which action, and why."""

    tags: tuple[str, ...] = Field((), description="Keywords, (gggg,eeee), or masks with x.")
    vr: tuple[str, ...] = Field((), description="Value representations.")
    action: Action = Field(description="What is done to the element.")
    value: str | None = Field(None, description="New value; with action `set` only.")
    why: Why = Field(description="Reason, printed by `profile explain`.")

    @model_validator(mode="after")
    def _names_its_target(self) -> RuleFile:
        if bool(self.tags) == bool(self.vr):
            raise ValueError("a rule names either `tags` or `vr`")
        if (self.action is Action.SET) != (self.value is not None):
            raise ValueError("`value` belongs to action `set`, and `set` needs it")
        unknown = sorted(set(self.vr) - _VRS)
        if unknown:
            raise ValueError(f"{unknown[0]} is no value representation")
        return self


class SafePrivateFile(_Part):
    """Private elements of one creator that may stay, being numbers or known codes."""

    creator: str = Field(min_length=1, max_length=64)
    group: str = Field(pattern=r"^[0-9a-fA-F]{3}[13579bdfBDF]$")
    elements: dict[str, NumberVR] = Field(description="VR by low byte of the element.")
    why: Why


class UnlistedFile(_Part):
    """Attributes that neither a rule nor Table E.1-1 names."""

    standard: Literal["keep-clean", "remove"] = "keep-clean"
    private: Literal["remove"] = Field("remove", description="Said for the reader.")
    unknown: Literal["remove"] = Field("remove", description="Said for the reader.")


class ProfileFile(_Part):
    """A profile file."""

    profile: Annotated[str, StringConstraints(pattern=_NAME, max_length=40)]
    version: int = Field(ge=1)
    why: Why = Field(description="What the profile is for.")
    extends: Annotated[str, StringConstraints(pattern=_NAME)] | None = None
    table: str = Field("2024e", description="Edition of PS3.15 Table E.1-1.")
    options: tuple[Option, ...] = Field((), description="Options of PS3.15 E.3.")
    unlisted: UnlistedFile = UnlistedFile()
    age_cap: int = Field(89, ge=1, le=998, description="Greatest age in years that passes.")
    rules: tuple[RuleFile, ...] = ()
    safe_private: tuple[SafePrivateFile, ...] = ()


def shipped_profiles() -> Path:
    """Locate the folder of profiles that comes with the project.

    It lies beside the package in a source tree, and in the installation's data folder
    after a wheel was installed.

    Raises
    ------
    ProfileInvalid
        If it is in none of these places.
    """
    package = Path(__file__).resolve().parents[1]
    places = [
        package.parent / "profiles",
        Path(sysconfig.get_path("data")) / INSTALLED,
        package.parent / INSTALLED,  # pip install --target
        Path(sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))) / INSTALLED,
    ]
    for folder in places:
        if (folder / "basic.yaml").is_file():
            return folder
    raise ProfileInvalid("the profiles that come with the project are not installed")


def load_profile(name_or_path: str | Path, *, folders: Sequence[Path] = ()) -> Profile:
    """Load a profile with all its parents.

    Parameters
    ----------
    name_or_path
        Name of a profile, or path of a file that ends in ``.yaml`` or ``.yml``.
    folders
        Where names are looked up, in this order; then in the shipped profiles.

    Raises
    ------
    ProfileInvalid
        With one line that names the file and what is wrong.
    """
    return _load(name_or_path, (*folders, shipped_profiles()), ())


def _load(name_or_path: str | Path, folders: Sequence[Path], children: tuple[Path, ...]) -> Profile:
    path = _find(name_or_path, folders)
    if path in children:
        raise ProfileInvalid(f"{path.name}: the profile extends itself")
    found = _read(path)
    own = _profile(found, path)
    if found.extends is None:
        merged = own
    else:
        merged = _load(found.extends, (path.parent, *folders), (*children, path)).extended(own)
    both = {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES}
    if both <= merged.options:
        raise ProfileInvalid(f"{path.name}: dates are either retained in full or modified")
    if Option.CLEAN_PIXEL_DATA in merged.options:
        raise ProfileInvalid(f"{path.name}: {NO_PIXEL_CLEANER}")
    return merged


def _find(name_or_path: str | Path, folders: Sequence[Path]) -> Path:
    given = Path(name_or_path)
    if given.suffix in {".yaml", ".yml"}:
        if given.is_file():
            return given.resolve()
        raise ProfileInvalid(f"no profile file {given}")
    for folder in folders:
        path = folder / f"{given.name}.yaml"
        if given.name == str(given) and path.is_file():
            return path.resolve()
    raise ProfileInvalid(f"no profile named {given} in {', '.join(map(str, folders))}")


def _read(path: Path) -> ProfileFile:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ProfileInvalid(f"{path.name}: cannot be read as UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ProfileInvalid(f"{path.name}{where}: not valid YAML") from None
    try:
        return ProfileFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ProfileInvalid(f"{path.name}: {where}: {first['msg']}") from None


def _profile(found: ProfileFile, path: Path) -> Profile:
    return Profile(
        name=found.profile,
        version=found.version,
        edition=found.table,
        options=frozenset(found.options),
        unlisted=Unlisted(standard=found.unlisted.standard),
        rules=tuple(_rule(rule, path) for rule in found.rules),
        safe_private=tuple(_safe(safe) for safe in found.safe_private),
        age_cap=found.age_cap,
    )


def _rule(rule: RuleFile, path: Path) -> Rule:
    tags, masks = set(), []
    for written in rule.tags:
        numbered = _TAG.fullmatch(written)
        by_keyword = tag_for_keyword(written)
        if by_keyword is not None:
            tags.add(by_keyword)
        elif numbered is None:
            raise ProfileInvalid(f"{path.name}: {written} is no keyword and no tag")
        elif "x" in written:
            masks.append("".join(numbered.groups()).upper().replace("X", "x"))
        else:
            tags.add(int("".join(numbered.groups()), 16))
    return Rule(
        tags=frozenset(tags),
        masks=tuple(masks),
        vrs=frozenset(rule.vr),
        action=rule.action,
        value=rule.value or "",
        why=rule.why,
    )


def _safe(safe: SafePrivateFile) -> SafePrivate:
    elements = sorted((int(element, 16), vr) for element, vr in safe.elements.items())
    return SafePrivate(creator=safe.creator, group=int(safe.group, 16), elements=tuple(elements))
