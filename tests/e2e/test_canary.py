"""Planted identifiers fail at every place a series can fail at, and are found nowhere.

One node as a process, encrypted at rest, with its monitoring port open. What is looked at:
every line of its log, its metrics, its ledger, the names of files, and every file of the
spool, again and again while it works.
"""

from __future__ import annotations

import io
import json
import signal
import stat
import threading
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Final

import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from prometheus_client.parser import text_string_to_metric_families
from pydicom import Dataset, dcmread

from deid_node.config.load import create_key, load_settings
from deid_node.log import DROPPED, FIELDS
from deid_node.node.at_rest.names import KEY_FILE, MAGIC
from deid_node.node.service import status
from tests.fakes.command import run as run_verb
from tests.fakes.node import eventually, free_port, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.raw_peer import RELEASE, RawPeer, command_pdu, data_pdu, store
from tests.fakes.serving import serving
from tests.planted import INSTANCES, planted, planted_part10, surviving, written

if TYPE_CHECKING:
    from pathlib import Path

LOG_LINE: Final = {"at", "level", "event", "logger", "error", DROPPED, *FIELDS}
BLOCK: Final = 64
FRAGMENT: Final = 60_000


def send_file(part10: bytes, port: int, *, announced: str | None = None) -> int:
    """Send a Part 10 file as it is, whatever it holds."""
    meta = dcmread(io.BytesIO(part10), specific_tags=["SOPInstanceUID"]).file_meta
    at = 132 + 12 + int.from_bytes(part10[140:144], "little")
    sop_class = str(meta.MediaStorageSOPClassUID)
    with RawPeer(port) as peer:
        peer.associate({3: (sop_class, str(meta.TransferSyntaxUID))})
        uid = announced or str(meta.MediaStorageSOPInstanceUID)
        request = store(uid, e0002=sop_class.encode() + b"\0" * (len(sop_class) % 2))
        pieces = [part10[k : k + FRAGMENT] for k in range(at, len(part10), FRAGMENT)]
        peer.say(command_pdu(request))
        for number, piece in enumerate(pieces, start=1):
            peer.say(data_pdu(piece, last=number == len(pieces)))
        answer = peer.status()
        peer.say(RELEASE)
        peer.hear()
    return answer


def of_series(dataset: Dataset, number: int, instance: int = 1) -> Dataset:
    dataset.SeriesInstanceUID = f"1.2.826.0.1.7700{number}.1"
    dataset.SOPInstanceUID = f"1.2.826.0.1.7700{number}.2.{instance}"
    return dataset


def failing(kind: str, number: int) -> tuple[list[bytes], list[str]]:
    """Plant in a series that the node cannot deliver."""
    if kind in INSTANCES:
        dataset, tokens = planted(kind)
        return [written(of_series(dataset, number))], tokens
    dataset, tokens = planted("MR")
    of_series(dataset, number)
    match kind:
        case "implicit, tokens around":
            part10, tokens = planted_part10("MR", implicit=True)
            return [part10], tokens
        case "breaks off":
            return [written(dataset)[:-30]], tokens
        case "two patients":
            other = of_series(planted("MR")[0], number, 2)
            other.PatientID = "SOMEBODY-ELSE"
            other.ImagePositionPatient = [0, 0, 9]
            return [written(dataset), written(other)], [*tokens, "SOMEBODY-ELSE"]
        case "one UID, two contents":
            other = of_series(planted("MR")[0], number)
            other.PatientID = "SOMEBODY-ELSE"
            return [written(dataset), written(other)], [*tokens, "SOMEBODY-ELSE"]
        case _:
            raise ValueError(kind)


KINDS: Final = (
    *INSTANCES,
    "implicit, tokens around",
    "breaks off",
    "two patients",
    "one UID, two contents",
)


class Onlooker:
    """Reads every file of the spool again and again, and remembers what it should not see."""

    def __init__(self, spool: Path, tokens: set[str], blocks: list[bytes]) -> None:
        self.spool, self.tokens, self.blocks = spool, sorted(tokens), blocks
        self.found: set[tuple[str, str]] = set()
        self.read: set[str] = set()
        self.rounds = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.is_set():
            for path in list(self.spool.rglob("*")):
                try:
                    content = path.read_bytes()
                except OSError:
                    continue
                self.read.add(path.suffix)
                self._search(path, content)
            self.rounds += 1

    def _search(self, path: Path, content: bytes) -> None:
        self.found |= {(path.suffix, token) for token in surviving(self.tokens, content)}
        if "outbox" not in path.parts:  # what lies there may leave, the brain's pixels too
            self.found |= {(path.suffix, "pixels") for each in self.blocks if each in content}


@dataclass(frozen=True)
class Run:
    """What is left of a node that was sent every kind of series."""

    folder: Path
    tokens: set[str]
    answers: list[int]
    errors: list[str]
    log: bytes
    metrics: str
    onlooker: Onlooker
    archived: list[bytes]


def ask(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    told = response.status, response.read().decode()
    connection.close()
    return told


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture(scope="module")
def run(head: list[Dataset], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("canary")
    port, monitor = free_port(), free_port()
    create_key(folder / "spool.key", what="spool key")
    more = f'encrypt_key = "spool.key"\nkeep_pictures_hours = 1\n[monitor]\nport = {monitor}'
    series = {kind: failing(kind, 10 + n) for n, kind in enumerate(KINDS)}
    tokens = {*FakePatient().identifiers(), *(t for _, planted in series.values() for t in planted)}
    # The profile keeps age below 90 and times of day, and those are in the outbox.
    tokens -= {FakePatient().age, FakePatient().study_time}
    with receiving(Receiver()) as archive:
        path = settings_file(folder, port=port, archive=archive.port, quiet_seconds=1, more=more)
        settings = load_settings(path, {})
        with serving(path, port, log=folder / "log") as node:
            sought = {*sorted(tokens)[::6], FakePatient().name, "ZEBRAFISH"}
            onlooker = Onlooker(settings.spool.folder, sought, blocks_of(head))
            try:
                answers = [int(answer or 0) for answer in send(head, port)]
                for files, _ in series.values():
                    answers += [send_file(each, port) for each in files]
                answers.append(send_file(series["MR"][0][0], port, announced="1.2.826.0.1.777.1"))
                eventually(
                    lambda: (
                        len(status(settings).held) == len(KINDS)
                        and status(settings).series.get("purged") == 1
                    ),
                    seconds=120,
                )
                metrics = ask(monitor, "/metrics")[1]
                assert ask(monitor, "/ready")[0] == ask(monitor, "/live")[0] == 200
                rounds = onlooker.rounds
                eventually(lambda: onlooker.rounds > rounds + 2)
            finally:
                onlooker.stop()
            node.send_signal(signal.SIGTERM)
            assert node.wait(timeout=60) == 0
    return Run(
        folder=folder,
        tokens=tokens,
        answers=answers,
        errors=[each.error for each in status(settings).held],
        log=(folder / "log").read_bytes(),
        metrics=metrics,
        onlooker=onlooker,
        archived=archive.encoded,
    )


def blocks_of(series: list[Dataset]) -> list[bytes]:
    """Cut the pixels into pieces that nobody would write by chance."""
    blocks = [
        bytes(each.PixelData[k : k + BLOCK])
        for each in series
        for k in range(0, len(each.PixelData), BLOCK)
    ]
    telling = [block for block in blocks if len(set(block)) > BLOCK // 2]
    assert len(telling) > 100
    return telling[:: len(telling) // 30]


def test_series_fail_at_many_places_and_one_goes_through(run: Run, head: list[Dataset]) -> None:
    n_refused = len([answer for answer in run.answers if answer])

    assert n_refused == 1
    assert len(run.archived) == len(head) + 1
    assert {"UnsupportedSOPClass", "DuplicateInstance", "MixedSeries"} < set(run.errors)
    assert {"TooFewSlices", "UndecodableInstance"} < set(run.errors)


def test_identifier_is_found_in_no_log_metric_ledger_or_name(run: Run) -> None:
    names = "\n".join(str(path) for path in run.folder.rglob("*"))
    ledger = b"".join(path.read_bytes() for path in (run.folder / "spool").glob("ledger*"))
    places = {"log": run.log, "metrics": run.metrics.encode(), "names": names.encode()}

    found = {(name, t) for name, held in places.items() for t in surviving(run.tokens, held)}
    found |= {("ledger", token) for token in surviving(run.tokens, ledger)}

    assert len(ledger) > 4096
    assert found == set()


def test_every_line_of_the_log_is_json_with_declared_fields_only(run: Run) -> None:
    lines = [json.loads(line) for line in run.log.decode().splitlines()]

    assert {line["event"] for line in lines} >= {"listening", "series-held", "stopped"}
    assert {key for line in lines for key in line} <= LOG_LINE
    assert [line for line in lines if DROPPED in line] == []


def test_nothing_identified_lies_readable_in_the_spool_at_any_time(run: Run) -> None:
    spool = (path for path in (run.folder / "spool").rglob("*") if path.is_file())
    left = {t for path in spool for t in surviving(run.tokens, path.read_bytes())}

    assert run.onlooker.found == set()
    assert left == set()
    assert {".dcm", ".key", ".sqlite"} <= run.onlooker.read


def test_what_stays_is_encrypted_and_the_series_that_went_has_no_key_left(run: Run) -> None:
    spool = run.folder / "spool"
    held = list((spool / "received").rglob("*.dcm"))
    pictures = list((spool / "work").rglob("*.png"))
    keys = {path.parent.name for path in (spool / "received").rglob(KEY_FILE)}

    assert len(held) == len(KINDS) + 2
    assert len(pictures) == 1
    assert {path.read_bytes()[: len(MAGIC)] for path in (*held, *pictures)} == {MAGIC}
    assert keys == {path.parent.name for path in held}
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.rglob(KEY_FILE)} == {0o600}


def test_picture_can_be_taken_out_by_who_has_the_key(run: Run, tmp_path: Path) -> None:
    [key] = [path.parent.name for path in (run.folder / "spool" / "work").rglob("*.png")]
    settings, out = run.folder / "deid-node.toml", tmp_path / "picture.png"

    assert run_verb("picture", key[:8], out, "--config", settings) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert run_verb("picture", key[:8], out, "--config", settings) == 74
    assert run_verb("picture", "nobody", tmp_path / "x.png", "--config", settings) == 64


def test_metrics_tell_what_happened(run: Run, head: list[Dataset]) -> None:
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(run.metrics)
        for sample in family.samples
    }

    n_kept = len(run.answers) - 1
    assert told["deid_node_instances_total", "0x0000"] == n_kept
    assert told["deid_node_instances_total", "0xC000"] == 1
    assert told["deid_node_received_bytes_total",] > sum(len(each.PixelData) for each in head)
    assert told["deid_node_series", "held"] + told["deid_node_series", "refused"] == len(KINDS)
    assert told["deid_node_series", "purged"] == 1
    assert told["deid_node_deliveries", "archive", "delivered"] == 1
    assert told["deid_node_stage_seconds_count", "deidentify"] == 1
    assert told["deid_node_stage_seconds_count", "send"] == 2
    assert told["process_resident_memory_bytes",] > 0
    labels = {
        label
        for family in text_string_to_metric_families(run.metrics)
        for sample in family.samples
        for label in sample.labels
    }
    assert labels == {"state", "status", "error", "destination", "stage", "le", "part"} | {
        "version",
        "python",
    }
