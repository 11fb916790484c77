"""Pseudonyms: the same under one key, unlinkable under another."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from deid_node.errors import KeyUnusable
from deid_node.headers.profile import SHIFT_DAYS
from deid_node.headers.pseudonyms import Pseudonyms

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
VALUES = st.text(min_size=1, max_size=64)


@pytest.mark.parametrize("key", [b"", b"short", bytes(range(31))])
def test_a_short_key_is_refused_without_showing_it(key: bytes) -> None:
    with pytest.raises(KeyUnusable) as refusal:
        Pseudonyms(key)

    assert str(refusal.value) == f"the pseudonym key has {len(key)} bytes, 32 are needed"


def test_a_key_of_one_byte_over_and_over_is_refused() -> None:
    with pytest.raises(KeyUnusable, match="one byte repeated"):
        Pseudonyms(bytes(64))


@given(VALUES)
def test_a_uid_is_a_valid_uuid_derived_uid(original: str) -> None:
    uid = UID(Pseudonyms(KEY).uid(original))

    number = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert uid.is_valid
    assert len(uid) <= 64
    assert (number.version, number.variant) == (8, uuid.RFC_4122)


@given(VALUES)
def test_the_day_shift_is_within_its_range_and_never_zero(patient_id: str) -> None:
    shift = Pseudonyms(KEY).day_shift(patient_id)

    assert SHIFT_DAYS[0] <= shift <= SHIFT_DAYS[1] < 0


def test_patients_spread_over_the_whole_range_of_shifts() -> None:
    shifts = {Pseudonyms(KEY).day_shift(str(n)) for n in range(3000)}

    width = SHIFT_DAYS[1] - SHIFT_DAYS[0] + 1
    assert len(shifts) > width / 2
    assert min(shifts) < SHIFT_DAYS[0] + width / 50
    assert max(shifts) > SHIFT_DAYS[1] - width / 50


@given(VALUES)
def test_no_two_purposes_share_a_pseudonym(value: str) -> None:
    ours = Pseudonyms(KEY)

    names = [ours.series_key(value), ours.instance_key(value), ours.patient(value), ours.uid(value)]
    tails = {name.lower().removeprefix("p")[:10] for name in names}
    assert len(tails) == len(names)
    assert ours.seed("fill", value) != ours.seed("mask", value)


def test_purpose_and_value_cannot_be_traded() -> None:
    ours = Pseudonyms(KEY)

    assert ours.seed("a", ":b:c") != ours.seed("a:", "b:c")
    assert ours.seed("a", "b") != ours.seed("ab", "")


@given(VALUES.filter(lambda text: text.strip(" \0")))
def test_another_key_shares_nothing(value: str) -> None:
    ours, theirs = Pseudonyms(KEY), Pseudonyms(OTHER_KEY)

    assert ours.uid(value) != theirs.uid(value)
    assert ours.patient(value) != theirs.patient(value)
    assert ours.series_key(value) != theirs.series_key(value)
    assert ours.seed("fill", value) != theirs.seed("fill", value)
    assert ours.fingerprint() != theirs.fingerprint()


def test_padding_is_not_part_of_an_identifier() -> None:
    ours = Pseudonyms(KEY)

    assert ours.uid("1.2.3\0") == ours.uid("1.2.3")
    assert ours.patient("4711 ") == ours.patient("4711")


def test_another_process_gives_the_same_pseudonyms() -> None:
    script = (
        "from deid_node.headers.pseudonyms import Pseudonyms\n"
        "p = Pseudonyms(bytes(range(32)))\n"
        "print(p.uid('1.2'), p.patient('x'), p.day_shift('x'), p.series_key('1.2'), p.seed('f', 'x'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "7"},
    )

    ours = Pseudonyms(KEY)
    here = (ours.uid("1.2"), ours.patient("x"), ours.day_shift("x"))
    assert done.stdout.split() == [
        str(v) for v in (*here, ours.series_key("1.2"), ours.seed("f", "x"))
    ]


def test_the_key_is_not_in_the_repr() -> None:
    ours = Pseudonyms(KEY)

    assert repr(ours) == f"Pseudonyms({ours.fingerprint()})"


def test_pseudonyms_are_the_ones_of_the_first_release() -> None:
    """Joins a site's old and new output: a change here breaks every longitudinal study."""
    ours = Pseudonyms(KEY)

    assert ours.uid("1.2.3") == "2.25.243691053066436759175198165721195307603"
    assert ours.patient("4711") == "PLRSD7ARHES2J2BUC"
    assert ours.day_shift("4711") == -804
    assert ours.series_key("1.2.3") == "nodra6g63psli3qhzzb5ag5x"
