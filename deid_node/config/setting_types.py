"""What the values of the settings file are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)


def _beside_settings(path: Path, info: ValidationInfo) -> Path:
    """Read a relative path from the folder of the settings file, not of the caller."""
    folder = (info.context or {}).get("folder")
    return Path(folder) / path if folder is not None else path


def _name_or_path(value: str, info: ValidationInfo) -> str:
    """Leave a name alone; make a path absolute like every other path of the file."""
    is_path = "/" in value or value.endswith((".yaml", ".yml"))
    return str(_beside_settings(Path(value), info)) if is_path else value


def _listed(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    return [value] if isinstance(value, str) else value


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
DEVICE = r"^(cpu|cuda(:\d{1,2})?)$"
Device = Annotated[str, StringConstraints(pattern=DEVICE)]
Devices = Annotated[
    tuple[Device, ...],
    BeforeValidator(_listed, json_schema_input_type=Device | tuple[Device, ...]),
    Field(min_length=1),
]
"""One, or a list of them."""
NameOrPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_name_or_path)]


class Section(BaseModel):
    """A table of the file: no unknown key, no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
