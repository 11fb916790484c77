"""Where imported face models are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def models_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Name the folder of imported models in the user's data folder.

    Parameters
    ----------
    environment
        The variables to look at, by default the process's own: ``XDG_DATA_HOME``, as the XDG
        Base Directory Specification has it.
    """
    variables = os.environ if environment is None else environment
    given = Path(variables.get("XDG_DATA_HOME", ""))
    data = given if given.is_absolute() else Path.home() / ".local" / "share"
    return data / "deid-node" / "models"
