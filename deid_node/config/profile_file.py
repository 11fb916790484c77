"""Find a profile, read it and put it on top of the one it extends."""

from __future__ import annotations

import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deid_node.config.profile_mistakes import check_profile
from deid_node.config.profile_schema import sop_class_uid
from deid_node.dicom.rectangle import Rectangle
from deid_node.errors import ProfileInvalid
from deid_node.headers.confidentiality import table
from deid_node.headers.paths import mask_of, path_mask, path_of
from deid_node.headers.profile import (
    Option,
    Patients,
    PixelRegion,
    Profile,
    Rule,
    SafePrivate,
    Unlisted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.profile_mistakes import Checked
    from deid_node.config.profile_schema import (
        PatientsFile,
        PixelRegionFile,
        ProfileFile,
        RuleFile,
        SafePrivateFile,
    )

INSTALLED: Final = Path("share") / "deid-node" / "profiles"
"""Where a wheel puts the profiles, below the data folder of the installation scheme."""

_PREFIX: Final = {"hmac": "P", "table": "", "sequence": "site-"}
_BOTH: Final = frozenset({Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES})


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


def find_profile(name_or_path: str | Path, *, folders: Sequence[Path] = ()) -> Path:
    """Locate the file of a profile, as `load_profile` does.

    Raises
    ------
    ProfileInvalid
        If there is none.
    """
    return _find(name_or_path, (*folders, shipped_profiles()))


def _load(name_or_path: str | Path, folders: Sequence[Path], children: tuple[Path, ...]) -> Profile:
    path = _find(name_or_path, folders)
    if path in children:
        raise ProfileInvalid(f"{path.name}: the profile extends itself")
    checked = check_profile(path)
    found = checked.content
    if found is None:
        raise ProfileInvalid(checked.mistakes[0].in_file(path.name))
    if found.table != table().edition:
        raise ProfileInvalid(
            f"{path.name}: edition {found.table!r} of Table E.1-1 is not shipped, "
            f"{table().edition} is"
        )
    parent = None
    if found.extends is not None:
        parent = _load(found.extends, (path.parent, *folders), (*children, path))
    merged = _merged(found, checked, path, parent)
    if merged.options >= _BOTH:
        raise ProfileInvalid(f"{path.name}: dates are either retained in full or modified")
    if merged.pixel_contradiction:
        raise ProfileInvalid(f"{path.name}: {merged.pixel_contradiction}")
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


def _merged(found: ProfileFile, checked: Checked, path: Path, parent: Profile | None) -> Profile:
    """Put a file on top of its parent: lists grow, what else it says replaces."""
    base = parent or Profile(name="", version=1, edition=found.table)
    own: dict[str, dict[str, Any]] = {
        "table": {"edition": found.table},
        "unlisted": {"unlisted": Unlisted(standard=found.unlisted.standard)},
        "age_cap": {"age_cap": found.age_cap},
        "accept": {"sop_classes": _sop_classes(found)},
        "patients": {"patients": _patients(found.patients, path.parent)},
        "dates": {"days": found.dates.days},
    }
    said = {
        field: value
        for key, facts in own.items()
        if key in found.model_fields_set
        for field, value in facts.items()
    }
    rules = tuple(
        _rule(rule, f"{path.name}, line {checked.line(('rules', place))}")
        for place, rule in enumerate(found.rules)
    )
    safe = tuple(each for entry in found.safe_private for each in _safe(entry))
    return replace(
        base,
        name=found.profile,
        version=found.version,
        why=found.why,
        options=base.options | frozenset(found.options),
        rules=base.rules + rules,
        safe_private=base.safe_private + safe,
        pixel_regions=base.pixel_regions + tuple(map(_pixel_region, found.pixel_regions)),
        words=base.words | frozenset(found.text.words),
        codes=base.codes | frozenset(found.text.codes),
        **said,
    )


def _sop_classes(found: ProfileFile) -> frozenset[str] | None:
    if found.accept.sop_classes == "known":
        return None
    return frozenset(filter(None, map(sop_class_uid, found.accept.sop_classes)))


def _patients(found: PatientsFile, folder: Path) -> Patients:
    return Patients(
        method=found.method,
        prefix=_PREFIX[found.method] if found.prefix is None else found.prefix,
        file=found.file or "",
        folder=str(folder) if found.file else "",
    )


def _rule(rule: RuleFile, origin: str) -> Rule:
    masks = [mask_of(written) for written in rule.tags]
    return Rule(
        tags=frozenset(int(mask, 16) for mask in masks if "x" not in mask),
        masks=tuple(mask for mask in masks if "x" in mask),
        paths=tuple(map(path_mask, rule.path)),
        vrs=frozenset(rule.vr),
        action=rule.action,
        value=rule.value or "",
        why=rule.why,
        origin=origin,
    )


def _pixel_region(entry: PixelRegionFile) -> PixelRegion:
    conditions = {path_of(keyword)[0]: value for keyword, value in entry.when.items()}
    return PixelRegion(
        when=tuple(sorted(conditions.items())),
        rectangles=tuple(
            Rectangle(column=column, row=row, width=width, height=height)
            for column, row, width, height in entry.rectangles
        ),
        why=entry.why,
    )


def _safe(entry: SafePrivateFile) -> list[SafePrivate]:
    return [
        SafePrivate(
            creator=entry.creator,
            group=int(group, 16),
            elements=tuple(sorted((int(element, 16), vr) for element, vr in elements.items())),
        )
        for group, elements in entry.by_group.items()
    ]
