"""Work through a folder of DICOM files, one series at a time, for `send` and `deface`."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deid_node.cli.output import progress
from deid_node.config.recipes import recipe_from
from deid_node.dicom.series import group_files, read_series
from deid_node.errors import (
    AuditUnusable,
    CrosswalkUnusable,
    DeidNodeError,
    Disposition,
    NotDicom,
    OutputUnwritable,
)
from deid_node.node.evidence import Pictures
from deid_node.node.input_folder import files_below
from deid_node.node.models.inference import inference_apart
from deid_node.node.outgoing import from_encoded
from deid_node.node.patients import with_patients_named
from deid_node.node.records.series_records import records_of
from deid_node.pipeline.deidentify import STAGES, deidentify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deid_node.config.schema import Settings
    from deid_node.errors import InstanceRefused
    from deid_node.node.records.series_records import SeriesRecords
    from deid_node.node.send.destination import Destination
    from deid_node.pipeline.deidentify import DeidentifiedSeries

DELIVERED: Final = "delivered"
STATES: Final = {
    Disposition.HOLD: "held",
    Disposition.STOP: "held",
    Disposition.REFUSE: "refused",
    Disposition.RETRY: "retry",
}
"""What an error makes of its series. What stops a node holds one series here."""

RUN_AGAIN: Final = "run the command again; what has arrived already comes to no harm"
"""Next step where a node would try again by itself, but a command has ended."""

STEPS: Final = len(STAGES) + 3
"""Ticks of the progress bar for one series: reading, the stages, picture, delivering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one series.

    Parameters
    ----------
    series : str
        Pseudonym of the source series.
    state : str
        ``delivered``, ``held``, ``refused``, or ``retry``: not taken by the destination.
    n_files : int
        Files of the series that were found.
    removed_ml : float
        Volume of the voxels that were replaced, in millilitres.
    seconds : float
        Wall time.
    stages : dict of str to float
        Wall time of each stage, in seconds.
    reason, next_step : str
        Why it was not delivered, and what to do.
    exit_code : int
        What this series contributes to the exit code.
    picture : Path or None
        The before/after picture; it shows the face.
    record : dict or None
        What was done.
    """

    series: str
    state: str
    n_files: int
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)
    removed_ml: float = 0.0
    reason: str = ""
    next_step: str = ""
    exit_code: int = 0
    picture: Path | None = None
    record: dict[str, object] | None = None

    def as_json(self) -> dict[str, object]:
        """Give the outcome as JSON types."""
        return {**asdict(self), "picture": str(self.picture) if self.picture else None}


class _Watch:
    """Takes the wall time of each stage of one series, and moves the progress bar."""

    def __init__(self, advance: Callable[..., None], key: str) -> None:
        self._advance = advance
        self._key = key
        self._stage = ""
        self._began = self._first = time.monotonic()
        self.stages: dict[str, float] = {}

    def begin(self, stage: str) -> None:
        """End the stage that runs, and begin another."""
        self._end()
        self._stage = stage
        self._advance(description=f"{self._key[:8]} {stage}")

    def total(self) -> float:
        """End the last stage; give the wall time of all."""
        self._end()
        self._stage = ""
        return self._began - self._first

    def _end(self) -> None:
        now = time.monotonic()
        if self._stage:
            self.stages[self._stage] = round(now - self._began, 3)
        self._began = now


class Offline:
    """De-identify a folder and deliver each series as soon as it is ready.

    Parameters
    ----------
    settings : Settings
        Profile, key, model, and where private pictures are kept.
    destination : Destination
        What receives the results.
    verb : str
        Name of the command, for the audit log.
    also : callable, optional
        Called with each series after it was delivered.
    """

    def __init__(
        self,
        settings: Settings,
        destination: Destination,
        *,
        verb: str,
        also: Callable[[DeidentifiedSeries], object] | None = None,
    ) -> None:
        self._recipe = with_patients_named(recipe_from(settings, segmenter=inference_apart))
        self._verb = verb
        self._records = records_of(settings, self._recipe)
        self._private = settings.spool.folder
        self._destination = destination
        self._also = also or (lambda _result: None)

    def run(self, folder: Path) -> tuple[list[Outcome], list[tuple[Path, InstanceRefused]]]:
        """Work through every file below `folder`.

        Returns
        -------
        list of Outcome
            One for each series.
        list of (Path, InstanceRefused)
            Files that belong to no series.

        Raises
        ------
        NotDicom
            If no file is a DICOM instance.
        OutputUnwritable, AuditUnusable, CrosswalkUnusable
            If results cannot be written, or not be put on record.
        """
        by_series, refused = group_files(files_below(folder))
        if not by_series:
            n_files = len(refused)
            raise NotDicom(f"no DICOM instance among the {n_files} files of {folder}")
        with _bar() as bar, ExitStack() as stack:
            records = self._records.open_for_series(stack, verb=self._verb)
            task = bar.add_task("", total=STEPS * len(by_series))
            outcomes = []
            for n, (uid, paths) in enumerate(by_series.items(), start=1):
                key = self._recipe.pseudonyms.series_key(uid)
                watch = _Watch(partial(bar.update, task, advance=1), key)
                outcomes.append(self._series(key, paths, watch, records))
                bar.update(task, completed=n * STEPS)
        return outcomes, refused

    def _series(
        self, key: str, paths: Sequence[Path], watch: _Watch, records: SeriesRecords
    ) -> Outcome:
        """De-identify and deliver one series; a failure of it is its own."""
        picture = None
        try:
            watch.begin("read")
            result = deidentify(read_series(paths), self._recipe, observe=watch.begin)
            watch.begin("picture")
            pictures = Pictures(self._private)
            pictures.keep(key, result.evidence)
            picture = pictures.place(key)
            watch.begin("deliver")
            records.ready(key, result)
            self._destination.deliver(from_encoded([*result.instances, result.segmentation]))
            self._also(result)
        except (OutputUnwritable, AuditUnusable, CrosswalkUnusable):
            raise
        except Exception as error:  # noqa: BLE001 - one series' fault must not stop the others
            failed = _failed(error, key=key, n_files=len(paths), watch=watch, picture=picture)
            records.set_aside(
                key, state=failed.state, error=type(error).__name__, n_instances=len(paths)
            )
            return failed
        return Outcome(
            series=key,
            state=DELIVERED,
            n_files=len(paths),
            seconds=watch.total(),
            stages=watch.stages,
            removed_ml=result.record.removed_ml,
            picture=picture,
            record=result.record.as_json(),
        )


def _failed(
    error: Exception, *, key: str, n_files: int, watch: _Watch, picture: Path | None
) -> Outcome:
    """Turn an error into an outcome; of a foreign error only the class is told."""
    if isinstance(error, DeidNodeError):
        known, reason = error, f"{type(error).__name__}: {error}"
    else:
        known = DeidNodeError()
        reason = f"internal error {type(error).__name__}, error_id {uuid.uuid4().hex[:8]}"
    return Outcome(
        series=key,
        state=STATES[known.disposition],
        n_files=n_files,
        seconds=watch.total(),
        stages=watch.stages,
        reason=reason,
        next_step=RUN_AGAIN if known.disposition is Disposition.RETRY else known.next_step,
        exit_code=known.exit_code,
        picture=picture,
    )


def _bar() -> Progress:
    """Build the progress bar; on standard error, and only where a person looks."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=progress,
        transient=True,
        disable=not progress.is_terminal,
    )
