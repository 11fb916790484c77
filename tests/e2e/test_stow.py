"""A DICOMweb server gets whole files, says what became of each, and is believed no further."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import socket
import ssl
import subprocess
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deid_node.config.schema import StowDestination
from deid_node.errors import PeerBusy, PeerRefusedInstance, PeerUnreachable, SettingsInvalid
from deid_node.node.outgoing import from_encoded, from_file
from deid_node.node.send.stow import StowRS
from deid_node.node.send.stow_answer import TABLE, Kind, kind_of
from tests.fakes.certificates import Authority, Pair
from tests.fakes.node import eventually, free_port, is_open
from tests.fakes.sender import some_instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deid_node.node.outgoing import Outgoing

    Answer = tuple[int, object]

TOKEN = "t0ken-of-the-test"  # noqa: S105 - of no one


@pytest.fixture
def instances() -> list[Outgoing]:
    return from_encoded(some_instances(5))


class Server:
    """A DICOMweb server that answers what a test says.

    Parameters
    ----------
    answer
        HTTP status and body for the SOP Instance UIDs of a request; a body that is no bytes
        is sent as JSON.
    """

    def __init__(self, answer: Callable[[list[str]], Answer]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.port = 0

    @contextmanager
    def running(self, pair: Pair | None = None) -> Iterator[Server]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._reply(self, b"")

            def do_POST(self) -> None:
                server._reply(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            if pair is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pair.certificate, pair.key)
                http.socket = context.wrap_socket(http.socket, server_side=True)
            http.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
            self.port = http.server_address[1]
            threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
            yield self
            http.shutdown()

    def _reply(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        parts = _parts(handler.headers["Content-Type"], body) if body else []
        uids = [_uid(content) for _, content in parts]
        self.requests.append(
            {"path": handler.path, "headers": dict(handler.headers), "parts": parts}
        )
        status, content = self.answer(uids)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)


def _parts(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Part a multipart body with the standard library's mail parser."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message: Any = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    return [(each["Content-Type"], each.get_payload(decode=True)) for each in message.iter_parts()]


def _uid(part10: bytes) -> str:
    at = part10.index(b"\x02\0\x03\0UI")
    length = int.from_bytes(part10[at + 6 : at + 8], "little")
    return part10[at + 8 : at + 8 + length].rstrip(b"\0").decode()


def references(tag: str, uids: list[str], reason: int | None = None) -> dict[str, object]:
    values = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in uids]
    for value in values if reason is not None else []:
        value["00081197"] = {"vr": "US", "Value": [reason]}  # type: ignore[list-item]
    return {tag: {"vr": "SQ", "Value": values}}


def stored(uids: list[str]) -> Answer:
    return 200, references("00081199", uids)


def settings(port: int, **more: object) -> StowDestination:
    base = {"name": "cloud", "url": f"http://127.0.0.1:{port}/dicom-web/", "answer_seconds": 1}
    return StowDestination.model_validate({"kind": "stow"} | base | more)


def deliver(server: Server, instances: list[Outgoing], **more: object) -> list[tuple[int, int]]:
    """Send, and list the answers also where an error follows."""
    answers: list[tuple[int, int]] = []
    is_repeat = bool(more.pop("is_repeat", False))
    try:
        StowRS(settings(server.port, **more)).deliver(
            instances, answered=lambda *each: answers.append(each), is_repeat=is_repeat
        )
    except Exception as error:
        error.add_note(str(answers))
        raise
    return answers


def test_files_arrive_whole_in_requests_of_the_size_that_was_set(
    instances: list[Outgoing],
) -> None:
    with Server(stored).running() as server:
        answers = deliver(server, instances, instances_per_request=2)

    assert answers == [(n, 0) for n in (1, 2, 3, 4, 5)]
    assert [request["path"] for request in server.requests] == ["/dicom-web/studies"] * 3
    parts = [part for request in server.requests for part in request["parts"]]
    assert [content for _, content in parts] == [each.part10() for each in instances]
    kinds = {kind for kind, _ in parts}
    assert kinds == {"application/dicom"}
    content_type = server.requests[0]["headers"]["Content-Type"]
    assert content_type.startswith('multipart/related; type="application/dicom"; boundary=')
    assert server.requests[0]["headers"]["Accept"] == "application/dicom+json"


def test_request_is_no_larger_than_it_may_be_but_for_one_large_instance(
    instances: list[Outgoing],
) -> None:
    length = instances[0].length
    with Server(stored).running() as server:
        deliver(server, instances, mib_per_request=2.5 * length / 2**20)
        deliver(server, instances, mib_per_request=0.5 * length / 2**20)

    assert [len(request["parts"]) for request in server.requests] == [2, 2, 1, 1, 1, 1, 1, 1]


def test_instance_that_the_server_names_as_failed_is_refused_alone(
    instances: list[Outgoing],
) -> None:
    def answer(uids: list[str]) -> Answer:
        return 202, references("00081199", uids[1:]) | references("00081198", uids[:1], 0xC122)

    with (
        Server(answer).running() as server,
        pytest.raises(PeerRefusedInstance, match="refused 1 instances, status 0xC122") as it,
    ):
        deliver(server, instances)

    assert it.value.__notes__ == [str([(1, 0xC122), (2, 0), (3, 0), (4, 0), (5, 0)])]


def test_all_refused_by_409_is_known_one_by_one(instances: list[Outgoing]) -> None:
    with (
        Server(lambda uids: (409, references("00081198", uids, 0xA900))).running() as server,
        pytest.raises(PeerRefusedInstance, match="refused 5 instances, status 0xA900"),
    ):
        deliver(server, instances)


def test_duplicate_in_the_request_that_was_under_way_at_a_break_is_stored(
    instances: list[Outgoing],
) -> None:
    with (
        Server(lambda uids: (409, references("00081198", uids, 0x0111))).running() as server,
        pytest.raises(PeerRefusedInstance, match="3 instances, status 0x0111") as caught,
    ):
        deliver(server, instances, is_repeat=True, instances_per_request=2)

    assert caught.value.__notes__ == [str([(1, 0), (2, 0), *((n, 0x0111) for n in (3, 4, 5))])]


@pytest.mark.parametrize("status", [200, 202, 409])
def test_instance_that_is_not_named_is_asked_about_again(
    instances: list[Outgoing], status: int
) -> None:
    with (
        Server(lambda uids: (status, references("00081199", uids[:3]))).running() as server,
        pytest.raises(PeerBusy) as caught,
    ):
        deliver(server, instances)

    assert caught.value.__notes__ == [str([(1, 0), (2, 0), (3, 0)])]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1, 2]", b'{"00081198": 7}', b"[" * 100_000, b'{"00081199": {}}']
)
@pytest.mark.parametrize("status", [200, 202, 409])
def test_answer_that_names_no_instance_means_nothing(
    instances: list[Outgoing], status: int, body: bytes
) -> None:
    with Server(lambda _uids: (status, body)).running() as server, pytest.raises(PeerBusy) as it:
        deliver(server, instances)

    assert it.value.__notes__ == ["[]"]


def test_failure_overrules_success_of_the_same_instance(instances: list[Outgoing]) -> None:
    def answer(uids: list[str]) -> Answer:
        return 200, references("00081199", uids) | references("00081198", uids[:1], 0xC000)

    with Server(answer).running() as server, pytest.raises(PeerRefusedInstance, match="1 inst"):
        deliver(server, instances)


JUDGED = {
    200: Kind.NAMED,
    202: Kind.NAMED,
    **dict.fromkeys((400, 406, 411, 413, 414, 415, 422), Kind.NEVER),
    409: Kind.NAMED,
    **dict.fromkeys((401, 402, 403, 404, 405, 407, 408, 410, 425, 429), Kind.ABSENT),
    500: Kind.BUSY,
    **dict.fromkeys((501, 502, 503, 504, 507, 599), Kind.ABSENT),
    **dict.fromkeys((100, 201, 204, 301, 302, 307, 418, 451, 600), Kind.ABSENT),
}


@pytest.mark.parametrize(("status", "kind"), JUDGED.items())
def test_http_status_is_judged(status: int, kind: Kind) -> None:
    assert kind_of(status) is kind


def test_no_row_of_http_statuses_goes_untested() -> None:
    assert {row.first for row in TABLE} | {row.last for row in TABLE} <= set(JUDGED)


@pytest.mark.parametrize("status", [302, 401, 404, 503])
def test_server_that_takes_nothing_now_is_unreachable(
    instances: list[Outgoing], status: int
) -> None:
    with (
        Server(lambda _uids: (status, b"")).running() as server,
        pytest.raises(PeerUnreachable, match=f"HTTP status {status}"),
    ):
        deliver(server, instances)


def test_request_that_is_refused_as_a_whole_is_parted_to_find_the_culprit(
    instances: list[Outgoing],
) -> None:
    bad = instances[2].sop_instance_uid

    def answer(uids: list[str]) -> Answer:
        return (400, b"") if bad in uids else stored(uids)

    with (
        Server(answer).running() as server,
        pytest.raises(PeerRefusedInstance, match="refused 1 instances") as caught,
    ):
        deliver(server, instances)

    assert caught.value.__notes__ == [str([(1, 0), (2, 0), (3, 0xC000), (4, 0), (5, 0)])]


def test_server_that_is_silent_or_gone_is_unreachable(instances: list[Outgoing]) -> None:
    waiting = threading.Event()

    def silent(_uids: list[str]) -> Answer:
        waiting.wait(10)
        return 200, b""

    with Server(silent).running() as server, pytest.raises(PeerUnreachable, match="no answer"):
        deliver(server, instances, answer_seconds=0.3)
    waiting.set()
    with pytest.raises(PeerUnreachable, match="no connection"):
        deliver(server, instances)
    with pytest.raises(PeerUnreachable, match="no connection"):
        StowRS(settings(server.port)).echo()


def test_answer_before_the_end_of_a_request_is_heard(
    instances: list[Outgoing], tmp_path: Path
) -> None:
    large = tmp_path / "00001.dcm"
    large.write_bytes(instances[0].part10() + bytes(2**24))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        with pytest.raises(PeerUnreachable, match=r"HTTP status 503|no answer"):
            StowRS(settings(server.getsockname()[1])).deliver([from_file(large, number=1)])
        thread.join(5)


@pytest.mark.parametrize(
    ("authorization", "secret", "header"),
    [
        ("bearer", TOKEN, f"Bearer {TOKEN}"),
        ("basic", "user:pass", "Basic " + base64.b64encode(b"user:pass").decode()),
    ],
)
def test_secret_is_read_from_its_file_each_time(
    instances: list[Outgoing], tmp_path: Path, authorization: str, secret: str, header: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    file.chmod(0o600)
    with Server(stored).running() as server:
        destination = StowRS(settings(server.port, authorization=authorization, secret=str(file)))
        destination.deliver(instances)
        file.write_text(f"{secret}2\n")
        destination.deliver(instances)
        file.chmod(0o644)
        with pytest.raises(PeerUnreachable, match="secret for it cannot be read"):
            destination.deliver(instances)

    sent = [request["headers"]["Authorization"] for request in server.requests]
    assert sent[0] == header
    assert len(set(sent)) == 2


@pytest.mark.parametrize(
    ("authorization", "content", "mode"),
    [
        ("bearer", TOKEN, 0o640),
        ("bearer", "", 0o600),
        ("bearer", "two\nlines", 0o600),
        ("bearer", "ünicode", 0o600),
        ("basic", "nocolon", 0o600),
    ],
)
def test_secret_that_cannot_be_used_is_told_at_the_start_without_its_text(
    tmp_path: Path, authorization: str, content: str, mode: int
) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    file.chmod(mode)

    with pytest.raises(SettingsInvalid) as caught:
        StowRS(settings(1, authorization=authorization, secret=str(file)))

    assert not content or content not in str(caught.value)


@pytest.mark.parametrize("is_known", [True, False])
def test_https_checks_the_certificate(
    instances: list[Outgoing],
    tmp_path: Path,
    is_known: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    authority = Authority(tmp_path)
    stranger = Authority(tmp_path, "stranger")
    trusted = (authority if is_known else stranger).certificate
    with Server(stored).running(authority.issue("127.0.0.1")) as server:
        url = f"https://127.0.0.1:{server.port}/dicom-web"
        destination = StowRS(settings(1, url=url, tls={"trusted_peers": str(trusted)}))
        if is_known:
            destination.deliver(instances)
        else:
            with pytest.raises(PeerUnreachable, match="certificate is not trusted"):
                destination.deliver(instances)

    assert len(server.requests) == is_known


def test_echo_asks_for_no_more_than_one_study(instances: list[Outgoing]) -> None:
    del instances
    with Server(lambda _uids: (200, b"[]")).running() as server:
        StowRS(settings(server.port)).echo()
    with (
        Server(lambda _uids: (401, b"")).running() as refusing,
        pytest.raises(PeerUnreachable, match="401"),
    ):
        StowRS(settings(refusing.port)).echo()

    assert server.requests[0]["path"] == "/dicom-web/studies?limit=1"


@pytest.fixture
def orthanc(tmp_path: Path, peer: Callable[[str], str]) -> Iterator[int]:
    """Run an Orthanc with its DICOMweb plugin; give its HTTP port."""
    plugin = next(Path("/usr").glob("**/libOrthancDicomWeb.so"), None)
    if plugin is None:
        pytest.skip("orthanc-dicomweb is not installed: `make peers` installs it")
    ports = [free_port() for _ in range(2)]
    chosen = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "DicomPort": ports[0],
        "HttpPort": ports[1],
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"node": "secret"},
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(chosen))
    with subprocess.Popen(
        [peer("Orthanc"), str(tmp_path / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        eventually(lambda: is_open(ports[1]))
        yield ports[1]
        process.kill()


@pytest.mark.peer
def test_orthanc_has_every_file_byte_by_byte(
    instances: list[Outgoing], tmp_path: Path, orthanc: int
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("node:secret")
    secret.chmod(0o600)
    answers: list[tuple[int, int]] = []
    destination = StowRS(
        settings(orthanc, authorization="basic", secret=str(secret), answer_seconds=60)
    )

    destination.echo()
    for _ in range(2):
        destination.deliver(instances, answered=lambda *each: answers.append(each))

    assert answers == [(n, 0) for n in (1, 2, 3, 4, 5)] * 2
    got = {
        _ask(orthanc, f"/instances/{each}/file") for each in json.loads(_ask(orthanc, "/instances"))
    }
    assert got == {each.part10() for each in instances}


def _ask(port: int, path: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    secret = base64.b64encode(b"node:secret").decode()
    request.add_header("Authorization", f"Basic {secret}")
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - this machine
        return bytes(answer.read())
