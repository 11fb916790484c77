"""What is searched for is found however it is written."""

from __future__ import annotations

import pytest

from deid_node.headers.needles import encodings_of, identifiers_in
from deid_node.headers.search import Finding, Search
from deid_node.headers.second_look import SecondLook
from tests.encoded import element, file_of


@pytest.mark.parametrize(
    "written_as",
    [
        "+49 (0)6221 123-456",
        "06221/123456",
        "06221 12 34 56",
        "0049 6221 123456",
        "6221.123.456",
        "(06221) 123456",
    ],
)
@pytest.mark.parametrize("number", [b"+49 6221 123456", b"0049-6221-123456 ", b"+4962 21123 456"])
@pytest.mark.parametrize("codec", ["ascii", "utf-16-le"])
def test_a_telephone_number_is_found_in_any_grouping(
    number: bytes, written_as: str, codec: str
) -> None:
    source = file_of(element(0x00102154, "SH", number, explicit=True))
    text = f"call {written_as} now".encode(codec)
    output = file_of(element(0x00104000, "UN", text, explicit=True))

    assert Finding("PatientTelephoneNumbers", "digits") in SecondLook().findings(source, output)


@pytest.mark.parametrize("text", [b"16221123456", b"62211234567", b"6.6221123456", b"62-21-123"])
def test_other_numbers_are_no_telephone_number(text: bytes) -> None:
    source = file_of(element(0x00102154, "SH", b"06221 123456", explicit=True))

    output = file_of(element(0x00104000, "UN", b"x" + text + b"x", explicit=True))

    assert SecondLook().findings(source, output) == ()


def test_an_e_mail_address_and_words_of_the_address_are_found() -> None:
    source = file_of(
        element(0x00101040, "LO", b"Kranichweg 5, Entenhausen", explicit=True)
        + element(0x00102155, "LT", b"write to ada.q@example.org or call", explicit=True)
    )

    def found(text: bytes) -> set[str]:
        output = file_of(element(0x00104000, "UN", text, explicit=True))
        return {finding.keyword for finding in SecondLook().findings(source, output)}

    assert found(b"lives in ENTENHAUSEN ") == {"PatientAddress"}
    assert found(b"<ADA.Q@example.org>") == {"PatientTelecomInformation"}
    assert found(b"Kranichwege and q@example.org ") == set()


JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B"
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3\xd1\xce^\x1b$)C\xd1\xce\xd4\xd7"


@pytest.mark.parametrize("charset", [b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"", b"odd"])
@pytest.mark.parametrize(
    ("name", "crept_in"),
    [
        (JAPANESE, b"\x1b$B;3ED\x1b(B"),
        (JAPANESE, b"x;3EDx"),
        (JAPANESE, b"\x1b$BB@O:"),
        (KOREAN, b"\xd1\xce\xd4\xd7"),
        (KOREAN, b"\xfb\xf3\xd1\xce"),
    ],
)
def test_names_with_escapes_are_found_as_raw_bytes(
    name: bytes, crept_in: bytes, charset: bytes
) -> None:
    declared = element(0x00080005, "CS", charset, explicit=True)
    source = file_of(declared + element(0x00100010, "PN", name, explicit=True))
    output = file_of(element(0x00104000, "UN", b" " + crept_in + b" ", explicit=True))

    assert {f.keyword for f in SecondLook().findings(source, output)} == {"PatientName"}


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "gb18030", "shift_jis"])
def test_names_with_escapes_are_found_in_other_encodings(codec: str) -> None:
    encodings = encodings_of(["", "ISO 2022 IR 87", "GB18030", "ISO_IR 13"])
    identifiers = identifiers_in("PatientName", "PN", JAPANESE, encodings)

    output = file_of(element(0x00104000, "UN", " 山田 太郎 ".encode(codec), explicit=True))

    assert {f.keyword for f in Search(identifiers).run(output)} == {"PatientName"}


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-be", "gb18030"])
def test_korean_names_with_escapes_are_found_in_other_encodings(codec: str) -> None:
    encodings = encodings_of(["", "ISO 2022 IR 149", "GB18030"])
    identifiers = identifiers_in("PatientName", "PN", KOREAN, encodings)

    output = file_of(element(0x00104000, "UN", " 吉洞 ".encode(codec), explicit=True))

    assert {f.keyword for f in Search(identifiers).run(output)} == {"PatientName"}


def test_a_name_that_was_decoded_is_found_as_raw_bytes_without_escapes() -> None:
    encodings = encodings_of(["", "ISO 2022 IR 87"])
    identifiers = identifiers_in("PatientName", "PN", "Yamada^Tarou=山田^太郎", encodings)

    output = file_of(element(0x00104000, "UN", b"x;3EDx", explicit=True))

    assert {f.keyword for f in Search(identifiers).run(output)} == {"PatientName"}
