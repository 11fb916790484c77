"""The settings file as types; each field's description becomes its documentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from deid_node.config.destinations import (
    DestinationSettings,
    DestinationTLS,
    DicomDestination,
    FolderDestination,
    StowDestination,
)
from deid_node.config.faces import Face, Route
from deid_node.config.setting_types import AETitle, Location, NameOrPath, Port, Section
from deid_node.config.work import Work

__all__ = [
    "Commitment",
    "DestinationSettings",
    "DicomDestination",
    "Face",
    "FolderDestination",
    "Route",
    "Settings",
    "Source",
    "StowDestination",
]


class TLS(Section):
    """TLS towards those that send; version 1.2 at least."""

    certificate: Location = Field(description="PEM file: this node's certificate and its chain.")
    private_key: Location = Field(description="PEM file of its key, readable by the node alone.")
    trusted_peers: Location | None = Field(
        None,
        description="PEM file of authorities: who connects must show a certificate that one of "
        "them signed; without it anybody may connect whose AE title is accepted.",
    )


class Node(Section):
    """The storage SCP."""

    ae_title: AETitle = Field("DEIDNODE", description="Called AE title of this node.")
    bind: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(11112, description="Port to listen on.")
    callers: tuple[AETitle, ...] = Field(
        (), description="Calling AE titles that are accepted; empty accepts nobody."
    )
    max_associations: int = Field(
        100, ge=1, le=1000, description="Associations that may be open at one time."
    )
    associate_seconds: float = Field(
        30,
        gt=0,
        le=3600,
        description="Time from connecting to the whole request for an association, TLS included.",
    )
    pdu_seconds: float = Field(
        30, gt=0, le=3600, description="Time from the first byte of a PDU to its last, in seconds."
    )
    idle_seconds: float = Field(
        60, gt=0, le=86400, description="Silence after which an association is aborted, in seconds."
    )
    tls: TLS | None = Field(None, description="Speak TLS on this port; without it in the clear.")


class SeriesArrival(Section):
    """When a series counts as complete."""

    quiet_seconds: float = Field(
        30, gt=0, description="Silence after which a series is closed at the latest, in seconds."
    )
    max_open_seconds: float = Field(
        3600, gt=0, description="Close a series after this at the latest, in seconds."
    )
    released_seconds: float = Field(
        10,
        gt=0,
        description="The same, once every sender has released its association, in seconds; an "
        "association that was aborted, or slices with a gap, change nothing.",
    )
    complete_seconds: float = Field(
        5,
        gt=0,
        description="The same, once as many instances came as the source has, or as they "
        "themselves announce, in seconds.",
    )
    late: Literal["hold", "replace"] = Field(
        "hold",
        description="What comes after its series has left: held for a person, or the whole series "
        "is worked on anew and sent again under the same UIDs.",
    )


class Source(Section):
    """A query SCP that knows the series which some callers send."""

    callers: tuple[AETitle, ...] = Field(
        min_length=1, description="Calling AE titles whose series it knows."
    )
    ae_title: AETitle = Field(description="Called AE title of the source.")
    host: str = Field(min_length=1, description="Host name or address.")
    port: Port = Field(description="Port of the source.")
    calling_ae_title: AETitle = Field(
        "DEIDNODE", description="Calling AE title this node gives there."
    )
    seconds: float = Field(
        10, gt=0, le=300, description="Longest wait for connection, association and answer, each."
    )
    tls: DestinationTLS | None = Field(
        None, description="TLS; without this section nothing is encrypted."
    )


class Spool(Section):
    """Where received series wait; holds identified instances until they are purged."""

    folder: Location = Field(description="Folder on a local disk, readable by the node alone.")
    reserve_gib: float = Field(
        10, ge=0, description="Free space to keep; below it the node accepts nothing, in GiB."
    )
    keep_originals_hours: float = Field(
        0, ge=0, description="Keep originals after delivery, in hours; 0 deletes them at once."
    )
    keep_pictures_hours: float | None = Field(
        None,
        ge=0,
        description="Keep before/after pictures after delivery, in hours; they show faces. "
        "As long as originals by default.",
    )

    encrypt_key: Location | None = Field(
        None,
        description="File with the key that encrypts what identifies a person here; none by "
        "default: `deid-node keys create` makes one.",
    )

    @property
    def picture_hours(self) -> float:
        """How long pictures are kept."""
        kept = self.keep_pictures_hours
        return self.keep_originals_hours if kept is None else kept


class Commitment(Section):
    """Where destinations report what they have committed to keep."""

    bind: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port | None = Field(
        None, description="Port for reports; none by default: they come on the same association."
    )


class Monitor(Section):
    """Where a monitoring system asks: ``/live``, ``/ready`` and ``/metrics`` over HTTP."""

    bind: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port | None = Field(None, description="Port to listen on; none by default.")


class Log(Section):
    """What the node tells about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of the lines that are written."
    )


class Audit(Section):
    """The audit log."""

    file: Location | None = Field(
        None, description="File that gets one sealed line for each series; none by default."
    )


class Crosswalk(Section):
    """Old and new identifiers, encrypted for an honest broker."""

    file: Location | None = Field(
        None, description="File that gets them; none by default. This node cannot read it back."
    )
    recipient: Location | None = Field(
        None, description="The broker's public key, made by `deid-node mapping keygen`."
    )

    @model_validator(mode="after")
    def _file_and_recipient_go_together(self) -> Crosswalk:
        if (self.file is None) != (self.recipient is None):
            raise ValueError("crosswalk needs both file and recipient")
        return self


class Settings(Section):
    """The whole settings file."""

    schema_version: Literal[1] = Field(description="Version of this file's layout.")
    profile: NameOrPath = Field(
        "research-mr", description="Name of a shipped profile, or a path to a YAML file."
    )
    pseudonym_key: Location = Field(
        description="File that holds the secret key; create it with `deid-node init`."
    )
    node: Node = Field(default_factory=Node)
    series: SeriesArrival = Field(default_factory=SeriesArrival)
    spool: Spool
    face: Face = Field(default_factory=Face)
    routes: tuple[Route, ...] = Field(
        (), description="What is otherwise for series that some callers send."
    )
    work: Work = Field(default_factory=Work)
    sources: tuple[Source, ...] = Field(
        (), description="Who can be asked how many instances a series has."
    )
    destinations: tuple[DestinationSettings, ...] = Field(
        (), description="Where results go; each receives every series."
    )
    commitment: Commitment = Field(default_factory=Commitment)
    audit: Audit = Field(default_factory=Audit)
    crosswalk: Crosswalk = Field(default_factory=Crosswalk)
    monitor: Monitor = Field(default_factory=Monitor)
    log: Log = Field(default_factory=Log)

    @model_validator(mode="after")
    def _destinations_have_names_of_their_own(self) -> Settings:
        names = [destination.name for destination in self.destinations]
        if len(names) != len(set(names)):
            raise ValueError("two destinations have one name")
        return self

    @model_validator(mode="after")
    def _callers_have_one_source(self) -> Settings:
        callers = [caller for source in self.sources for caller in source.callers]
        if len(callers) != len(set(callers)):
            raise ValueError("two sources have one caller")
        return self

    @model_validator(mode="after")
    def _routes_are_of_callers_that_are_accepted(self) -> Settings:
        callers = [caller for route in self.routes for caller in route.callers]
        if len(callers) != len(set(callers)):
            raise ValueError("two routes have one caller")
        if not set(callers) <= set(self.node.callers):
            raise ValueError("routes has a caller that node.callers does not accept")
        return self

    def face_of(self, caller: str | None) -> Face:
        """Tell how the face is removed from series that a caller sends; None is nobody known."""
        for route in self.routes:
            if caller in route.callers:
                return route.face.beside(self.face)
        return self.face

    @property
    def faces(self) -> tuple[Face, ...]:
        """What `face_of` may answer, each once; that of nobody known is the first."""
        routed = (route.face.beside(self.face) for route in self.routes)
        return tuple(dict.fromkeys((self.face, *routed)))
