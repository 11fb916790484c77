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
    from deid_node.node.records.series_records import Records


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

    def records(
        self, *, audit: Path | None, crosswalk: Path | None, recipient: Path | None
    ) -> Records:
        """Say what is put on record, and where: by options, else by the settings.

        Raises
        ------
        SettingsInvalid
            If a crosswalk has no recipient.
        """
        from deid_node.node.records.series_records import Records

        return Records(
            profile=self.profile,
            pseudonyms=self.pseudonyms,
            audit=audit or (self.settings.audit.file if self.settings else None),
            crosswalk=crosswalk or (self.settings.crosswalk.file if self.settings else None),
            recipient=recipient or (self.settings.crosswalk.recipient if self.settings else None),
        )


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
    from deid_node.node.patients import named_as

    settings = None
    if config is not None or profile is None or key is None:
        settings = settings_from(config)
        profile = profile or settings.profile
        key = key or settings.pseudonym_key
    loaded = load_profile(profile)
    pseudonyms = named_as(loaded, Pseudonyms(read_key(key)))
    return Site(profile=loaded, pseudonyms=pseudonyms, settings=settings)
