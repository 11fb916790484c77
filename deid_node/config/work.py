"""What works on series while the node receives."""

from __future__ import annotations

from pydantic import Field

from deid_node.config.setting_types import Section


class Work(Section):
    """How many series are worked on at a time."""

    processes: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that work on series, each on one at a time; 0 takes one for each of "
        "face.device.",
    )
