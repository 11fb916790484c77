"""Programs of other makers send to the node, in the clear and over TLS."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydicom import dcmread, dcmwrite

from deid_node.config.schema import TLS
from deid_node.errors import SettingsInvalid
from deid_node.node.receive import listener as listening_to
from tests.fakes.node import eventually, is_open
from tests.fakes.raw_peer import (
    RawPeer,
    associate_rq,
    command_pdu,
    data_pdu,
    dataset,
    echoes,
    store,
)
from tests.fakes.scp import listening
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fakes.scp import Listening

TO_NODE = ("-aet", "PACS", "-aec", "DEIDNODE", "localhost")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    (tmp_path / "sent").mkdir()
    for k, each in enumerate(mr_series(np.arange(3 * 64, dtype=np.uint16).reshape(3, 8, 8))):
        made.append(tmp_path / "sent" / f"IM{k}.dcm")
        dcmwrite(made[-1], each, enforce_file_format=True)
    return made


def assert_came(node: Listening, files: list[Path]) -> None:
    came = {str(dcmread(path).SOPInstanceUID): dcmread(path) for path in node.files()}
    sent = {str(dcmread(path).SOPInstanceUID): dcmread(path) for path in files}
    assert came.keys() == sent.keys()
    for uid, instance in sent.items():
        assert came[uid].pixel_array.tolist() == instance.pixel_array.tolist()


@pytest.mark.peer
@pytest.mark.parametrize(
    "command",
    [
        ["storescu", *TO_NODE],
        ["storescu", "-xi", *TO_NODE],
        ["storescu", "-xb", *TO_NODE],
        ["storescu", "--max-send-pdu", "4096", *TO_NODE],
        ["dcmsend", *TO_NODE],
        ["gdcmscu", "--store", "--call", "DEIDNODE", "--aetitle", "PACS", "localhost"],
    ],
    ids=["storescu", "implicit", "big endian", "short PDUs", "dcmsend", "gdcm"],
)
def test_peer_sends_all_of_its_instances(
    tmp_path: Path, files: list[Path], command: list[str], peer: Callable[[str], str]
) -> None:
    program, *arguments = command
    with listening(tmp_path) as node:
        sent = subprocess.run(
            [peer(program), *arguments, str(node.port), *map(str, files)],
            check=False,
            capture_output=True,
        )

        assert_came(node, files)
        # Debian's gdcmscu dies of an exception of its own after a release, whoever received.
        assert sent.returncode == 0 or program == "gdcmscu"


def test_pynetdicom_sends_all_of_its_instances(tmp_path: Path, files: list[Path]) -> None:
    with listening(tmp_path) as node:
        command = [sys.executable, "-m", "pynetdicom", "storescu", *TO_NODE, str(node.port)]
        subprocess.run([*command, str(files[0].parent)], check=True)

        assert_came(node, files)


@pytest.mark.slow
@pytest.mark.peer
def test_orthanc_forwards_all_of_its_instances(
    tmp_path: Path, files: list[Path], peer: Callable[[str], str]
) -> None:
    with listening(tmp_path) as node, orthanc(peer("Orthanc"), tmp_path, node.port) as http:
        for path in files:
            ask(http, "instances", path.read_bytes())
        ask(http, "modalities/node/store", json.dumps(ask(http, "instances")).encode())

        assert_came(node, files)


@contextmanager
def orthanc(program: str, folder: Path, port: int) -> Iterator[int]:
    """Run an Orthanc that knows the node; give its HTTP port."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        dicom, http = one.getsockname()[1], two.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "DicomAet": "PACS",
        "DicomPort": dicom,
        "HttpPort": http,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "DicomModalities": {"node": ["DEIDNODE", "127.0.0.1", port]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        running = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        eventually(lambda: is_open(http))
        yield http
    finally:
        running.terminate()
        running.wait(30)


def ask(port: int, what: str, said: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
    """Talk to Orthanc's own interface."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", said, timeout=60) as answer:
        return json.load(answer)


@dataclass(frozen=True)
class Certificates:
    """Keys and certificates of a node and of a peer, each signed by itself."""

    folder: Path

    def tls(self, *, trusted: bool = False, key: str = "node") -> TLS:
        return TLS.model_construct(
            certificate=self.folder / "node.pem",
            private_key=self.folder / f"{key}.key",
            trusted_peers=self.folder / "peer.pem" if trusted else None,
        )

    def client(self, *, known: bool = False, most: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "node.pem"))
        if known:
            context.load_cert_chain(self.folder / "peer.pem", self.folder / "peer.key")
        if most is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = most
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    for who in ("node", "peer"):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        (folder / f"{who}.pem").write_bytes(certificate.public_bytes(pem))
        (folder / f"{who}.key").touch(mode=0o600)
        (folder / f"{who}.key").write_bytes(
            key.private_bytes(
                pem,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
    return Certificates(folder)


@pytest.mark.peer
def test_dcmtk_sends_over_tls(
    tmp_path: Path, files: list[Path], certificates: Certificates, peer: Callable[[str], str]
) -> None:
    own = [str(certificates.folder / name) for name in ("peer.key", "peer.pem")]
    trust = ["+cf", str(certificates.folder / "node.pem")]
    with listening(tmp_path, tls=certificates.tls(trusted=True)) as node:
        to = [*TO_NODE, str(node.port)]
        subprocess.run([peer("storescu"), "+tls", *own, *trust, *to, *map(str, files)], check=True)
        stranger = subprocess.run([peer("echoscu"), "+tla", "-ic", *to], check=False)

        assert_came(node, files)
        assert stranger.returncode != 0


def test_peer_without_a_certificate_is_served_where_none_is_asked_for(
    tmp_path: Path, certificates: Certificates
) -> None:
    with listening(tmp_path, tls=certificates.tls()) as node:
        assert echoes(node.port, tls=certificates.client())


def test_peer_without_a_certificate_is_not_served_where_one_is_asked_for(
    tmp_path: Path, certificates: Certificates
) -> None:
    with listening(tmp_path, tls=certificates.tls(trusted=True)) as node:
        assert echoes(node.port, tls=certificates.client(known=True))
        with pytest.raises((OSError, AssertionError)):
            echoes(node.port, tls=certificates.client())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_tls_is_not_spoken(tmp_path: Path, certificates: Certificates) -> None:
    with listening(tmp_path, tls=certificates.tls()) as node:
        old = certificates.client(most=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError, match=r"(?i)alert|protocol|reset|EOF"):
            echoes(node.port, tls=old)


def test_peer_that_does_not_shake_hands_keeps_nobody_out_and_is_let_go(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening_to, "MOST_SILENT", 5)
    with listening(tmp_path, tls=certificates.tls()) as node:
        silent = [RawPeer(node.port) for _ in range(20)]
        silent[-1].say(b"\x16\x03\x01")
        plain = RawPeer(node.port)
        plain.say(associate_rq())

        assert echoes(node.port, tls=certificates.client())
        assert silent[0].is_closed()
        for each in (*silent, plain):
            each.socket.close()


def test_handshake_has_a_limit(tmp_path: Path, certificates: Certificates) -> None:
    with (
        listening(tmp_path, tls=certificates.tls(), associate_seconds=0.3) as node,
        RawPeer(node.port) as silent,
    ):
        silent.say(b"\x16\x03\x01")

        assert silent.is_closed()


def test_large_instance_comes_whole_over_tls(tmp_path: Path, certificates: Certificates) -> None:
    encoded = dataset("1.2.3", pixels=3_000_000)
    with (
        listening(tmp_path, tls=certificates.tls()) as node,
        RawPeer(node.port, tls=certificates.client()) as caller,
    ):
        caller.associate()
        caller.say(command_pdu(store("1.2.3")))
        for at in range(0, len(encoded), 100_000):
            piece = encoded[at : at + 100_000]
            caller.say(data_pdu(piece, last=at + 100_000 >= len(encoded)))

        assert caller.status() == 0
        assert node.files()[0].read_bytes().endswith(encoded)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("no key", "cannot be read"),
        ("open key", "may be read or written by others"),
        ("other key", "belong together"),
        ("no certificate", "belong together"),
        ("no authorities", "holds no PEM certificate"),
    ],
)
def test_mistake_with_the_files_of_tls_is_named(
    tmp_path: Path, certificates: Certificates, damage: str, told: str
) -> None:
    for path in certificates.folder.iterdir():
        shutil.copy(path, tmp_path / path.name)
    here = Certificates(tmp_path)
    tls = here.tls(trusted=True, key="peer" if damage == "other key" else "node")
    match damage:
        case "no key":
            tls.private_key.unlink()
        case "open key":
            tls.private_key.chmod(0o644)
        case "no certificate":
            tls.certificate.write_text("nothing")
        case "no authorities":
            (tmp_path / "peer.pem").write_text("nothing")

    with pytest.raises(SettingsInvalid, match=told), listening(tmp_path, tls=tls):
        pass
