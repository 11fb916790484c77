"""Verification lets a CSA header of numbers alone pass, and remarks a word in any corner of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deid_node.config.profile_file import load_profile
from deid_node.headers.csa import rebuilt
from deid_node.headers.verification.checks import Remark
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.csa_headers import Drawn
from tests.planted import mr_instance, written
from tests.verified import OURS, add, both, changed, code, grave, remarks

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset


def of_numbers() -> bytes:
    header = rebuilt(Drawn().written())
    assert header is not None
    return header


def places_of_a_word() -> dict[str, bytes]:
    good = of_numbers()
    tag = good.index(b"TimeAfterStart")
    item, value = tag + 84, tag + 100
    return {
        "value": good[:value] + b"QUENTIN.5151" + good[value + 12 :],
        "behind a value": good[: value + 3] + b"\0QUENTIN" + good[value + 11 :],
        "name": good[:tag] + b"QUENTINs Start" + good[tag + 14 :],
        "padding of a name": good[: tag + 20] + b"QUENTIN" + good[tag + 27 :],
        "multiplicity": good[: tag + 64] + b"QUEN" + good[tag + 68 :],
        "padding of a VR": good[: tag + 71] + b"Q" + good[tag + 72 :],
        "type": good[: tag + 72] + b"QUEN" + good[tag + 76 :],
        "mark of a tag": good[: tag + 80] + b"QUEN" + good[tag + 84 :],
        "mark of an item": good[: item + 8] + b"QUEN" + good[item + 12 :],
        "length of an item": good[:item] + b"QUEN" + good[item + 4 :],
        "last number of an item": good[: item + 12] + b"QUEN" + good[item + 16 :],
        "unused bytes of an empty item": good[:-16] + b"QUEN" + good[-12:],
        "unused bytes at the start": b"SV10QUEN" + good[8:],
        "behind the last tag": good + b"QUENTIN ",
        "one tag less": good[:8] + bytes([good[8] - 1]) + good[9:],
        "cut in a tag": good[: tag + 70],
        "cut in a value": good[: value + 4],
        "as a scanner writes it": Drawn().written(),
    }


def csa_header(value: bytes) -> Callable[[Dataset], None]:
    return both(
        code("113111"),
        both(add(0x00290010, "LO", "SIEMENS CSA HEADER"), add(0x00291010, "OB", value)),
    )


def test_a_csa_header_of_numbers_alone_is_allowed_where_it_is_claimed() -> None:
    file = changed(csa_header(of_numbers()))
    unclaimed = changed(add(0x00291010, "OB", of_numbers()))
    elsewhere = changed(both(code("113111"), add(0x00311010, "OB", of_numbers())))

    assert "(0029,1010)" not in {remark.where for remark in grave(remarks(file))}
    assert Remark("private", "(0029,1010)") in remarks(unclaimed)
    assert Remark("private-text", "(0031,1010)") in remarks(elsewhere)


@pytest.mark.parametrize("place", places_of_a_word())
def test_a_word_in_a_csa_header_is_remarked(place: str) -> None:
    file = changed(csa_header(places_of_a_word()[place]))

    assert Remark("private-text", "(0029,1010)") in remarks(file)


def test_our_own_csa_header_is_clean() -> None:
    dataset = mr_instance()
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", Drawn().written())
    output = HeaderScrubber(load_profile("research-mr"), OURS).run(written(dataset)).encoded

    assert b"PhaseEncodingDirectionPositive" in output.part10
    assert grave(remarks(output.part10)) == set()
