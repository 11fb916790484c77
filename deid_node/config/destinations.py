"""``[[destinations]]`` of the settings file: where results go, and how long it is tried."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from deid_node.config.setting_types import AETitle, Location, Name, Port, Section


def _web_address(value: str) -> str:
    """Take ``https://host[:port]/path``; a name and password in it would end up in logs."""
    parts = urlsplit(value)
    try:
        is_good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("url must be http(s)://host[:port]/path, without user, query or fragment")
    return value.rstrip("/")


WebAddress = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_web_address)]


class DestinationTLS(Section):
    """TLS towards a destination: version 1.2 at least, certificate and name always checked."""

    trusted_peers: Location | None = Field(
        None, description="PEM file of the CA that signed its certificate; the system's by default."
    )
    certificate: Location | None = Field(
        None, description="PEM file of this node's certificate, for a destination that asks for it."
    )
    private_key: Location | None = Field(
        None, description="PEM file of its key, mode 0600, no passphrase."
    )
    host_name: str | None = Field(
        None, min_length=1, description="Name its certificate must have; the host by default."
    )

    @model_validator(mode="after")
    def _certificate_and_key_go_together(self) -> DestinationTLS:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("tls needs both certificate and private_key, or neither")
        return self


class _Destination(Section):
    name: Name = Field(description="Name in logs and on the command line.")
    give_up_hours: float = Field(
        168,
        gt=0,
        description="A series that failed this long becomes a dead letter, in hours.",
    )


class DicomDestination(_Destination):
    """A storage SCP that receives the result."""

    kind: Literal["dicom"] = Field(description="Sends by C-STORE.")
    ae_title: AETitle = Field(description="Called AE title of the destination.")
    host: str = Field(min_length=1, description="Host name or address.")
    port: Port = Field(description="Port of the destination.")
    calling_ae_title: AETitle = Field(
        "DEIDNODE", description="Calling AE title this node gives there."
    )
    tls: DestinationTLS | None = Field(
        None, description="TLS; without this section nothing is encrypted."
    )
    associations: int = Field(
        1, ge=1, le=16, description="Associations at one time, each with a series of its own."
    )
    instances_per_association: int = Field(
        0, ge=0, description="Instances after which an association is released; 0: no limit."
    )
    connect_seconds: float = Field(
        10, gt=0, le=300, description="Longest wait for connection, TLS and association, each."
    )
    stall_seconds: float = Field(
        60, gt=0, le=3600, description="Longest wait while it takes not one more byte."
    )
    answer_seconds: float = Field(
        120, gt=0, le=3600, description="Longest wait for the whole answer to an instance."
    )
    idle_seconds: float = Field(
        20, ge=0, le=3600, description="An association is kept open this long between series."
    )
    commitment: Literal["none", "ask", "before-purge"] = Field(
        "none",
        description="Storage commitment: never asked, asked, or needed before originals go.",
    )


class StowDestination(_Destination):
    """A DICOMweb server that receives the result."""

    kind: Literal["stow"] = Field(description="Sends by STOW-RS.")
    url: WebAddress = Field(description="Base address of the service; /studies is added.")
    authorization: Literal["none", "bearer", "basic"] = Field(
        "none", description="How it is told who sends."
    )
    secret: Location | None = Field(
        None, description="File with the token, or with user:password; mode 0600."
    )
    tls: DestinationTLS = Field(
        default_factory=DestinationTLS, description="TLS of an https address."
    )
    instances_per_request: int = Field(
        50, ge=1, le=10_000, description="Most instances in one request."
    )
    mib_per_request: float = Field(
        64, gt=0, description="No instance is added to a request beyond this, in MiB."
    )
    connect_seconds: float = Field(
        10, gt=0, le=300, description="Longest wait for connection and TLS, each."
    )
    answer_seconds: float = Field(
        120, gt=0, le=3600, description="Longest wait for an answer, or for a byte to be taken."
    )

    @model_validator(mode="after")
    def _secret_goes_with_authorization(self) -> StowDestination:
        if (self.authorization == "none") != (self.secret is None):
            raise ValueError("stow needs both authorization and secret, or neither")
        if self.secret is not None and not self.url.startswith("https://") and not self.is_local:
            raise ValueError("stow sends a secret to an https address only")
        return self

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return urlsplit(self.url).hostname in {"localhost", "127.0.0.1", "::1"}


class FolderDestination(_Destination):
    """A folder that receives the result."""

    kind: Literal["folder"] = Field(description="Writes Part 10 files.")
    folder: Location = Field(description="Existing or new folder.")


DestinationSettings = Annotated[
    DicomDestination | StowDestination | FolderDestination, Field(discriminator="kind")
]
