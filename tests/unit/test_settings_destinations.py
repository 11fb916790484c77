"""Settings of destinations: safe defaults, and mistakes named in one line without their value."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid_node.config.load import load_settings
from deid_node.config.schema import DestinationSettings, DicomDestination, StowDestination
from deid_node.errors import SettingsInvalid

HEAD = """
schema_version = 1
pseudonym_key = "pseudonym.key"
[spool]
folder = "spool"
"""
DICOM = """
[[destinations]]
kind = "dicom"
name = "archive"
ae_title = "A"
host = "h"
port = 104
"""
STOW = """
[[destinations]]
kind = "stow"
name = "cloud"
url = "https://example.org/dicom-web"
"""


def loaded(folder: Path, text: str) -> DestinationSettings:
    path = folder / "deid-node.toml"
    path.write_text(HEAD + text)
    return load_settings(path, {}).destinations[0]


def test_defaults_of_a_storage_scp_are_modest(tmp_path: Path) -> None:
    settings = loaded(tmp_path, DICOM)

    assert isinstance(settings, DicomDestination)
    assert (settings.associations, settings.commitment, settings.tls) == (1, "none", None)
    assert settings.give_up_hours == 168


def test_files_of_tls_and_secrets_start_from_the_folder_of_the_file(tmp_path: Path) -> None:
    dicom = loaded(tmp_path, DICOM + '[destinations.tls]\ntrusted_peers = "ca.pem"\n')
    stow = loaded(tmp_path, STOW + 'authorization = "bearer"\nsecret = "token"\n')

    assert isinstance(dicom, DicomDestination)
    assert isinstance(stow, StowDestination)
    assert dicom.tls is not None
    assert dicom.tls.trusted_peers == tmp_path / "ca.pem"
    assert stow.secret == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DICOM + "associations = 77", "destinations.0.associations: input should be less than"),
        (DICOM + 'commitment = "S3CRET"', "destinations.0.commitment: input should be 'none'"),
        (DICOM + "give_up_hours = 0", "destinations.0.give_up_hours: input should be greater"),
        (DICOM + '[destinations.tls]\ncertifcate = "S3CRET"', "destinations.0.tls.certifcate"),
        (DICOM + '[destinations.tls]\ncertificate = "S3CRET"', "both certificate and private_key"),
        (STOW + 'authorization = "bearer"', "stow needs both authorization and secret"),
        (STOW + 'secret = "S3CRET"', "stow needs both authorization and secret"),
        (STOW.replace("https", "ftp"), "url must be http(s)://host[:port]/path"),
        (STOW.replace("example", "u:S3CRET@example"), "url must be http(s)://host[:port]/path"),
        (STOW.replace("dicom-web", "dicom-web?t=S3CRET"), "without user, query or fragment"),
        (STOW.replace("example.org", "example.org:99999"), "url must be http(s)://"),
        (
            STOW.replace("https", "http") + 'authorization = "bearer"\nsecret = "S3CRET"',
            "stow sends a secret to an https address only",
        ),
        (STOW + "mib_per_request = 0", "destinations.0.mib_per_request: input should be greater"),
        (DICOM + "[commitment]\nport = 0", "commitment.port: input should be greater"),
    ],
)
def test_mistake_is_named_in_one_line_without_its_value(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        loaded(tmp_path, text)

    line = str(caught.value)
    assert told in line
    assert "S3CRET" not in line
    assert "\n" not in line


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_secret_may_go_unencrypted_to_this_machine(tmp_path: Path, host: str) -> None:
    text = STOW.replace("https://example.org", f"http://{host}:8042")

    settings = loaded(tmp_path, text + 'authorization = "basic"\nsecret = "s"\n')

    assert isinstance(settings, StowDestination)


def test_every_setting_is_described_in_the_page_on_sending() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sending.md").read_text()
    keys = DicomDestination.model_fields.keys() | StowDestination.model_fields.keys()

    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
