"""Make the worker of a node out of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.config.load import recipe_from
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
    from contextlib import ExitStack

    from deid_node.config.schema import Settings
    from deid_node.node.ledger import Ledger
    from deid_node.pipeline.recipe import Recipe


def loaded_recipe(settings: Settings) -> Recipe:
    """Load everything that de-identification needs, the face model too.

    Raises
    ------
    ProfileInvalid, KeyUnusable, WeightsUnusable
        If something of it cannot be used.
    """
    return with_patients_named(recipe_from(settings, segmenter=inference_apart))


def worker_of(settings: Settings, recipe: Recipe, ledger: Ledger, stack: ExitStack) -> Worker:
    """Make the worker.

    Parameters
    ----------
    settings, recipe, ledger
        What it works by.
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
    return Worker(
        ledger=ledger,
        spool=Spool(folder / "received", reserve_bytes=0, sealing=sealing),
        outbox=Outbox(folder / "outbox"),
        deidentify=lambda paths, review: deidentify(read_series(paths), recipe, review=review),
        keep_picture=Pictures(folder, sealing).keep,
        destinations=[each.name for each in settings.destinations],
        records=records_of(settings, recipe).open_for_series(stack, verb="serve"),
    )
