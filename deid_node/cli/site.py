"""Profile and key of a header verb: from its options, else from the settings file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node.cli.options import settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.config.schema import Settings
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What decides about a header.

    Parameters
    ----------
    profile, pseudonyms
        What is done, and the key.
    settings
        None where the options said everything.
    """

    profile: Profile
    pseudonyms: Pseudonyms
    settings: Settings | None


def site_from(config: Path | None, *, profile: str | None, key: Path | None) -> Site:
    """Gather profile and key; a settings file is read only where it is needed or named.

    Raises
    ------
    SettingsInvalid
        If one of them is missing or cannot be used.
    """
    from deid_node.config.load import read_key
    from deid_node.config.profile_file import load_profile
    from deid_node.headers.pseudonyms import Pseudonyms

    settings = None
    if config is not None or profile is None or key is None:
        settings = settings_from(config)
        profile = profile or settings.profile
        key = key or settings.pseudonym_key
    return Site(
        profile=load_profile(profile), pseudonyms=Pseudonyms(read_key(key)), settings=settings
    )
