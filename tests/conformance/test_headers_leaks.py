"""The acceptance test: nothing planted survives, whatever SOP Class it was planted in.

The oracle is the bytes that were written. It knows no tag, no rule and no table.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from deid_node.config.profile_file import load_profile
from deid_node.headers.profile import Option, Profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import INSTANCES, planted_part10, surviving

OURS = Pseudonyms(bytes(range(32)))
CLEANING = frozenset({Option.CLEAN_GRAPHICS, Option.CLEAN_STRUCTURED_CONTENT})
RESEARCH = frozenset(
    {
        Option.CLEAN_DESCRIPTORS,
        Option.RETAIN_SAFE_PRIVATE,
        Option.RETAIN_MODIFIED_DATES,
    }
)


@cache
def profile(name: str) -> Profile:
    """Load a shipped profile; ``cleaning`` is `research-mr` that keeps reports and graphics too."""
    if name == "cleaning":
        research = load_profile("research-mr")
        return replace(research, options=research.options | CLEANING)
    if name == "every option that cleans":
        return replace(load_profile("basic"), options=CLEANING | RESEARCH)
    return load_profile(name)


@pytest.mark.parametrize("name", ["basic", "research-mr", "cleaning", "every option that cleans"])
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("kind", INSTANCES)
def test_no_planted_identifier_survives(kind: str, name: str, *, implicit: bool) -> None:
    source, tokens = planted_part10(kind, implicit=implicit)
    assert len(set(tokens)) == len(tokens) > 180
    assert surviving(tokens, source) == tokens

    output = HeaderScrubber(profile(name), OURS).run(source).encoded.part10

    assert surviving(tokens, output) == []
    assert surviving(["qzvex", "1.2.3.4.5.", "20240229", "1.2.826.0.1.777"], output) == []
