"""A caller's series go by the face model that its route names, and nobody else's do."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from pydicom import dcmread
from pynetdicom import sop_class as sop

from deid_node.config.load import load_settings
from deid_node.node.service import Service, status
from deid_node.node.work.staging import stage_seconds
from tests.fakes.face import CARD, FakeFaceModel
from tests.fakes.node import WorkerHere, eventually, free_port, recipe_for, settings_file
from tests.fakes.peer import Receiver, receiving, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset

    from deid_node.config.schema import Settings
    from deid_node.node.ledger import Ledger

ROUTE = '[[routes]]\ncallers = ["CHILDREN"]\nface.model = "paper"\n'


@pytest.fixture
def archive() -> Iterator[Receiver]:
    with receiving(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def settings(tmp_path: Path, archive: Receiver) -> Settings:
    path = settings_file(tmp_path, port=free_port(), archive=archive.port, more=ROUTE)
    return load_settings(path, {"DEID_NODE__NODE__CALLERS": '["PACS", "CHILDREN"]'})


def worker(settings: Settings, ledger: Ledger) -> WorkerHere:
    """Work with models that differ in their cards alone."""
    recipe = recipe_for(settings)
    recipes = {
        face: replace(
            recipe, model=FakeFaceModel(scale=0.96, card=replace(CARD, name=f"our-{face.model}"))
        )
        for face in settings.faces
    }
    return WorkerHere(settings, ledger, recipes=recipes)


def models_named(archive: Receiver) -> dict[int, str]:
    """Tell by which model each series was worked on, by the number of its segmentation."""
    received = [dcmread(io.BytesIO(part10)) for part10 in archive.encoded]
    segmentations = [each for each in received if each.SOPClassUID == sop.SegmentationStorage]
    numbers = {
        each.SeriesInstanceUID: int(each.SeriesNumber)
        for each in received
        if each.SOPClassUID == sop.MRImageStorage
    }
    return {
        numbers[each.ReferencedSeriesSequence[0].SeriesInstanceUID]: each.SegmentSequence[
            0
        ].SegmentAlgorithmName
        for each in segmentations
    }


def series(number: int) -> list[Dataset]:
    return dicom_series(small_head(), series_number=number)


def test_each_series_goes_by_the_route_of_who_sent_its_first_instance(
    settings: Settings, archive: Receiver
) -> None:
    """A restart between receiving and working changes nothing: the ledger knows."""
    both = series(5)
    first = Service(settings, worker)
    first.start()
    send(series(3), first.port, calling="PACS")
    send(series(4), first.port, calling="CHILDREN")
    send(both[:1], first.port, calling="CHILDREN")
    send(both[1:], first.port, calling="PACS")
    first.stop()

    second = Service(settings, worker)
    second.start()
    assert second._staging._limit_seconds == stage_seconds(settings.faces)
    eventually(lambda: status(settings).series.get("purged") == 3)
    second.stop()

    assert models_named(archive) == {
        3: "deid-node face model our-default",
        4: "deid-node face model our-paper",
        5: "deid-node face model our-paper",
    }
