"""The settings file as types; each field's description becomes its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)


def _beside_settings(path: Path, info: ValidationInfo) -> Path:
    """Read a relative path from the folder of the settings file, not of the caller."""
    folder = (info.context or {}).get("folder")
    return Path(folder) / path if folder is not None else path


def _name_or_path(value: str, info: ValidationInfo) -> str:
    """Leave a name alone; make a path absolute like every other path of the file."""
    is_path = "/" in value or value.endswith((".yaml", ".yml"))
    return str(_beside_settings(Path(value), info)) if is_path else value


AETitle = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[\x20-\x5b\x5d-\x7e]+$"
    ),
]
"""PS3.5 Table 6.2-1: 16 characters of the default repertoire, no backslash."""
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Location = Annotated[Path, AfterValidator(_beside_settings)]
NameOrPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_name_or_path)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Node(_Section):
    """The storage SCP."""

    ae_title: AETitle = Field("DEIDNODE", description="Called AE title of this node.")
    bind: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(11112, description="Port to listen on.")
    callers: tuple[AETitle, ...] = Field(
        (), description="Calling AE titles that are accepted; empty accepts nobody."
    )
    max_associations: int = Field(
        10, ge=1, le=100, description="Associations that may be open at one time."
    )


class SeriesArrival(_Section):
    """When a series counts as complete."""

    quiet_seconds: float = Field(
        30, gt=0, description="Silence after which a series is closed, in seconds."
    )
    max_open_seconds: float = Field(
        3600, gt=0, description="Close a series after this at the latest, in seconds."
    )


class Spool(_Section):
    """Where received series wait; holds identified instances until they are purged."""

    folder: Location = Field(description="Folder on a local disk, readable by the node alone.")
    reserve_gib: float = Field(
        10, ge=0, description="Free space to keep; below it the node accepts nothing, in GiB."
    )
    keep_originals_hours: float = Field(
        0, ge=0, description="Keep originals after delivery, in hours; 0 deletes them at once."
    )


class Face(_Section):
    """Face removal."""

    model: NameOrPath = Field(
        "default",
        description='"default"; or an imported model, by NAME or folder, that looks beside it.',
    )
    accuracy: Literal["exact", "balanced", "fast"] = Field(
        "balanced", description="How much work an imported model puts into one head."
    )
    seconds: float = Field(
        21600, gt=0, description="Time an imported model may take for one series, in seconds."
    )
    memory_gib: float = Field(
        8, ge=1, description="Memory an imported model may take for one series, in GiB."
    )
    threads: int = Field(0, ge=0, description="CPU threads for a model; 0 takes all.")
    margin_mm: float = Field(2, ge=0, le=20, description="Grow the mask by this, in mm.")
    brain_guard_mm: float = Field(
        3, ge=1, le=20, description="Keep the mask this far from the brain, in mm."
    )
    ears: bool = Field(default=True, description="Remove the ears too.")
    fill: Literal["noise", "min", "zero", "padding"] | int = Field(
        "noise", description="What the masked voxels become: a method, or one stored value."
    )


class DicomDestination(_Section):
    """A storage SCP that receives the result."""

    kind: Literal["dicom"] = Field(description="Sends by C-STORE.")
    name: Name = Field(description="Name in logs and on the command line.")
    ae_title: AETitle = Field(description="Called AE title of the destination.")
    host: str = Field(min_length=1, description="Host name or address.")
    port: Port = Field(description="Port of the destination.")
    calling_ae_title: AETitle = Field(
        "DEIDNODE", description="Calling AE title this node gives there."
    )


class FolderDestination(_Section):
    """A folder that receives the result."""

    kind: Literal["folder"] = Field(description="Writes Part 10 files.")
    name: Name = Field(description="Name in logs and on the command line.")
    folder: Location = Field(description="Existing or new folder.")


DestinationSettings = Annotated[DicomDestination | FolderDestination, Field(discriminator="kind")]


class Log(_Section):
    """What the node tells about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of the lines that are written."
    )


class Audit(_Section):
    """The audit log."""

    file: Location | None = Field(
        None, description="File that gets one sealed line for each series; none by default."
    )


class Crosswalk(_Section):
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


class Settings(_Section):
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
    destinations: tuple[DestinationSettings, ...] = Field(
        (), description="Where results go; each receives every series."
    )
    audit: Audit = Field(default_factory=Audit)
    crosswalk: Crosswalk = Field(default_factory=Crosswalk)
    log: Log = Field(default_factory=Log)

    @model_validator(mode="after")
    def _destinations_have_names_of_their_own(self) -> Settings:
        names = [destination.name for destination in self.destinations]
        if len(names) != len(set(names)):
            raise ValueError("two destinations have one name")
        return self
