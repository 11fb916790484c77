"""Every verb explains itself, answers machines, and loads nothing heavy to do so."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from typer.main import get_command

from deid_node.cli.app import app
from tests.fakes.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAVY = ("openvino", "torch", "highdicom", "pynetdicom", "scipy", "nibabel", "pydantic", "dbos")


def verbs() -> Iterator[tuple[str, ...]]:
    """List every verb and every verb of a group."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        yield from ((name, each) for each in inner) if inner else [(name,)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder that `deid-node init` filled."""
    folder = tmp_path / "site"
    assert run("init", "--folder", folder) == 0
    settings = folder / "deid-node.toml"
    settings.write_text(settings.read_text().replace("reserve_gib = 10", "reserve_gib = 0"))
    return folder


@pytest.mark.parametrize("verb", list(verbs()), ids=" ".join)
def test_help_of_every_verb_has_an_example(
    verb: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*verb, "--help") == 0
    assert f"Example: deid-node {' '.join(verb)}" in " ".join(capfd.readouterr().out.split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, deid_node.cli.app\n"
        "try: deid_node.cli.app.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


def test_nothing_but_a_running_node_loads_the_work_engine() -> None:
    code = (
        "import sys, deid_node.cli.serve, deid_node.node.service, deid_node.node.work.staging\n"
        "print([name for name in ('dbos', 'sqlalchemy', 'psycopg') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_inference_never_loads_telemetry() -> None:
    code = (
        "import sys\n"
        "from deid_node.face.openvino_model import load_model\n"
        "from deid_node.face.weights import default_weights\n"
        "load_model(default_weights(), threads=1)\n"
        "print([name for name in sys.modules if 'telemetry' in name])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_init_never_overwrites(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key = (site / "pseudonym.key").read_bytes()
    (site / "deid-node.toml").write_text("mine")

    assert run("init", "--folder", site) == 78

    assert "exists and is never overwritten" in capfd.readouterr().err
    assert (site / "pseudonym.key").read_bytes() == key
    assert (site / "deid-node.toml").read_text() == "mine"


def test_what_init_writes_is_valid(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("config", "check", "-c", site / "deid-node.toml") == 0
    assert "settings are valid" in capfd.readouterr().out
    assert (site / "pseudonym.key").stat().st_mode & 0o077 == 0


def test_recipes_are_told_to_people_once_and_to_machines_each(
    site: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A route that changes nothing of the default model's work has the same recipe."""
    path = site / "deid-node.toml"
    monkeypatch.setenv("DEID_NODE__NODE__CALLERS", '["CHILDREN"]')
    path.write_text(
        f'{path.read_text()}\n[[routes]]\ncallers = ["CHILDREN"]\nface.accuracy = "fast"\n'
    )
    capfd.readouterr()

    codes = run("config", "check", "-c", path), run("config", "check", "-c", path, "--json")

    said, told = capfd.readouterr().out.split("\n", 1)
    [one, two] = json.loads(told)["recipes"]
    assert codes == (0, 0)
    assert said == f"settings are valid; recipe {one['digest'][:16]}"
    assert (one["accuracy"], two["accuracy"]) == ("balanced", "fast")
    assert one["digest"] == two["digest"]


def test_deface_answers_machines_and_writes_a_report(
    site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "incoming" / "deep" / "down"
    folder.mkdir(parents=True)
    for k, instance in enumerate(dicom_series(small_head())):
        instance.save_as(folder / f"{k}", enforce_file_format=True)
    report = tmp_path / "report.html"
    capfd.readouterr()

    code = run(
        *("deface", tmp_path / "incoming", "--out", tmp_path / "out"),
        *("--config", site / "deid-node.toml", "--report", report, "--json", "--nifti"),
    )

    answer = json.loads(capfd.readouterr().out)
    [series] = answer["series"]
    assert code == 0
    assert answer["schema"] == 1
    assert series["state"] == "delivered"
    assert series["record"]["n_voxels_removed"] > 0
    assert len(list((tmp_path / "out").rglob("*.nii.gz"))) == 1
    page = report.read_text()
    assert series["series"][:12] in page
    assert "data:image/png;base64," in page
    text = page + json.dumps(answer)
    assert not [each for each in FakePatient().identifiers() if each in text]


def test_status_of_a_node_that_never_ran_is_empty(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()

    assert run("status", "--json", "--config", site / "deid-node.toml") == 0
    assert json.loads(capfd.readouterr().out) == {"schema": 1, "series": {}, "held": [], "owed": []}
