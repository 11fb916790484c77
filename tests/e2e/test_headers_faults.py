"""A fault in any stage holds what it hit: nothing of it is in the folder that leaves."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from pydicom import dcmwrite

from deid_node.config.profile_file import load_profile
from deid_node.dicom import wire_out
from deid_node.dicom.series import read_series
from deid_node.dicom.wire import Unsuited
from deid_node.dicom.wire_reader import Part10Reader
from deid_node.headers import codes, level_scrub, plan, quick, scrub, splice, tally, text
from deid_node.headers.pseudonyms import InstanceKey, Pseudonyms, SeriesKey
from deid_node.headers.second_look import SecondLook
from deid_node.node import outbox
from deid_node.node.ledger import Ledger
from deid_node.node.outbox import Outbox
from deid_node.node.outgoing import from_encoded
from deid_node.node.records.series_records import SeriesRecords
from deid_node.node.send import folder as folder_destination
from deid_node.node.send.folder import FolderDestination
from deid_node.node.spool import Spool
from deid_node.node.states import Generation, State
from deid_node.node.work.worker import Worker
from deid_node.pipeline import deidentify as node_path
from deid_node.pipeline import header_only, output
from deid_node.pipeline.deidentify import DeidentifiedSeries, deidentify
from deid_node.pipeline.header_only import HeaderScrubber
from deid_node.pipeline.linkage import Linker
from tests.fakes.clock import FakeClock
from tests.fakes.face import FakeFaceModel
from tests.fakes.recipe import recipe_of
from tests.planted import planted, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deid_node.dicom.series import Readable
    from deid_node.headers.profile import Profile
    from deid_node.pipeline.review import Review

Stage = tuple[object, str]
"""Where a function or method is looked up, and its name."""


class Fault(Exception):
    """Nothing that any code expects."""


FAULTS: Final = [Fault, KeyError, UnicodeError]
"""The last two are kinds that the engine itself may expect, and catch, elsewhere."""

BOTH_WAYS: Final[dict[str, Stage]] = {
    "plan": (level_scrub, "plan"),
    "decide": (plan, "_decide"),
    "day shift": (Pseudonyms, "day_shift"),
    "UID": (Pseudonyms, "uid"),
    "private": (level_scrub, "safe_elements"),
    "element": (level_scrub, "changed"),
    "words": (text, "cleaned"),
    "code lookup": (codes, "coded_entry"),
    "second look": (SecondLook, "findings"),
    "write": (folder_destination, "write_file"),
}
AS_BYTES: Final[dict[str, Stage]] = BOTH_WAYS | {
    "read": (Part10Reader, "read"),
    "linkage": (Linker, "link"),
    "quick way": (splice, "quick_way"),
    "quick words": (quick, "_is_one_number"),
    "declare": (tally, "declare"),
    "encode an element": (wire_out, "element"),
    "encode a sequence": (wire_out, "sequence"),
    "file meta": (header_only, "file_head"),
    "join": (header_only, "written_syntax"),
}
AS_DATASET: Final[dict[str, Stage]] = BOTH_WAYS | {
    "read": (header_only, "decode_instance"),
    "linkage": (header_only, "linkage_of"),
    "scrub": (header_only, "scrub"),
    "build": (scrub, "DataElement"),
    "declare": (header_only, "declare"),
    "encode": (header_only, "encode_like"),
}
NODE: Final[dict[str, Stage]] = {
    "screen": (node_path, "screen"),
    "pixels": (node_path, "pixel_words"),
    "stack": (node_path, "stack"),
    "estimate": (FakeFaceModel, "estimate"),
    "mask": (node_path, "face_mask"),
    "judge": (node_path, "judge"),
    "fill": (node_path, "fill"),
    "scrub": (output, "scrub"),
    "decide": (plan, "_decide"),
    "element": (level_scrub, "changed"),
    "declare": (output, "declare"),
    "new pixels": (output, "with_new_pixels"),
    "compare voxels": (node_path, "refuse_changed_voxels"),
    "segmentation": (output, "encode_segmentation"),
    "encode": (node_path, "encode"),
    "second look": (node_path, "refuse_residue"),
    "write": (outbox, "write_file"),
}


class Sabotage:
    """Makes a stage raise the first time, and only then: whoever swallows that goes on."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, stage: Stage, fault: type[Exception]
    ) -> None:
        self.reached = False
        real = getattr(*stage)

        def once(*args: object, **kwargs: object) -> object:
            if self.reached:
                return real(*args, **kwargs)
            self.reached = True
            raise fault("DOE^JANE")

        monkeypatch.setattr(*stage, once)
        plan.plan.cache_clear()  # what was decided before is not decided again


@pytest.fixture(autouse=True)
def no_old_plan() -> Iterator[None]:
    yield
    plan.plan.cache_clear()


def through(scrubber: HeaderScrubber, content: bytes, folder: Path) -> None:
    """Take the way of a file: scrub, then hand over to a folder."""
    done = scrubber.run(content).encoded
    FolderDestination(name="folder", folder=folder).deliver(from_encoded([done]))


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@cache
def contents() -> list[bytes]:
    first, second = planted()[0], planted()[0]
    second.SOPInstanceUID = "1.2.3.4.5.999"
    return [written(first), written(second)]


@cache
def profile() -> Profile:
    return load_profile("research-mr")


def fresh() -> HeaderScrubber:
    return HeaderScrubber(profile(), Pseudonyms(bytes(range(32))))


def take_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsuited(_reader: Part10Reader, _content: bytes) -> None:
        raise Unsuited

    monkeypatch.setattr(Part10Reader, "read", unsuited)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", AS_BYTES)
def test_a_fault_on_the_way_of_bytes_leaves_nothing(
    stage: str, fault: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scrubber = fresh()
    sabotage = Sabotage(monkeypatch, AS_BYTES[stage], fault)

    with pytest.raises(fault):
        through(scrubber, contents()[0], tmp_path)

    assert sabotage.reached
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", AS_DATASET)
def test_a_fault_on_the_long_way_leaves_nothing(
    stage: str, fault: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    take_the_long_way(monkeypatch)
    sabotage = Sabotage(monkeypatch, AS_DATASET[stage], fault)

    with pytest.raises(fault):
        through(fresh(), contents()[0], tmp_path)

    assert sabotage.reached
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("stage", AS_BYTES)
def test_an_engine_that_met_a_fault_does_its_next_work_as_a_fresh_one(
    stage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = contents()
    expected = [fresh().run(each) for each in (first, second)]
    scrubber = fresh()
    with monkeypatch.context() as patch:
        Sabotage(patch, AS_BYTES[stage], Fault)
        with pytest.raises(Fault):
            through(scrubber, first, tmp_path)
    plan.plan.cache_clear()

    assert [scrubber.run(each) for each in (first, second)] == expected


@pytest.fixture(scope="module")
def series() -> list[bytes]:
    """Files of a drawn head."""
    made = []
    for instance in dicom_series(small_head()):
        buffer = io.BytesIO()
        dcmwrite(buffer, instance, enforce_file_format=True)
        made.append(buffer.getvalue())
    return made


@pytest.mark.parametrize("stage", [None, *NODE])
def test_a_fault_in_the_node_holds_the_series_and_nothing_is_owed(
    stage: str | None, series: list[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = SeriesKey("k7q2m4x9tz3a")
    ledger = Ledger(tmp_path / "ledger.sqlite", now=FakeClock())
    spool = Spool(tmp_path / "received", reserve_bytes=0)
    for number, content in enumerate(series):
        ledger.arrived(spool.keep(key, InstanceKey(f"i{number}"), [content]))
    ledger.received(key)
    worker = Worker(
        ledger=ledger,
        spool=spool,
        outbox=Outbox(tmp_path / "outbox"),
        deidentify=_worked,
        keep_picture=lambda _name, _evidence: "digest",
        destinations=["folder"],
        records=SeriesRecords(pseudonyms=Pseudonyms(bytes(range(32)))),
    )
    sabotage = Sabotage(monkeypatch, NODE[stage], Fault) if stage else None

    worker.step()

    state = ledger.states()[Generation(series=key, number=1)]
    ledger.close()
    if sabotage is None:  # the same set-up without a fault goes through
        assert state is State.READY
        assert len(files_in(tmp_path / "outbox")) == len(series) + 1
    else:
        assert sabotage.reached
        assert state is State.HELD
        assert files_in(tmp_path / "outbox") == []


def _worked(paths: Sequence[Readable], review: Review, _caller: str | None) -> DeidentifiedSeries:
    return deidentify(read_series(paths), recipe_of(), review=review)
