"""Whatever stands in a profile file, it is loaded or refused in one line."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deid_node.config.profile_file import load_profile
from deid_node.config.profile_lint import lint
from deid_node.errors import ProfileInvalid

if TYPE_CHECKING:
    from pathlib import Path

WHOLE: dict[str, Any] = {
    "profile": "mine",
    "version": 1,
    "extends": "basic",
    "why": "A profile of a test.",
    "table": "2024e",
    "options": ["clean-descriptors"],
    "accept": {"sop_classes": ["MRImageStorage"]},
    "patients": {"method": "table", "file": "subjects.csv"},
    "dates": {"days": [-20, -10]},
    "text": {"words": ["wombat"], "codes": ["WOMBAT"]},
    "unlisted": {"standard": "remove"},
    "age_cap": 80,
    "rules": [
        {"tags": ["StudyID"], "action": "set", "value": "x", "why": "A reason to test."},
        {"path": "**/CodeMeaning", "action": "keep", "why": "A reason to test."},
        {"vr": ["LO"], "action": "clean", "why": "A reason to test."},
    ],
    "safe_private": [
        {"creator": "A", "groups": {"0011": {"0a": "DS"}}, "why": "A reason to test."},
        {"creator": "B", "group": "0011", "elements": {"0a": "DS"}, "why": "A reason to test."},
    ],
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.dates(),
    st.text(max_size=12),
    st.sampled_from(["", "*", "**/", "/", "known", "remove", "(0010,0010)", "0010xxxx", "\x00"]),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(content: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys: list[Any] = []
    if isinstance(content, dict):
        keys = list(content)
    elif isinstance(content, list):
        keys = list(range(len(content)))
    inside = [place for k in keys for place in places(content[k], (*above, k))]  # type: ignore[index]
    return [above, *inside]


@st.composite
def spoiled(draw: st.DrawFn) -> object:
    """Give a whole profile of which one value is something else, or gone."""
    content = copy.deepcopy(WHOLE)
    place = draw(st.sampled_from(places(content)))
    if not place:
        return draw(JUNK)
    holder: Any = content
    for key in place[:-1]:
        holder = holder[key]
    if draw(st.booleans()):
        holder[place[-1]] = draw(JUNK)
    elif isinstance(holder, dict):
        del holder[place[-1]]
        holder[draw(st.text(max_size=10))] = draw(JUNK)
    return content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled())
def test_a_spoiled_value_is_taken_or_refused_in_one_line(tmp_path: Path, content: object) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    found = lint(path)
    told = [each.in_file("mine.yaml") for each in (*found.errors, *found.warnings)]
    assert [line for line in told if len(line.splitlines()) != 1] == []
    if any("subjects.csv" not in each.message for each in found.errors):
        with pytest.raises(ProfileInvalid, match=r"^(mine\.yaml|no profile)"):
            load_profile(path)
    else:
        load_profile(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.sampled_from("ab:-*&!|>[]{}, \n\t'\"#?%@0"), max_size=60))
def test_any_text_is_taken_or_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("profile: mine\n" + text, encoding="utf-8")

    with pytest.raises(ProfileInvalid) as refusal:
        load_profile(path)

    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "rules: &a [*a]\n",
        "rules: &a {why: *a}\n",
        "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nrules: [*c, *c, *c]\n",
        "? [a, b]\n: c\n",
        "? {a: b}\n: c\n",
        "--- a\n--- b\n",
        "!!python/object:os.system x\n",
        "profile: !!binary aGVsbG8=\n",
    ],
)
def test_what_yaml_can_do_besides_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ProfileInvalid) as refusal:
        load_profile(path)

    assert len(str(refusal.value).splitlines()) == 1
