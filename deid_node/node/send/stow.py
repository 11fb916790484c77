"""Send instances to a DICOMweb server by STOW-RS, streamed from disk (PS3.18 section 10.5).

One request carries several whole Part 10 files, so an answer settles several instances.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import secrets
import ssl
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from deid_node.errors import (
    PeerBusy,
    PeerRefusedInstance,
    PeerUnreachable,
    SettingsInvalid,
)
from deid_node.node.send.storage_scu import unobserved
from deid_node.node.send.store_status import Verdict, meaning_of, verdict_on
from deid_node.node.send.stow_answer import SUCCESS, Kind, kind_of, statuses
from deid_node.node.send.tls import client_context, refuse_open_to_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deid_node.config.destinations import StowDestination
    from deid_node.node.outgoing import Outgoing

MIB: Final = 2**20
_BLOCK_BYTES: Final = 2**20
_MAX_ANSWER_BYTES: Final = 16 * MIB
_CANNOT_UNDERSTAND: Final = 0xC000


class StowRS:
    """A destination reached by STOW-RS.

    Raises
    ------
    SettingsInvalid
        If its secret or a file of its TLS settings cannot be used.
    """

    def __init__(self, settings: StowDestination) -> None:
        self.name = settings.name
        self._settings = settings
        address = urlsplit(settings.url)
        self._host, self._port, self._path = address.hostname or "", address.port, address.path
        self._tls = (
            client_context(settings.tls, destination=self.name)
            if address.scheme == "https"
            else None
        )
        authorization(settings)

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Callable[[int, int], None] = unobserved,
        is_repeat: bool = False,
    ) -> None:
        """Send every instance; see `deid_node.node.send.destination.Destination.deliver`."""
        refused: list[int] = []
        put_off = ""
        connection = self._connection()
        try:
            for number, batch in enumerate(batches(instances, self._settings)):
                for instance, status in self._stored(connection, batch):
                    if status is None:
                        put_off = "it did not say what became of an instance"
                        continue
                    verdict = verdict_on(status, is_repeat=is_repeat and number == 0)
                    if verdict is Verdict.LATER:
                        put_off = meaning_of(status)
                        continue
                    if verdict is Verdict.NEVER:
                        refused.append(status)
                    answered(instance.number, status if verdict is Verdict.NEVER else SUCCESS)
                if put_off:
                    raise PeerBusy(destination=self.name, why=put_off)
        finally:
            connection.close()
        if refused:
            raise PeerRefusedInstance(
                destination=self.name, status=refused[0], n_instances=len(refused)
            )

    def echo(self) -> None:
        """Search for one study; see `deid_node.node.send.destination.Destination.echo`."""
        connection = self._connection()
        try:
            http_status, _ = self._exchange(connection, "GET", "/studies?limit=1", {}, ())
        finally:
            connection.close()
        if kind_of(http_status) is Kind.ABSENT:
            raise self._unreachable(f"HTTP status {http_status}")

    def rest(self) -> None:
        """Do nothing: a connection ends with the series."""

    def close(self) -> None:
        """Do nothing: a connection ends with the series."""

    def _stored(
        self, connection: http.client.HTTPConnection, batch: Sequence[Outgoing]
    ) -> Iterator[tuple[Outgoing, int | None]]:
        """Store a batch; if it is refused as a whole, its instances one by one."""
        http_status, body = self._post(connection, batch)
        kind = kind_of(http_status)
        if kind is Kind.ABSENT:
            raise self._unreachable(f"HTTP status {http_status}")
        if kind is Kind.BUSY:
            raise PeerBusy(destination=self.name, why=f"HTTP status {http_status}")
        if kind is not Kind.NEVER:
            known = statuses(body)
            for instance in batch:
                yield instance, known.get(instance.sop_instance_uid)
        elif len(batch) == 1:
            yield batch[0], _CANNOT_UNDERSTAND
        else:
            for instance in batch:
                yield from self._stored(connection, [instance])

    def _post(
        self, connection: http.client.HTTPConnection, batch: Sequence[Outgoing]
    ) -> tuple[int, bytes]:
        boundary = secrets.token_hex(16)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(body_length(batch, boundary)),
        }
        return self._exchange(connection, "POST", "/studies", headers, body(batch, boundary))

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: dict[str, str],
        content: Iterator[bytes | memoryview] | tuple[()],
    ) -> tuple[int, bytes]:
        try:
            headers |= {"Accept": "application/dicom+json"} | authorization(self._settings)
            # It may have answered, and hung up, before it had read everything.
            with contextlib.suppress(ConnectionError):
                connection.request(method, self._path + path, content or None, headers)
            response = connection.getresponse()
            return response.status, self._read(response)
        except SettingsInvalid:
            raise self._unreachable("the secret for it cannot be read") from None
        except (OSError, http.client.HTTPException, UnicodeError):
            raise self._unreachable("no answer from it") from None

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """Read the body of an answer, bounded in length and time."""
        deadline = time.monotonic() + self._settings.answer_seconds
        pieces = []
        while piece := response.read1(_BLOCK_BYTES):
            pieces.append(piece)
            if time.monotonic() > deadline or sum(map(len, pieces)) > _MAX_ANSWER_BYTES:
                raise self._unreachable("its answer has no end")
        response.close()
        return b"".join(pieces)

    def _connection(self) -> http.client.HTTPConnection:
        """Connect, with one limit for that and another for what follows."""
        seconds = self._settings.connect_seconds
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=seconds, context=self._tls
            )
        try:
            connection.connect()
        except ssl.SSLCertVerificationError:
            raise self._unreachable("its certificate is not trusted, or not of that name") from None
        except (OSError, UnicodeError):
            raise self._unreachable("no connection with it") from None
        connection.timeout = self._settings.answer_seconds
        connection.sock.settimeout(connection.timeout)
        return connection

    def _unreachable(self, why: str) -> PeerUnreachable:
        return PeerUnreachable(destination=self.name, why=why)


def authorization(settings: StowDestination) -> dict[str, str]:
    """Make the header that says who sends; the secret is read anew each time.

    Raises
    ------
    SettingsInvalid
        If the file cannot be read, or others may.
    """
    if settings.secret is None:
        return {}
    refuse_open_to_others(settings.secret, destination=settings.name)
    try:
        secret = settings.secret.read_bytes().strip()
    except OSError:
        secret = b""
    is_plain = secret.isascii() and secret.decode("ascii", "replace").isprintable()
    if not secret or not is_plain or (settings.authorization == "basic") != (b":" in secret):
        raise SettingsInvalid(
            f"destination {settings.name}: {settings.secret} holds no {settings.authorization}"
            " secret on one line of ASCII"
        )
    if settings.authorization == "basic":
        secret = base64.b64encode(secret)
    return {"Authorization": f"{settings.authorization.title()} {secret.decode('ascii')}"}


def batches(instances: Sequence[Outgoing], settings: StowDestination) -> Iterator[list[Outgoing]]:
    """Part instances into requests, by number and size; one is never parted."""
    batch: list[Outgoing] = []
    n_bytes = 0
    for instance in instances:
        is_full = len(batch) >= settings.instances_per_request
        if batch and (is_full or n_bytes + instance.length > settings.mib_per_request * MIB):
            yield batch
            batch, n_bytes = [], 0
        batch.append(instance)
        n_bytes += instance.length
    if batch:
        yield batch


def body(batch: Sequence[Outgoing], boundary: str) -> Iterator[bytes | memoryview]:
    """Write a multipart body, RFC 2046 section 5.1, block by block."""
    for instance in batch:
        yield _opening(boundary)
        yield from instance.blocks(_BLOCK_BYTES)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def body_length(batch: Sequence[Outgoing], boundary: str) -> int:
    """Count the bytes of `body` without reading a file."""
    parts = (len(_opening(boundary)) + each.length + 2 for each in batch)
    return sum(parts) + len(boundary) + len("----\r\n")


def _opening(boundary: str) -> bytes:
    """Begin a part. Its Transfer Syntax stands in the file, and Orthanc takes it nowhere else."""
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
