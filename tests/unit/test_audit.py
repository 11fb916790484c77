"""No line of an audit log is changed, moved, added or taken away unseen, nor holds a value."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import pytest

from deid_node.config.load import create_key, read_key
from deid_node.config.profile_file import load_profile
from deid_node.errors import AuditUnusable
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.records import audit as audit_module
from deid_node.node.records.audit import AuditLog
from deid_node.node.records.audit_chain import head_of, verify
from deid_node.node.records.audit_entry import Entry
from tests.fakes.command import run
from tests.planted import mr_instance, planted, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

PROFILE = load_profile("basic")
KEY = Pseudonyms(bytes(range(32)))
OTHER = Pseudonyms(bytes(range(1, 33)))


def log(path: Path, *, key: Pseudonyms = KEY) -> AuditLog:
    return AuditLog(path, PROFILE, key, verb="scrub")


def entries(n: int) -> list[Entry]:
    return [Entry(disposition="written", instance=f"k{k}") for k in range(n)]


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """Give a log of six lines, written by two runs."""
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        with log(path) as opened:
            opened.append(entries(2))
            opened.append(entries(1))
    return path


def test_whole_log_is_whole(audit: Path) -> None:
    verdict = verify(audit, KEY)

    assert (verdict.n_lines, verdict.broken, verdict.why, verdict.torn) == (6, None, "", ())
    assert verdict.last
    assert json.loads(audit.read_text().splitlines()[-1])["hmac"].startswith(verdict.last)


def test_each_line_names_the_digest_of_the_line_before_it(audit: Path) -> None:
    lines = audit.read_bytes().splitlines()

    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    for before, line in zip([b"", *lines], lines, strict=False):
        assert json.loads(line)["prev"] == hashlib.sha256(before).hexdigest()


def test_each_line_bears_a_keyed_seal(audit: Path) -> None:
    secret = bytes(range(32))
    derived = hmac.digest(secret, b"9:key/audit:", "sha256")
    for line in audit.read_bytes().splitlines():
        body, _, seal = line.rpartition(b',"hmac":"')
        expected = hmac.new(derived, body + b"}", "sha256").hexdigest()
        assert seal == expected.encode() + b'"}'


def _changed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"written", b"refused"), *lines[3:]]


def _resealed_without_the_key(lines: list[bytes]) -> list[bytes]:
    with_other = lines[2].replace(b"written", b"refused")
    body = with_other.rpartition(b',"hmac":"')[0] + b"}"
    seal = hmac.new(OTHER.key_for("audit"), body, "sha256").hexdigest().encode()
    return [*lines[:2], body[:-1] + b',"hmac":"' + seal + b'"}', *lines[3:]]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (_changed, 3),
        (_resealed_without_the_key, 3),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),
        (lambda lines: [*lines[:3], b"", *lines[3:]], 4),
        (lambda lines: [*lines, b'{"seq":7}'], 7),
        (lambda lines: lines[:-1], 6),
        (lambda lines: lines[:1], 2),
        (lambda _lines: [], 1),
    ],
    ids=[
        *("changed", "resealed", "dropped", "beheaded", "swapped", "doubled", "blank"),
        *("forged", "cut", "cut-short", "emptied"),
    ],
)
def test_first_line_that_is_wrong_is_named(
    audit: Path, change: Callable[[list[bytes]], list[bytes]], broken: int
) -> None:
    lines = change(audit.read_bytes().splitlines())
    audit.write_bytes(b"".join(line + b"\n" for line in lines))

    assert verify(audit, KEY).broken == broken


def test_log_whose_clock_was_set_back_is_whole(
    audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) - timedelta(days=1)

    monkeypatch.setattr(audit_module, "datetime", Yesterday)
    with log(audit) as opened:
        opened.append(entries(1))

    times = [json.loads(line)["at"] for line in audit.read_text().splitlines()]
    assert times[-1] < times[0]
    assert verify(audit, KEY).broken is None
    assert verify(audit, KEY).n_lines == 7


def test_log_of_another_key_is_not_vouched_for(audit: Path) -> None:
    assert verify(audit, OTHER).broken == 1


@pytest.mark.parametrize("n_lines", [1, 6])
def test_log_of_another_key_is_not_continued(audit: Path, n_lines: int) -> None:
    audit.write_bytes(b"".join(audit.read_bytes().splitlines(keepends=True)[:n_lines]))
    before = audit.read_bytes()

    with pytest.raises(AuditUnusable, match="not sealed under this key"), log(audit, key=OTHER):
        pass

    assert audit.read_bytes() == before


@pytest.mark.parametrize("content", ["a shopping list", "a\nlist\n", "deadbeef" * 8 + "\n"])
def test_file_that_is_no_log_is_not_written_to(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.txt"
    path.write_text(content)

    with pytest.raises(AuditUnusable), log(path):
        pass

    assert path.read_text() == content


@pytest.mark.parametrize("n_bytes", [1, 40, 500])
def test_line_that_broke_off_stays_and_is_recorded(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "audit.jsonl"
    with log(path) as opened:
        opened.append(entries(2))
        head = head_of(path).read_bytes()
        opened.append([Entry(disposition="written", counts={"remove": {"PatientName": 1}})])
    whole = path.read_bytes()
    last = whole.splitlines()[-1]
    torn = whole[: len(whole) - len(last) - 1 + min(n_bytes, len(last) - 1)]
    path.write_bytes(torn)  # as a crash leaves it: the line broke off, the head not written yet
    head_of(path).write_bytes(head)

    assert "broke off" in verify(path, KEY).why
    with log(path) as opened:
        opened.append(entries(1))

    verdict = verify(path, KEY)
    assert path.read_bytes().startswith(torn + b"\n")
    assert (verdict.n_lines, verdict.broken, verdict.torn) == (4, None, (4,))
    assert json.loads(path.read_bytes().splitlines()[3])["event"] == "torn-line"


def test_first_line_may_break_off_and_so_may_the_record_of_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with log(path) as opened:
        head = head_of(path).read_bytes()
        opened.append(entries(1))
    path.write_bytes(path.read_bytes()[:30])
    for _ in range(2):
        head_of(path).write_bytes(head)
        with log(path):
            pass
        path.write_bytes(path.read_bytes()[:-20])
    head_of(path).write_bytes(head)
    with log(path) as opened:
        opened.append(entries(1))

    verdict = verify(path, KEY)
    assert (verdict.n_lines, verdict.broken) == (2, None)
    assert len(verdict.torn) == 1


def test_torn_line_that_was_changed_later_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with log(path) as opened:
        opened.append(entries(1))
    with path.open("ab") as file:
        file.write(b'{"seq":2,"at":"20')
    with log(path):
        pass
    assert verify(path, KEY).broken is None

    path.write_bytes(path.read_bytes().replace(b'"at":"20\n', b'"at":"21\n'))

    assert verify(path, KEY).broken == 2


def test_tail_that_was_cut_off_is_recorded_by_the_next_run_for_good(audit: Path) -> None:
    lines = audit.read_bytes().splitlines(keepends=True)
    audit.write_bytes(b"".join(lines[:4]))

    with log(audit) as opened:
        opened.append(entries(3))

    assert verify(audit, KEY).broken == 5
    assert json.loads(audit.read_bytes().splitlines()[4])["event"] == "tail-missing"


def test_last_line_that_was_changed_does_not_pass_as_torn(audit: Path) -> None:
    content = audit.read_bytes()
    audit.write_bytes(content[:-100] + b"x" * 99 + b"\n")

    with log(audit):
        pass

    assert verify(audit, KEY).broken == 6


def test_lost_head_is_told_and_recorded(audit: Path) -> None:
    head_of(audit).unlink()
    assert "no head" in verify(audit, KEY).why

    with log(audit):
        pass

    assert json.loads(audit.read_bytes().splitlines()[-1])["event"] == "head-missing"
    assert verify(audit, KEY).broken is None


def test_head_cannot_be_forged(audit: Path) -> None:
    lines = audit.read_bytes().splitlines(keepends=True)
    audit.write_bytes(b"".join(lines[:4]))
    head_of(audit).write_bytes(head_of(audit).read_bytes().replace(b'"head":6', b'"head":4'))

    assert "no head" in verify(audit, KEY).why


def test_two_processes_append_to_one_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.test_audit import entries, log\n"
        "with log(Path(sys.argv[1])) as opened:\n"
        "    for _ in range(50): opened.append(entries(2))"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(path)]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}

    both = [subprocess.Popen(command, cwd=root, env=environment) for _ in range(2)]

    assert [each.wait() for each in both] == [0, 0]
    verdict = verify(path, KEY)
    assert (verdict.n_lines, verdict.broken, verdict.torn) == (200, None, ())


def test_no_other_process_can_append_while_a_line_is_written(
    audit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[bool] = []
    write = os.write

    def watched(fd: int, content: bytes) -> int:
        with audit.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(True)
            else:
                locked.append(False)
        return write(fd, content)

    with log(audit) as opened, monkeypatch.context() as patched:
        patched.setattr(os, "write", watched)
        opened.append(entries(1))

    assert locked == [True]


def test_log_and_head_are_private(audit: Path) -> None:
    assert audit.stat().st_mode & 0o077 == 0
    assert head_of(audit).stat().st_mode & 0o077 == 0


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with log(tmp_path / "audit.jsonl") as opened:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(AuditUnusable, match="cannot be written"):
            opened.append(entries(1))
        monkeypatch.undo()


@pytest.fixture
def site(tmp_path: Path) -> tuple[object, ...]:
    create_key(tmp_path / "site.key")
    return ("--profile", "basic", "--key", tmp_path / "site.key")


def test_scrub_accounts_for_each_instance_and_holds_no_value(
    tmp_path: Path, site: tuple[object, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    dataset, tokens = planted()
    incoming, path = tmp_path / "incoming", tmp_path / "audit.jsonl"
    incoming.mkdir()
    (incoming / "1").write_bytes(written(dataset))
    (incoming / "2").write_bytes(written(dataset))
    burned = mr_instance()
    burned.BurnedInAnnotation = "YES"
    (incoming / "3").write_bytes(written(burned))
    (incoming / "4").write_text("no instance")
    differing = mr_instance()
    differing.SOPInstanceUID = dataset.SOPInstanceUID
    (incoming / "5").write_bytes(written(differing))

    code = run("scrub", incoming, "--out", tmp_path / "out", *site, "--audit", path)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    key = Pseudonyms(read_key(tmp_path / "site.key"))
    assert code == 65
    assert [(line["disposition"], line.get("reason")) for line in lines] == [
        ("written", None),
        ("repeated", None),
        ("held", "BurnedInAnnotation"),
        ("held", "DuplicateInstance"),
    ]
    first = lines[0]
    assert first["verb"] == "scrub"
    assert first["profile"] == "basic 1"
    assert first["profile_digest"] == PROFILE.digest()
    assert first["key"] == key.fingerprint()
    assert first["series"] == key.series_key(dataset.SeriesInstanceUID)
    assert first["instance"] == key.instance_key(dataset.SOPInstanceUID)
    assert first["patient"] == key.patient(dataset.PatientID)
    assert first["uids"]["study"] == key.uid(dataset.StudyInstanceUID)
    assert first["counts"]["pseudonym"]["PatientName"] == 1
    assert "113100" in first["codes"]
    told = (path.read_text() + capfd.readouterr().out).lower()
    assert not [token for token in tokens if token.lower() in told]
    capfd.readouterr()
    assert run("audit", "verify", path, *site[2:]) == 0
    assert capfd.readouterr().out.startswith("OK 4 lines, last seal ")


def test_uid_that_stayed_is_not_in_the_log(tmp_path: Path, site: tuple[object, ...]) -> None:
    profile = tmp_path / "uids.yaml"
    profile.write_text(
        "profile: uids\nversion: 1\nwhy: Keeps the UIDs for a test.\nextends: basic\n"
        "options: [retain-uids]\n"
    )
    dataset = mr_instance()
    dataset.StudyInstanceUID = "1.2.840.99999.77.88"
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "1").write_bytes(written(dataset))
    path = tmp_path / "audit.jsonl"
    given = ("--profile", profile, *site[2:], "--audit", path)

    run("scrub", tmp_path / "incoming", "--out", tmp_path / "out", *given)

    assert "1.2.840.99999.77.88" not in path.read_text()


def test_nothing_gets_a_name_before_it_is_on_record(
    tmp_path: Path, site: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> NoReturn:
        raise AuditUnusable("audit log cannot be written")

    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "1").write_bytes(written(mr_instance()))
    monkeypatch.setattr(AuditLog, "append", full)
    given = (*site, "--audit", tmp_path / "audit.jsonl")

    assert run("scrub", tmp_path / "incoming", "--out", tmp_path / "out", *given) == 74
    assert not list(tmp_path.rglob("*.dcm"))


def test_verify_tells_the_first_broken_line_and_answers_machines(
    audit: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "site.key"
    key.write_text(bytes(range(32)).hex())
    key.chmod(0o600)
    audit.write_bytes(audit.read_bytes().replace(b'"seq":4,', b'"seq":9,'))

    assert run("audit", "verify", audit, "--key", key) == 65
    assert f"{audit}, line 4: not sealed under this key" in capfd.readouterr().err
    assert run("audit", "verify", audit, "--key", key, "--json") == 65
    answer = json.loads(capfd.readouterr().out)
    assert (answer["ok"], answer["broken"], answer["lines"]) == (False, 4, 3)
    assert run("audit", "verify", tmp_path / "nowhere", "--key", key) == 74
