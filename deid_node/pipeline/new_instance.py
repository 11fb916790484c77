"""What has new pixels is a new instance, whatever a profile keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from deid_node.headers.paths import PathMask
from deid_node.headers.profile import Action, Rule

if TYPE_CHECKING:
    from deid_node.headers.profile import Profile

NEW_INSTANCE = Rule(
    tags=frozenset({0x00080018, 0x0020000E, 0x00081155}),
    paths=(PathMask(steps=("00080018",)), PathMask(steps=("0020000E",))),
    action=Action.UID,
    why="New pixels are a new instance, in a series of its own (PS3.3 C.7.6.1.1.2, PS3.15 E.3.9).",
)
"""Replaces SOP Instance, Series Instance and Referenced SOP Instance UID under Retain UIDs too."""


@lru_cache(maxsize=8)
def for_new_pixels(profile: Profile) -> Profile:
    """Give new UIDs to what has new pixels, and to references to it, whatever a profile keeps."""
    return replace(profile, rules=(*profile.rules, NEW_INSTANCE))
