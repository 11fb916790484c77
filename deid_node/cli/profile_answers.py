"""What `deid-node profile` makes of its arguments, and how it words a decision."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from deid_node.errors import DeidNodeError

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.headers.plan import Decision
    from deid_node.headers.profile import Profile, SafePrivate
    from deid_node.headers.pseudonyms import Pseudonyms

DEIDENTIFIED = "de-identified"


def path_given(written: str) -> tuple[int, ...]:
    """Read an attribute or a path from the command line.

    Raises
    ------
    typer.BadParameter
        If it is none; similar keywords are offered.
    """
    from deid_node.headers.paths import path_of

    try:
        return path_of(written)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def sop_class_given(keyword: str) -> str:
    """UID of a SOP Class of the module tables.

    Raises
    ------
    typer.BadParameter
        If the keyword is none of them; similar ones are offered.
    """
    from pydicom._uid_dict import UID_dictionary

    from deid_node.config.profile_schema import sop_class_uid
    from deid_node.headers.iod import section_of

    uid = sop_class_uid(keyword)
    if uid is not None and section_of(uid).types:
        return uid
    known = [entry[4] for uid, entry in UID_dictionary.items() if section_of(uid).types]
    close = difflib.get_close_matches(keyword, known, n=2)
    offer = f"; did you mean {' or '.join(close)}?" if close else ""
    raise typer.BadParameter(f"{keyword} is no SOP Class whose attributes are known{offer}")


def authority_of(decision: Decision, path: tuple[int, ...], profile: Profile) -> str:
    """Say on whose authority an attribute has its action."""
    from deid_node.headers.plan import name_of

    if decision.within and decision.within != path:
        return f"its sequence {'/'.join(map(name_of, decision.within))}, which goes with all in it"
    words = {
        "structure": "structure: no rule keeps what can hide anything or is written anew",
        "unlisted": f"unlisted.standard {profile.unlisted.standard}: neither rules nor table name it",
        "unknown": "the dictionary does not know it",
        "closed": f"a sequence opened by {decision.origin} for another attribute in it",
        "private": "private: stays by safe_private alone, if its value is a number or known code; of a CSA header the numbers",
        "code": "coded entry: it stays if the standard knows the code, with its own meaning",
        "rule": f"rule of {decision.origin}" if decision.origin else "rule",
    }
    if decision.authority != "table":
        return words[decision.authority]
    code = _code(path[-1], decision)
    return f"PS3.15 Table E.1-1 {profile.edition}, {code}"


def _code(tag: int, decision: Decision) -> str:
    from deid_node.headers.confidentiality import table

    row = table().row(tag)
    if row is None:
        return "no row"
    if decision.option is None:
        return f"Basic Profile: {row.basic}"
    return f"option {decision.option.value}: {row.options[decision.option]}"


def keepers_of(tag: int, profile: Profile) -> list[str]:
    """Creators under whose name a private element would stay."""
    from deid_node.headers.confidentiality import Option
    from deid_node.headers.private import safe_table

    if Option.RETAIN_SAFE_PRIVATE not in profile.options:
        return []
    safe: tuple[SafePrivate, ...] = profile.safe_private
    return sorted(
        creator
        for (creator, group), elements in safe_table(safe).items()
        if group == tag >> 16 and tag & 0xFF in elements and tag & 0xFFFF >= 0x1000  # noqa: PLR2004 - PS3.5 7.8.1
    )


def any_key() -> Pseudonyms:
    """Pseudonyms under a key of the moment: a trial links to nothing."""
    import secrets

    from deid_node.headers.pseudonyms import Pseudonyms

    return Pseudonyms(secrets.token_bytes(32))


def tried(folder: Path, profile: Profile, pseudonyms: Pseudonyms) -> dict[str, int]:
    """De-identify each file below a folder, write nothing, and count what became of them."""
    from deid_node.headers.profile import Patients
    from deid_node.node.patients import named_as
    from deid_node.pipeline.header_only import HeaderScrubber

    if profile.patients.method == "sequence":  # a trial gives nobody a number
        profile = replace(profile, patients=Patients())
    scrubber = HeaderScrubber(profile, named_as(profile, pseudonyms))
    counts: Counter[str] = Counter()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            scrubber.run(path.read_bytes())
        except DeidNodeError as error:
            counts[type(error).__name__] += 1
        except OSError:
            counts["unreadable"] += 1
        else:
            counts[DEIDENTIFIED] += 1
    return dict(sorted(counts.items()))
