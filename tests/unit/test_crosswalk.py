"""Only the broker reads a crosswalk, and sees if anything in it was changed."""

from __future__ import annotations

import csv
import errno
import fcntl
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deid_node.config.load import create_key, load_settings, read_key
from deid_node.errors import CrosswalkUnusable, OutputUnwritable, SettingsInvalid
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.records.broker_key import create_broker_key, public_path
from deid_node.node.records.crosswalk import Crosswalk
from deid_node.node.records.crosswalk_export import open_crosswalk, write_tables
from deid_node.node.records.crosswalk_file import HEAD_LENGTH, START
from deid_node.pipeline.linkage import ATTRIBUTES, Link, Linkage
from tests.fakes.command import run
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = ("MRN-4711", "1.2.840.77.1", "1.2.840.77.2", "1.2.840.77.3", "1.2.840.77.4")


def linkage(number: int, *, patient: str = "MRN-4711", days: int = -700) -> Linkage:
    olds = (patient, "1.2.840.77.1", "1.2.840.77.2", f"1.2.840.77.3.{number}", "1.2.840.77.4")
    news = (f"P{patient[::-1]}", "2.25.1", "2.25.2", f"2.25.3{number}", "2.25.4")
    links = zip(ATTRIBUTES, olds, news, strict=True)
    return Linkage(
        links=tuple(Link(kind=kind, old=old, new=new) for kind, old, new in links), days=days
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the broker's private key; the public one lies beside it."""
    path = tmp_path_factory.mktemp("broker") / "broker.key"
    create_broker_key(path)
    return path


def write(path: Path, keys: Path, linkages: Iterable[Linkage]) -> None:
    with Crosswalk(path, public_path(keys), fingerprint="abcd") as crosswalk:
        for each in linkages:
            crosswalk.append([each])


@pytest.fixture
def crosswalk(tmp_path: Path, keys: Path) -> Path:
    """Give a crosswalk of five instances, written in two runs."""
    path = tmp_path / "site.xwalk"
    write(path, keys, [linkage(k) for k in range(3)])
    write(path, keys, [linkage(k) for k in (3, 4)])
    return path


def olds(path: Path, keys: Path) -> set[str]:
    return {old for _, old, _ in open_crosswalk(path, keys).links}


EVERY = {*NAMES[:3], "1.2.840.77.4", *(f"1.2.840.77.3.{k}" for k in range(5))}


def test_broker_reads_every_link_once_and_in_order(crosswalk: Path, keys: Path) -> None:
    opened = open_crosswalk(crosswalk, keys)

    assert {old for _, old, _ in opened.links} == EVERY
    assert len(opened.links) == len(EVERY)
    assert next(iter(opened.links)) == ("patient", "MRN-4711", "P1174-NRM")
    assert list(opened.days) == [("P1174-NRM", -700)]
    assert (opened.n_open, opened.torn, opened.n_ambiguous()) == (0, False, 0)


def test_no_identifier_is_in_the_file(crosswalk: Path) -> None:
    content = crosswalk.read_bytes()

    for name in (*EVERY, "P1174-NRM", "2.25.1", "abcd"):
        assert name.encode() not in content
    assert crosswalk.stat().st_mode & 0o077 == 0


def test_no_identifier_is_shown(crosswalk: Path, keys: Path) -> None:
    told = repr(linkage(1)) + repr(linkage(1).links) + repr(open_crosswalk(crosswalk, keys))

    assert not [name for name in (*EVERY, "2.25", "P1174", "700") if name in told]


def test_what_the_node_has_does_not_open_it(crosswalk: Path, keys: Path, tmp_path: Path) -> None:
    create_broker_key(tmp_path / "other.key")

    with pytest.raises(CrosswalkUnusable, match="no crosswalk for this key"):
        open_crosswalk(crosswalk, tmp_path / "other.key")
    public = tmp_path / "private-looking"
    shutil.copy(public_path(keys), public)
    public.chmod(0o600)
    with pytest.raises(CrosswalkUnusable, match="no unencrypted private key"):
        open_crosswalk(crosswalk, public)


def test_same_links_never_make_the_same_bytes(tmp_path: Path, keys: Path) -> None:
    for name in "ab":
        write(tmp_path / name, keys, [linkage(1)])

    one, two = ((tmp_path / name).read_bytes()[START:] for name in "ab")
    assert len(one) == len(two)
    assert sum(x == y for x, y in zip(one, two, strict=True)) < len(one) / 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_bit_that_was_flipped_anywhere_is_refused(
    crosswalk: Path, keys: Path, place: int, bit: int
) -> None:
    content = bytearray(crosswalk.read_bytes())
    content[place % len(content)] ^= 1 << bit
    changed = crosswalk.with_name("changed")
    changed.write_bytes(content)

    with pytest.raises(CrosswalkUnusable) as caught:
        open_crosswalk(changed, keys)

    assert "\n" not in str(caught.value)


def frames(content: bytes) -> list[bytes]:
    """Cut a crosswalk into its frames, by the length in each head."""
    found, at = [], START
    while at < len(content):
        end = at + HEAD_LENGTH + int.from_bytes(content[at + 5 : at + 9], "big")
        found.append(content[at:end])
        at = end
    return found


def test_record_that_was_moved_doubled_or_taken_out_is_refused(crosswalk: Path, keys: Path) -> None:
    content = crosswalk.read_bytes()
    parts = frames(content)
    assert len(parts) == 9  # two sessions: a beginning, records, an end
    for k in range(len(parts) - 1):
        for changed in (
            [*parts[:k], *parts[k + 1 :]],
            [*parts[:k], parts[k + 1], parts[k], *parts[k + 2 :]],
            [*parts[: k + 1], parts[k], *parts[k + 1 :]],
        ):
            crosswalk.write_bytes(content[:START] + b"".join(changed))
            with pytest.raises(CrosswalkUnusable):
                open_crosswalk(crosswalk, keys)


def test_record_that_broke_off_is_dropped_and_told(crosswalk: Path, keys: Path) -> None:
    content = crosswalk.read_bytes()
    end, last = (len(part) for part in frames(content)[-1:-3:-1])
    for cut in range(1, end + last):
        crosswalk.write_bytes(content[:-cut])

        opened = open_crosswalk(crosswalk, keys)

        assert opened.torn == (cut != end)
        assert opened.n_open == 1
        assert len(opened.links) == len(EVERY) - (cut > end)


def test_next_run_goes_on_where_a_record_broke_off(crosswalk: Path, keys: Path) -> None:
    crosswalk.write_bytes(crosswalk.read_bytes()[:-70])

    write(crosswalk, keys, [linkage(k) for k in (4, 5)])

    opened = open_crosswalk(crosswalk, keys)
    assert {old for _, old, _ in opened.links} == {*EVERY, "1.2.840.77.3.5"}
    assert (opened.torn, opened.n_open) == (False, 1)


@pytest.mark.parametrize("length", [0, 1, START - 1, START, START + 5])
def test_beginning_that_broke_off_is_written_again(
    crosswalk: Path, keys: Path, length: int
) -> None:
    crosswalk.write_bytes(crosswalk.read_bytes()[:length])

    write(crosswalk, keys, [linkage(9)])

    assert "1.2.840.77.3.9" in olds(crosswalk, keys)


@pytest.mark.parametrize("content", [b"a shopping list, longer than " + b"x" * 90, b"deid"])
def test_file_that_is_no_crosswalk_is_left_alone(
    tmp_path: Path, keys: Path, content: bytes
) -> None:
    path = tmp_path / "other"
    path.write_bytes(content + b"!")

    with pytest.raises(CrosswalkUnusable, match="another broker's, or is no crosswalk"):
        write(path, keys, [])

    assert path.read_bytes() == content + b"!"


def test_crosswalk_of_another_broker_is_not_continued(crosswalk: Path, tmp_path: Path) -> None:
    before = crosswalk.read_bytes()
    create_broker_key(tmp_path / "other.key")

    with pytest.raises(CrosswalkUnusable, match="another broker's"):
        write(crosswalk, tmp_path / "other.key", [linkage(1)])

    assert crosswalk.read_bytes() == before


def test_damaged_crosswalk_is_not_continued(crosswalk: Path, keys: Path) -> None:
    content = bytearray(crosswalk.read_bytes())
    content[START + 5] ^= 1  # a length
    crosswalk.write_bytes(content)

    with pytest.raises(CrosswalkUnusable, match="damaged"):
        write(crosswalk, keys, [linkage(1)])

    assert crosswalk.read_bytes() == content


def test_two_processes_append_to_one_crosswalk(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "site.xwalk"
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.test_crosswalk import linkage, write\n"
        "first = int(sys.argv[3])\n"
        "write(Path(sys.argv[1]), Path(sys.argv[2]), map(linkage, range(first, first + 100)))"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}

    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(keys), str(first)],
            cwd=root,
            env=environment,
        )
        for first in (0, 100)
    ]

    assert [each.wait() for each in both] == [0, 0]
    opened = open_crosswalk(path, keys)
    assert sum(kind == "instance" for kind, _, _ in opened.links) == 200
    assert (opened.n_open, opened.torn) == (0, False)


def test_no_other_process_can_append_while_a_record_is_written(
    crosswalk: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[bool] = []
    write = os.pwrite

    def watched(fd: int, content: bytes, at: int) -> int:
        with crosswalk.open("rb") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(True)
            else:
                locked.append(False)
        return write(fd, content, at)

    monkeypatch.setattr(os, "pwrite", watched)
    write_one = [linkage(7)]
    with Crosswalk(crosswalk, public_path(keys), fingerprint="abcd") as opened:
        opened.append(write_one)

    assert locked == [True, True, True]  # session, record, end


def test_records_are_sealed_as_the_layout_says(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "site.xwalk"
    write(path, keys, [linkage(k) for k in range(3)])
    content = path.read_bytes()
    private = load_pem_private_key(keys.read_bytes(), password=None)
    assert isinstance(private, X25519PrivateKey)

    session, *records = frames(content)
    ephemeral = session[HEAD_LENGTH:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    start = b"deid-node crosswalk 1\n" + private.public_key().public_bytes_raw()
    info = b"deid-node crosswalk 1\n" + ephemeral + start[-32:]
    # HKDF of RFC 5869, written out: no salt, one block.
    secret = hmac.digest(hmac.digest(bytes(32), shared, "sha256"), info + b"\x01", "sha256")
    before, plain = start + session, []
    for number, record in enumerate(records):
        bound = hashlib.sha256(before).digest() + record[:HEAD_LENGTH]
        nonce = bytes(11) + bytes([number])
        plain.append(ChaCha20Poly1305(secret).decrypt(nonce, record[HEAD_LENGTH:], bound))
        before += record

    assert content.startswith(start)
    assert [json.loads(each).get("end") for each in plain] == [None, None, None, 3]
    assert json.loads(plain[0])["links"][0] == ["patient", "MRN-4711", "P1174-NRM"]
    assert json.loads(plain[1])["links"] == [["instance", "1.2.840.77.3.1", "2.25.31"]]


def test_failed_write_leaves_a_crosswalk_that_opens(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "site.xwalk"
    with Crosswalk(path, public_path(keys), fingerprint="abcd") as crosswalk:
        crosswalk.append([linkage(1)])
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            with pytest.raises(CrosswalkUnusable, match="cannot be written"):
                crosswalk.append([linkage(2)])

    opened = open_crosswalk(path, keys)
    assert "1.2.840.77.3.1" in {old for _, old, _ in opened.links}
    assert opened.n_open == 1


def test_two_old_identifiers_may_share_a_new_one(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "site.xwalk"
    one, two = (
        Linkage(links=(Link(kind="patient", old=old, new="REMOVED"),), days=0) for old in "ab"
    )
    write(path, keys, [one, two])

    assert olds(path, keys) == {"a", "b"}


def test_old_identifier_with_two_new_ones_is_counted_and_no_midi_table(
    crosswalk: Path, keys: Path, tmp_path: Path
) -> None:
    other = Linkage(links=(Link(kind="patient", old="MRN-4711", new="PX"),), days=0)
    write(crosswalk, keys, [other])
    opened = open_crosswalk(crosswalk, keys)

    assert opened.n_ambiguous() == 1
    with pytest.raises(CrosswalkUnusable, match="1 identifiers have several pseudonyms"):
        write_tables(opened, tmp_path / "out", midi=True, force=False)


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def test_tables_are_private_and_never_replaced_unasked(
    crosswalk: Path, keys: Path, tmp_path: Path
) -> None:
    opened, out = open_crosswalk(crosswalk, keys), tmp_path / "out"

    paths = write_tables(opened, out, midi=False, force=False)

    assert {path.name for path in paths} == {"patients.csv", "uids.csv", "dates.csv"}
    assert rows(out / "patients.csv") == [["id_old", "id_new"], ["MRN-4711", "P1174-NRM"]]
    assert ["1.2.840.77.1", "2.25.1", "study"] in rows(out / "uids.csv")
    assert rows(out / "dates.csv")[1:] == [["P1174-NRM", "-700"]]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    with pytest.raises(OutputUnwritable, match="--force"):
        write_tables(opened, out, midi=False, force=False)
    write_tables(opened, out, midi=False, force=True)


@pytest.mark.parametrize("patient", ['Müller, "7"\n', "=1+1", "山田^太郎", " spaced "])
def test_identifier_of_any_text_comes_through(tmp_path: Path, keys: Path, patient: str) -> None:
    write(tmp_path / "x", keys, [linkage(1, patient=patient)])
    write_tables(open_crosswalk(tmp_path / "x", keys), tmp_path / "out", midi=True, force=False)

    with (tmp_path / "out" / "patient_id_mapping.csv").open(encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["id_old", patient]


def test_scrub_links_what_it_writes_and_the_broker_gets_the_two_midi_tables(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    create_key(tmp_path / "site.key")
    incoming, out, path = tmp_path / "incoming", tmp_path / "out", tmp_path / "site.xwalk"
    incoming.mkdir()
    for k in range(20):
        dataset = mr_instance()
        dataset.SOPInstanceUID = f"1.2.3.4.5.1.{k}"
        (incoming / f"{k:02}").write_bytes(written(dataset))
    (incoming / "again").write_bytes((incoming / "00").read_bytes())
    burned = mr_instance()
    burned.SOPInstanceUID = "1.2.3.4.5.66"
    burned.BurnedInAnnotation = "YES"
    (incoming / "burned").write_bytes(written(burned))
    assert run("mapping", "keygen", "--out", tmp_path / "broker.key") == 0
    given = ("--profile", "research-mr", "--key", tmp_path / "site.key", "--jobs", 2)

    code = run(
        *("scrub", incoming, "--out", out, *given),
        *("--crosswalk", path, "--recipient", tmp_path / "broker.key.pub"),
    )

    assert code == 65
    told = capfd.readouterr()
    assert "MRN-0815-77" not in told.out + told.err
    export = ("--crosswalk", path, "--key", tmp_path / "broker.key", "--json")
    assert run("mapping", "export", *export, "--out", tmp_path / "private", "--midi") == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["sessions_without_end"], answer["ambiguous"]) == (0, 0)
    names = sorted(each.name for each in (tmp_path / "private").iterdir())
    assert names == ["patient_id_mapping.csv", "uid_mapping.csv"]
    key = Pseudonyms(read_key(tmp_path / "site.key"))
    expected = {f"1.2.3.4.5.1.{k}" for k in range(20)} | {f"1.2.3.4.5.{k}" for k in (2, 3, 4)}
    uids = rows(tmp_path / "private" / "uid_mapping.csv")
    assert uids[0] == ["id_old", "id_new"]
    assert dict(uids[1:]) == {old: key.uid(old) for old in expected}
    assert rows(tmp_path / "private" / "patient_id_mapping.csv") == [
        ["id_old", "id_new"],
        ["MRN-0815-77", key.patient("MRN-0815-77")],
    ]
    assert run("mapping", "export", *export, "--out", tmp_path / "plain") == 0
    shift = key.day_shift("MRN-0815-77")
    assert rows(tmp_path / "plain" / "dates.csv")[1:] == [[key.patient("MRN-0815-77"), str(shift)]]


def test_keygen_never_overwrites_and_keeps_the_private_key_private(keys: Path) -> None:
    before = keys.read_bytes()

    assert run("mapping", "keygen", "--out", keys) == 74

    assert keys.read_bytes() == before
    assert keys.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("private", "is a private key; the node takes the public one only"),
        ("rubbish", "no public key in PEM"),
        ("missing", "cannot be read"),
        ("other-kind", "no X25519 key"),
    ],
)
def test_recipient_that_is_no_public_key_is_refused(
    tmp_path: Path, keys: Path, name: str, told: str
) -> None:
    path = tmp_path / "given"
    if name == "private":
        shutil.copy(keys, path)
    elif name == "rubbish":
        path.write_text("rubbish")
    elif name == "other-kind":
        path.write_text(
            "-----BEGIN PUBLIC KEY-----\n"
            "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
            "-----END PUBLIC KEY-----\n"
        )

    with pytest.raises(CrosswalkUnusable, match=told):
        Crosswalk(tmp_path / "x", path, fingerprint="abcd")
    assert not (tmp_path / "x").exists()


def test_private_key_that_others_may_read_is_refused(
    crosswalk: Path, keys: Path, tmp_path: Path
) -> None:
    shutil.copy(keys, tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o640)

    with pytest.raises(CrosswalkUnusable, match="by others"):
        open_crosswalk(crosswalk, tmp_path / "open.key")


def test_crosswalk_without_recipient_is_a_mistake_of_the_settings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    create_key(tmp_path / "site.key")
    (tmp_path / "in").mkdir()
    given = ("--profile", "basic", "--key", tmp_path / "site.key", "--crosswalk", tmp_path / "x")

    assert run("scrub", tmp_path / "in", "--out", tmp_path / "out", *given) == 78
    assert "the broker's public key, both" in capfd.readouterr().err
    settings_file = tmp_path / "deid-node.toml"
    settings_file.write_text(
        'schema_version = 1\npseudonym_key = "k"\n[spool]\nfolder = "s"\n[crosswalk]\nfile = "x"\n'
    )
    with pytest.raises(SettingsInvalid, match="both file and recipient"):
        load_settings(settings_file, {})
