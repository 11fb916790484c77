"""Towards a destination, TLS is at least 1.2, and a certificate or name that is wrong gets nothing."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import dcmread

from deid_node.config.schema import DicomDestination
from deid_node.dicom.part10 import encode
from deid_node.errors import PeerUnreachable, SettingsInvalid
from deid_node.node.outgoing import from_encoded
from deid_node.node.send.storage_scu import StorageSCU
from tests.fakes.certificates import Authority, Pair
from tests.fakes.hostile import Wire
from tests.fakes.node import eventually, free_port, is_open
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.node.outgoing import Outgoing


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server_pair(authority: Authority) -> Pair:
    return authority.issue("127.0.0.1")


@pytest.fixture
def instances() -> list[Outgoing]:
    voxels = np.arange(3 * 256 * 256, dtype=np.uint16).reshape(3, 256, 256)
    return from_encoded([encode(each) for each in mr_series(voxels)])


def scu(port: int, **tls: Any) -> StorageSCU:  # noqa: ANN401 - any setting
    return StorageSCU(
        DicomDestination.model_validate(
            {
                "kind": "dicom",
                "name": "archive",
                "ae_title": "A",
                "host": "127.0.0.1",
                "port": port,
                "connect_seconds": 1,
                "tls": tls,
            }
        )
    )


@contextmanager
def tls_peer(pair: Pair, **limits: ssl.TLSVersion) -> Iterator[tuple[int, list[Wire]]]:
    """Listen with TLS, obey the standard after that, and note what came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    for name, version in limits.items():
        setattr(context, name, version)
    context.load_cert_chain(pair.certificate, pair.key)
    wires: list[Wire] = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            try:
                wire = Wire(context.wrap_socket(connection, server_side=True))
                wires.append(wire)
                wire.accept()
                wire.serve()
                wire.connection.close()
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1], wires
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_series_passes_encrypted_and_unchanged(
    authority: Authority, server_pair: Pair, instances: list[Outgoing]
) -> None:
    with (
        tls_peer(server_pair) as (port, wires),
        closing(scu(port, trusted_peers=authority.certificate)) as archive,
    ):
        archive.deliver(instances)

    assert wires[0].datasets == [each.part10()[each.dataset_at :] for each in instances]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_below_1_2_is_no_tls(
    authority: Authority, server_pair: Pair, instances: list[Outgoing]
) -> None:
    with (
        tls_peer(
            server_pair,
            minimum_version=ssl.TLSVersion.TLSv1_1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
        ) as (port, wires),
        closing(scu(port, trusted_peers=authority.certificate)) as archive,
        pytest.raises(PeerUnreachable, match="no TLS with it"),
    ):
        archive.deliver(instances)

    assert wires == []


def test_tls_1_2_will_do(
    authority: Authority, server_pair: Pair, instances: list[Outgoing]
) -> None:
    with (
        tls_peer(server_pair, maximum_version=ssl.TLSVersion.TLSv1_2) as (port, wires),
        closing(scu(port, trusted_peers=authority.certificate)) as archive,
    ):
        archive.deliver(instances)

    assert isinstance(wires[0].connection, ssl.SSLSocket)
    assert len(wires[0].datasets) == 3


@pytest.mark.parametrize("wrong", ["name", "authority", "date"])
def test_certificate_that_is_wrong_gets_nothing(
    authority: Authority, instances: list[Outgoing], tmp_path: Path, wrong: str
) -> None:
    pairs = {
        "name": lambda: authority.issue("elsewhere.example.org"),
        "authority": lambda: Authority(tmp_path, "stranger").issue("127.0.0.1"),
        "date": lambda: authority.issue("127.0.0.1", days=-1),
    }
    with (
        tls_peer(pairs[wrong]()) as (port, wires),
        closing(scu(port, trusted_peers=authority.certificate)) as archive,
        pytest.raises(PeerUnreachable, match="certificate is not trusted, or not of that name"),
    ):
        archive.deliver(instances)

    assert [wire.kinds for wire in wires] == []


def test_name_in_the_settings_is_the_name_that_is_checked(
    authority: Authority, instances: list[Outgoing]
) -> None:
    pair = authority.issue("archive.example.org")
    with (
        tls_peer(pair) as (port, wires),
        closing(
            scu(port, trusted_peers=authority.certificate, host_name="archive.example.org")
        ) as archive,
    ):
        archive.deliver(instances)

    assert len(wires[0].datasets) == 3


def test_without_a_file_the_authorities_of_the_system_are_trusted(
    server_pair: Pair, instances: list[Outgoing]
) -> None:
    with (
        tls_peer(server_pair) as (port, _),
        closing(scu(port)) as archive,
        pytest.raises(PeerUnreachable, match="not trusted"),
    ):
        archive.deliver(instances)


@pytest.mark.parametrize("greeting", [b"", b"\x03\0\0\0\0\x04\0\1\1\1"])
def test_peer_that_speaks_no_tls_is_left_in_time(
    authority: Authority, instances: list[Outgoing], greeting: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = threading.Event()

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)
                accepted.wait(10)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        with (
            closing(scu(server.getsockname()[1], trusted_peers=authority.certificate)) as archive,
            pytest.raises(PeerUnreachable, match="no TLS with it"),
        ):
            archive.deliver(instances)
        accepted.set()
        thread.join(5)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda pair: pair.key.chmod(0o640), "may be read or written by others"),
        (lambda pair: pair.key.write_text("no key"), "private_key cannot be used"),
        (lambda pair: pair.certificate.unlink(), "private_key cannot be used"),
        (lambda pair: pair.key.unlink(), "cannot be read"),
    ],
)
def test_own_certificate_that_cannot_be_used_is_told_at_the_start(
    authority: Authority, spoil: Callable[[Pair], object], told: str
) -> None:
    pair = authority.issue("node.example.org")
    spoil(pair)

    with pytest.raises(SettingsInvalid, match=told):
        scu(1, certificate=pair.certificate, private_key=pair.key)


def test_authority_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"tls\.trusted_peers cannot be used"):
        scu(1, trusted_peers=tmp_path / "nowhere.pem")


@pytest.mark.peer
@pytest.mark.parametrize("shows_certificate", [True, False], ids=["known", "unknown"])
def test_dcmtk_that_wants_our_certificate_gets_it(
    authority: Authority,
    server_pair: Pair,
    instances: list[Outgoing],
    tmp_path: Path,
    peer: Callable[[str], str],
    shows_certificate: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    ours = authority.issue("node.example.org")
    own = {"certificate": ours.certificate, "private_key": ours.key} if shows_certificate else {}
    port = free_port()
    files = [server_pair.key, server_pair.certificate]
    command = [peer("storescp"), "+tls", *files, "+cf", authority.certificate, "-rc"]
    received = tmp_path / "received"
    received.mkdir()
    with subprocess.Popen(
        [*map(str, command), "-od", str(received), str(port)],
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            eventually(lambda: is_open(port))
            with closing(scu(port, trusted_peers=authority.certificate, **own)) as archive:
                if shows_certificate:
                    archive.deliver(instances)
                else:
                    with pytest.raises(PeerUnreachable):
                        archive.deliver(instances)
        finally:
            process.kill()

    got = {str(dcmread(path).SOPInstanceUID) for path in received.iterdir()}
    wanted = {each.sop_instance_uid for each in instances} if shows_certificate else set()
    assert got == wanted
