"""Patients numbered in order of arrival: durable, agreed between processes, without an ID."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from deid_node.config.profile_file import load_profile
from deid_node.errors import KeyUnusable, ProfileInvalid, SettingsInvalid, SpoolError
from deid_node.headers.profile import Patients
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from deid_node.node.patients import PatientSequence, named_as
from tests.planted import mr_instance

KEY = Pseudonyms(bytes(range(32)))
OTHER_KEY = Pseudonyms(bytes(range(1, 33)))
ROOT = Path(__file__).parents[2]


def sequence(folder: Path, key: Pseudonyms = KEY, prefix: str = "site-") -> PatientSequence:
    asked = Patients(method="sequence", file="order.txt", folder=str(folder), prefix=prefix)
    return PatientSequence(asked, key)


def test_patients_are_numbered_as_they_come_and_keep_their_number(tmp_path: Path) -> None:
    named = sequence(tmp_path)

    assert [named(each) for each in ("b", "a", "b", "c", "a")] == [
        "site-001",
        "site-002",
        "site-001",
        "site-003",
        "site-002",
    ]


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    sequence(tmp_path)("first")

    assert [sequence(tmp_path)(each) for each in ("second", "first")] == ["site-002", "site-001"]


def test_two_that_run_at_once_see_each_others_patients(tmp_path: Path) -> None:
    ours, theirs = sequence(tmp_path), sequence(tmp_path)
    ours("a")

    assert [theirs("b"), ours("c"), theirs("c"), theirs("a")] == [
        "site-002",
        "site-003",
        "site-003",
        "site-001",
    ]


def test_what_another_wrote_while_we_waited_for_the_lock_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = sequence(tmp_path)
    ours("a")
    path, take = tmp_path / "order.txt", fcntl.flock

    def taken(file: object, operation: int) -> None:
        path.write_text(f"{path.read_text()}{KEY.patient_key('theirs')}\n")
        take(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr("fcntl.flock", taken)

    assert ours("b") == "site-003"


def test_processes_that_race_agree_on_every_patient(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from deid_node.headers.profile import Patients\n"
        "from deid_node.headers.pseudonyms import Pseudonyms\n"
        "from deid_node.node.patients import PatientSequence\n"
        "asked = Patients(method='sequence', file='order.txt', folder=sys.argv[1], prefix='s')\n"
        "named = PatientSequence(asked, Pseudonyms(bytes(range(32))))\n"
        "order = range(40) if sys.argv[2] == 'up' else range(39, -1, -1)\n"
        "print(sorted((n, named(str(n))) for n in order))"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), way],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        for way in ("up", "down", "up")
    ]

    answers = {racer.communicate()[0] for racer in racers}

    assert len(answers) == 1
    assert len({name for _, name in eval(answers.pop())}) == 40  # noqa: S307 - our own output


def test_the_file_holds_no_id_and_is_the_owners_alone(tmp_path: Path) -> None:
    sequence(tmp_path)("MRN-0815-77")

    path = tmp_path / "order.txt"
    assert "0815" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert KEY.patient_key("MRN-0815-77") in path.read_text().splitlines()


def test_a_line_that_broke_off_names_nobody(tmp_path: Path) -> None:
    sequence(tmp_path)("first")
    path = tmp_path / "order.txt"
    path.write_text(path.read_text() + KEY.patient_key("torn")[:10])

    assert sequence(tmp_path)("second") == "site-002"
    assert sequence(tmp_path)("torn") == "site-003"


def test_a_name_is_given_only_after_its_line_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("os.fsync", fails)

    with pytest.raises(SpoolError, match=r"order\.txt cannot be written"):
        sequence(tmp_path)("first")


def test_a_sequence_of_another_key_is_refused(tmp_path: Path) -> None:
    sequence(tmp_path)("first")

    with pytest.raises(KeyUnusable, match="begun under another key"):
        sequence(tmp_path, OTHER_KEY)("first")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text + text.splitlines()[-1] + "\n", "is damaged"),
        (lambda text: text + "short\n", "is damaged"),
        (lambda _: "PatientID,pseudonym\n", "is no patient sequence"),
    ],
)
def test_a_damaged_sequence_is_refused_and_left_as_it_is(
    tmp_path: Path, change: object, complaint: str
) -> None:
    sequence(tmp_path)("first")
    path = tmp_path / "order.txt"
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    before = path.read_bytes()

    with pytest.raises(SettingsInvalid, match=complaint):
        sequence(tmp_path)("second")

    assert path.read_bytes() == before


def test_a_profile_names_its_patients_by_a_sequence_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "profile: mine\nversion: 1\nextends: basic\nwhy: Patients in order of arrival.\n"
        "patients: {method: sequence, file: order.txt}\n"
    )
    profile = load_profile(path)

    with pytest.raises(ProfileInvalid, match="by sequence, none is open"):
        scrub(mr_instance(), profile, KEY)
    output = scrub(mr_instance(), profile, named_as(profile, KEY)).dataset

    assert output.PatientID == "site-001"
    assert (tmp_path / "order.txt").is_file()


def test_a_profile_without_a_word_on_patients_names_them_by_the_key() -> None:
    assert named_as(load_profile("basic"), KEY) is KEY
    assert KEY.patient("4711", Patients(prefix="Q")) == "Q" + KEY.patient("4711")[1:]
