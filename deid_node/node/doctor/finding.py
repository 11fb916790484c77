"""One thing that was looked at, and what was found."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node.errors import DeidNodeError

if TYPE_CHECKING:
    from collections.abc import Callable


class Level(enum.Enum):
    """How good it is."""

    OK = "ok"
    WARNING = "warning"
    """It works; a person should know."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check
        Its name.
    level
        How good it is.
    told
        What was found; safe to show.
    next_step
        What a person can do; empty where nothing need be done.
    """

    check: str
    level: Level
    told: str
    next_step: str = ""

    def as_json(self) -> dict[str, str]:
        """Give the finding as JSON types."""
        return {
            "check": self.check,
            "level": self.level.value,
            "told": self.told,
            "next_step": self.next_step,
        }


@dataclass(frozen=True, slots=True)
class Good:
    """All is well."""

    told: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """It works, but."""

    told: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Bad:
    """It does not work."""

    told: str
    next_step: str


Answer = Good | Doubtful | Bad


def found(check: str, look: Callable[[], Answer]) -> Finding:
    """Make one check; an error is its finding, and of an unknown one the class name alone."""
    try:
        answer = look()
    except DeidNodeError as error:
        answer = Bad(str(error), error.next_step)
    except Exception as error:  # noqa: BLE001 - its text may quote anything
        answer = Bad(f"the check itself failed with {type(error).__name__}", "report it")
    match answer:
        case Good(told):
            return Finding(check=check, level=Level.OK, told=told)
        case Doubtful(told, next_step):
            return Finding(check=check, level=Level.WARNING, told=told, next_step=next_step)
        case Bad(told, next_step):
            return Finding(check=check, level=Level.FAILED, told=told, next_step=next_step)
