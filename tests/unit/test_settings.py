"""The example settings are valid, mistakes are named in one line, and defaults are safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from deid_node.config.load import load_settings
from deid_node.config.schema import Settings
from deid_node.errors import SettingsInvalid

PROJECT = Path(__file__).parents[2]
LEAST = """
schema_version = 1
pseudonym_key = "pseudonym.key"
[spool]
folder = "spool"
"""


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "deid-node.toml"
    path.write_text(LEAST)
    return path


def test_example_file_is_valid_and_shows_every_kind_of_destination() -> None:
    settings = load_settings(PROJECT / "deid-node.example.toml", {})

    assert {destination.kind for destination in settings.destinations} == {
        "dicom",
        "stow",
        "folder",
    }


def test_example_file_names_every_section_and_key() -> None:
    text = (PROJECT / "deid-node.example.toml").read_text()

    sections = {
        name: field.annotation.model_fields
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields")
    }
    missing = [name for name in Settings.model_fields if name not in text]
    missing += [f"{s}.{key}" for s, keys in sections.items() for key in keys if key not in text]

    assert missing == []


def test_defaults_let_nobody_in_and_stay_on_this_machine(settings_file: Path) -> None:
    settings = load_settings(settings_file, {})

    assert settings.node.callers == ()
    assert settings.node.bind == "127.0.0.1"
    assert settings.spool.keep_originals_hours == 0


def test_settings_cannot_be_changed_once_read(settings_file: Path) -> None:
    settings = load_settings(settings_file, {})

    with pytest.raises(ValidationError):
        settings.node.port = 1  # type: ignore[misc]


def test_relative_path_starts_from_the_folder_of_the_file(settings_file: Path) -> None:
    settings = load_settings(settings_file, {})

    assert settings.spool.folder == settings_file.parent / "spool"
    assert settings.pseudonym_key == settings_file.parent / "pseudonym.key"


def test_tls_is_off_unless_it_is_named_and_its_files_lie_beside_the_settings(
    settings_file: Path,
) -> None:
    off = load_settings(settings_file, {}).node.tls
    settings_file.write_text(LEAST + '[node.tls]\ncertificate = "a.pem"\nprivate_key = "a.key"')
    tls = load_settings(settings_file, {}).node.tls

    assert off is None
    assert tls is not None
    folder = settings_file.parent
    assert (tls.certificate, tls.private_key, tls.trusted_peers) == (
        folder / "a.pem",
        folder / "a.key",
        None,
    )


def test_profile_name_is_left_alone_and_a_profile_path_is_made_whole(settings_file: Path) -> None:
    named = load_settings(settings_file, {})
    at_path = load_settings(settings_file, {"DEID_NODE__PROFILE": "mine.yaml"})

    assert named.profile == "research-mr"
    assert at_path.profile == str(settings_file.parent / "mine.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[face]\nmargn_mm = 77", "unknown key face.margn_mm; did you mean margin_mm?"),
        ("[nod]\nport = 77", "unknown key nod; did you mean node?"),
        ("[node]\nport = 777777", "node.port: input should be less than or equal to 65535"),
        ('[face]\nfill = "S3CRET"', "face.fill: input should be 'noise'"),
        (
            '[[destinations]]\nkind = "S3CRET"\nname = "a"',
            'kind must be "dicom", "stow" or "folder"',
        ),
        (
            '[[destinations]]\nname = "a"',
            'destinations.0: kind must be "dicom", "stow" or "folder"',
        ),
        (
            '[[destinations]]\nkind = "folder"\nname = "a"\nfoldr = "S3CRET"',
            "key destinations.0.folder is missing",
        ),
        (
            '[[destinations]]\nkind = "folder"\nname = "a"\nfolder = "b"\nhots = "S3CRET"',
            "unknown key destinations.0.hots",
        ),
        (
            '[[destinations]]\nkind = "folder"\nname = "a"\nfolder = "b"\n' * 2,
            "two destinations have one name",
        ),
        ('[node]\nae_title = "S3CRET-S3CRET-S3CRET"', "node.ae_title: string should have at most"),
        ("[node\nS3CRET", "is not TOML (at line"),
        ('[node.tls]\ncertificate = "S3CRET"', "key node.tls.private_key is missing"),
        (
            '[node.tls]\ncertificate = "a"\nprivate_key = "b"\ntrusted_peer = "S3CRET"',
            "unknown key node.tls.trusted_peer; did you mean trusted_peers?",
        ),
        ("[node]\nidle_seconds = 0", "node.idle_seconds: input should be greater than 0"),
        (
            '[[routes]]\ncallers = ["S3CRET"]\nface.model = "paper"',
            "routes has a caller that node.callers does not accept",
        ),
        (
            '[node]\ncallers = ["S3CRET"]\n'
            + '[[routes]]\ncallers = ["S3CRET"]\nface.model = "paper"\n' * 2,
            "two routes have one caller",
        ),
        (
            '[[routes]]\ncallers = ["S3CRET"]\nface.acuracy = "fast"',
            "unknown key routes.0.face.acuracy; did you mean accuracy?",
        ),
        (
            "[[routes]]\ncallers = []\nface.folds = 1",
            "routes.0.callers: tuple should have at least",
        ),
        ('[[routes]]\ncallers = ["S3CRET"]', "key routes.0.face is missing"),
        ("[node]\nmax_associations = 1001", "node.max_associations: input should be less than"),
    ],
)
def test_mistake_is_named_in_one_line_without_its_value(
    settings_file: Path, text: str, told: str
) -> None:
    settings_file.write_text(LEAST + text)

    with pytest.raises(SettingsInvalid) as caught:
        load_settings(settings_file, {})

    line = str(caught.value)
    assert told in line
    assert "S3CRET" not in line
    assert "777777" not in line
    assert "\n" not in line


def test_route_differs_from_the_rest_in_what_it_names(settings_file: Path) -> None:
    settings_file.write_text(
        LEAST + '[node]\ncallers = ["PACS", "CHILDREN", "NEWBORN", "ADULTS"]\n'
        '[face]\naccuracy = "exact"\nmargin_mm = 4\n'
        '[[routes]]\ncallers = ["CHILDREN", "NEWBORN "]\nface.model = "paper"\nface.folds = 1\n'
        '[[routes]]\ncallers = ["ADULTS"]\nface.model = "./mine"\nface.accuracy = "fast"\n'
    )
    settings = load_settings(settings_file, {})
    told = {
        caller: (face.model, face.accuracy, face.folds, face.margin_mm)
        for caller in (None, "PACS", "CHILDREN", "NEWBORN", "ADULTS")
        for face in [settings.face_of(caller)]
    }

    paper = ("paper", "exact", 1, 4)
    assert told == {
        None: ("default", "exact", 0, 4),
        "PACS": ("default", "exact", 0, 4),
        "CHILDREN": paper,
        "NEWBORN": paper,
        "ADULTS": (str(settings_file.parent / "mine"), "fast", 0, 4),
    }
    assert settings.faces == tuple(settings.face_of(each) for each in (None, "CHILDREN", "ADULTS"))


def test_missing_key_is_named(settings_file: Path) -> None:
    settings_file.write_text("schema_version = 1\npseudonym_key = 'a'\n[spool]\nreserve_gib = 1")

    with pytest.raises(SettingsInvalid, match=r"key spool\.folder is missing"):
        load_settings(settings_file, {})


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"nowhere\.toml cannot be read"):
        load_settings(tmp_path / "nowhere.toml", {})


def test_other_layout_of_the_file_is_refused(settings_file: Path) -> None:
    settings_file.write_text(LEAST.replace("= 1", "= 2"))

    with pytest.raises(SettingsInvalid, match="schema_version"):
        load_settings(settings_file, {})


def test_environment_overrules_the_file(settings_file: Path) -> None:
    environment = {
        "DEID_NODE__NODE__PORT": "4242",
        "DEID_NODE__NODE__CALLERS": '["PACS", "CONSOLE"]',
        "DEID_NODE__FACE__FILL": "0",
        "HOME": "/root",
    }

    settings = load_settings(settings_file, environment)

    assert settings.node.port == 4242
    assert settings.node.callers == ("PACS", "CONSOLE")
    assert settings.face.fill == 0


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DEID_NODE__NODE__PROT", "1", r"unknown key node\.prot; did you mean port"),
        ("DEID_NODE__NODE__CALLERS", "[S3CRET", "is not a TOML array"),
        ("DEID_NODE__SCHEMA_VERSION__X", "1", "inside a value that is not a section"),
    ],
)
def test_mistake_in_the_environment_is_named(
    settings_file: Path, name: str, value: str, told: str
) -> None:
    with pytest.raises(SettingsInvalid, match=told):
        load_settings(settings_file, {name: value})
