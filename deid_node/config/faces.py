"""How faces are removed, and from whose series otherwise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from deid_node.config.setting_types import AETitle, Devices, NameOrPath, Section

Accuracy = Literal["exact", "balanced", "fast"]


class Face(Section):
    """Face removal."""

    model: NameOrPath = Field(
        "default",
        description='"default"; or an imported model, by NAME or folder, that looks beside it.',
    )
    accuracy: Accuracy = Field(
        "balanced", description="How much work an imported model puts into one head."
    )
    folds: int = Field(0, ge=0, description="Folds of an imported model to ask; 0 asks all.")
    device: Devices = Field(
        ("cpu",),
        description='Where an imported model runs: "cpu", or a GPU, "cuda" or "cuda:1"; or a list, '
        "for series that are worked on at the same time.",
    )
    seconds: float = Field(
        21600, gt=0, description="Time an imported model may take for one series, in seconds."
    )
    memory_gib: float = Field(
        8, ge=1, description="Memory an imported model may take for one series, in GiB."
    )
    threads: int = Field(0, ge=0, description="CPU threads for a model; 0 takes all.")
    margin_mm: float = Field(2.5, ge=0, le=20, description="Grow the mask by this, in mm.")
    brain_guard_mm: float = Field(
        5, ge=1, le=20, description="Keep the face's mask this far from an adult's brain, in mm."
    )
    ear_guard_mm: float = Field(
        2, ge=1, le=20, description="Keep the ears' mask this far from the brain, in mm."
    )
    ears: bool = Field(default=True, description="Remove the ears too.")
    fill: Literal["noise", "min", "zero", "padding"] | int = Field(
        "noise", description="What the masked voxels become: a method, or one stored value."
    )

    @field_validator("device")
    @classmethod
    def _devices_give_one_answer(cls, device: tuple[str, ...]) -> tuple[str, ...]:
        if len({each == "cpu" for each in device}) > 1:
            raise ValueError("face.device names GPUs and cpu, whose masks differ: name one kind")
        return device

    @property
    def places(self) -> tuple[Face, ...]:
        """The same on each of the devices."""
        devices = dict.fromkeys(self.device)
        return tuple(self.model_copy(update={"device": (each,)}) for each in devices)


class FaceOfRoute(Section):
    """What differs from ``[face]`` on a route; the rest is as it is there."""

    model: NameOrPath | None = Field(None, description="Another model than that of [face].")
    accuracy: Accuracy | None = Field(None, description="Another accuracy than that of [face].")
    folds: int | None = Field(None, ge=0, description="Other folds than those of [face].")

    def beside(self, face: Face) -> Face:
        """Give `face` with what differs."""
        return face.model_copy(update=self.model_dump(exclude_none=True))


class Route(Section):
    """What is otherwise for series that some callers send."""

    callers: tuple[AETitle, ...] = Field(
        min_length=1, description="Calling AE titles; the first that sends of a series decides."
    )
    face: FaceOfRoute = Field(description="How the face is removed from their series.")
