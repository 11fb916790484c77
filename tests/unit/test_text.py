"""Descriptions keep words of MR and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid_node.headers.text import cleaned, cleaned_code, known_codes, own_words, vocabulary

NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "T2 FLAIR",
        "t1_mprage_sag_p2_iso",
        "Ax T2 FLAIR",
        "t2_tirm_tra_dark-fluid_3mm",
        "ep2d_diff_b1000_TRACEW",
        "SAG 3D T1 MPRAGE 1.0mm",
        "MPRAGE 0.9x0.9x0.9mm",
        "3D T1 BRAVO +C",
        "SIEMENS",
        "*tfl3d1_16ns",
        "*ep_b1000#12",
        "1H",
        "Prisma_fit",
        "GE MEDICAL SYSTEMS",
        "syngo MR E11",
    ],
)
def test_descriptions_of_mr_stay_as_they_are_or_nearly(text: str) -> None:
    kept = cleaned(text, NOBODY)

    assert kept in {text, text.replace(" +C", "")}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("T2 FLAIR Jane Doe", "T2 FLAIR"),
        ("Doe^Jane 19870312 t1", "t1"),
        ("brain 12.03.1987", "brain"),
        ("brain 12 03 87", "brain"),
        ("T1 MRN4711 S1234 P4711", "T1"),
        ("St. Mary Hospital", ""),
        ("*doe3d1_16", ""),
        ("tfl3d1_4711", ""),
        ("Müller T1", "T1"),
        ("brainß T1", "T1"),
        ("T1\nJane", "T1"),
        ("T1\x1b$B;3ED", "T1"),
    ],
)
def test_names_places_dates_and_ids_go(text: str, kept: str) -> None:
    assert cleaned(text, NOBODY) == kept


def test_the_patients_own_words_go_first() -> None:
    assert cleaned("T2 STAR brain", own_words(["Star^Ada"])) == "T2 brain"


@given(st.text(max_size=64))
def test_only_listed_words_and_figures_stay(text: str) -> None:
    kept = cleaned(text, NOBODY)

    assert kept.isascii()
    assert cleaned(kept, NOBODY) == kept
    assert all(
        any(c.isdigit() for c in w) or w in vocabulary()
        for w in kept.lower().split()
        if w.isalnum()
    )


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=5))
def test_a_run_of_letters_stays_only_if_it_is_listed(word: str) -> None:
    assert (cleaned(word, NOBODY) == word) == (word.lower() in vocabulary())


@pytest.mark.parametrize(
    "code", ["F", "SE", "00", "PALETTE COLOR", "IEC_NORMAL", "PROSTATE", "HEAD"]
)
def test_codes_of_the_standard_stay(code: str) -> None:
    assert cleaned_code(code, NOBODY) == code


@pytest.mark.parametrize("code", ["QUENTIN", "DOE_JANE", "HEAD_DOE", "19420707"])
def test_other_code_strings_go(code: str) -> None:
    assert cleaned_code(code, NOBODY) is None


def test_a_code_that_is_the_patients_name_goes() -> None:
    assert cleaned_code("HEAD", own_words(["Head^Ada"])) is None


def test_every_listed_code_is_a_valid_code_string() -> None:
    assert [c for c in known_codes() if len(c) > 16 or c != c.upper()] == []


def test_every_listed_word_can_be_met() -> None:
    assert [w for w in vocabulary() if w != w.strip(".")] == []
