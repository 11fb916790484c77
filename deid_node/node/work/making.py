"""Make the worker of a node out of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.config.recipes import recipes_from
from deid_node.dicom.series import read_series
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.evidence import Pictures
from deid_node.node.models.inference import inference_apart
from deid_node.node.outbox import Outbox
from deid_node.node.patients import with_patients_named
from deid_node.node.records.series_records import records_of
from deid_node.node.spool import Spool
from deid_node.node.work.worker import Worker
from deid_node.pipeline.deidentify import deidentify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from deid_node.config.faces import Face
    from deid_node.config.schema import Settings
    from deid_node.dicom.series import Readable
    from deid_node.node.ledger import Ledger
    from deid_node.pipeline.deidentify import DeidentifiedSeries
    from deid_node.pipeline.recipe import Recipe
    from deid_node.pipeline.review import Review


def loaded_recipes(settings: Settings) -> dict[Face, Recipe]:
    """Load everything that de-identification needs, face models too.

    Raises
    ------
    ProfileInvalid, KeyUnusable, WeightsUnusable
        If something of it cannot be used.
    """
    recipes = recipes_from(settings, segmenter=inference_apart)
    return {face: with_patients_named(recipe) for face, recipe in recipes.items()}


def worker_of(
    settings: Settings, recipes: Mapping[Face, Recipe], ledger: Ledger, stack: ExitStack
) -> Worker:
    """Make the worker.

    Parameters
    ----------
    settings, ledger
        What it works by.
    recipes
        One for each of ``settings.faces``.
    stack
        Closes the records.

    Raises
    ------
    SpoolError
        If the spool's disk cannot be written.
    SpoolKeyUnusable
        If the spool was encrypted under another key.
    AuditUnusable, CrosswalkUnusable
        If what is done cannot be put on record.
    """
    folder = settings.spool.folder
    sealing = open_sealing(folder, settings.spool.encrypt_key)

    def work(sources: Sequence[Readable], review: Review, caller: str | None) -> DeidentifiedSeries:
        recipe = recipes[settings.face_of(caller)]
        return deidentify(read_series(sources), recipe, review=review)

    return Worker(
        ledger=ledger,
        spool=Spool(folder / "received", reserve_bytes=0, sealing=sealing),
        outbox=Outbox(folder / "outbox"),
        deidentify=work,
        keep_picture=Pictures(folder, sealing).keep,
        destinations=[each.name for each in settings.destinations],
        records=records_of(settings, recipes[settings.face]).open_for_series(stack, verb="serve"),
    )
