"""However often, over however many associations and however late: one output set, whole, once."""

from __future__ import annotations

import io
import random
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from pydicom import dcmread

from deid_node.config.load import load_settings
from deid_node.dicom.part10 import EncodedInstance
from deid_node.dicom.series import read_series
from deid_node.node.ledger import Ledger
from deid_node.node.outgoing import from_encoded
from deid_node.node.send.storage_scu import StorageSCU
from deid_node.node.service import status
from deid_node.node.work.worker import MAX_CRASHES
from deid_node.pipeline.deidentify import deidentify
from tests.fakes.node import eventually, free_port, recipe_for, running, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.sender import archive_at
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom import Dataset

    from deid_node.config.schema import Settings

N_LATE = 2


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def archive() -> Iterator[Receiver]:
    with receiving(Receiver()) as receiver:
        yield receiver


def settings_in(folder: Path, archive: int, *, hours: int = 1) -> Settings:
    port = free_port()
    path = settings_file(
        folder,
        port=port,
        archive=archive,
        quiet_seconds=0.5,
        series='late = "replace"',
        more=f"keep_originals_hours = {hours}",
    )
    return load_settings(path, {})


def store(instances: Sequence[Dataset], port: int) -> None:
    """Send instances over an association of their own; every one is acknowledged, or it fails."""
    encoded = []
    for instance in instances:
        buffer = io.BytesIO()
        instance.save_as(buffer, enforce_file_format=True)
        encoded.append(
            EncodedInstance(
                sop_class_uid=instance.SOPClassUID,
                sop_instance_uid=instance.SOPInstanceUID,
                transfer_syntax_uid=instance.file_meta.TransferSyntaxUID,
                part10=buffer.getvalue(),
            )
        )
    scu = StorageSCU(archive_at(port, ae_title="DEIDNODE", calling_ae_title="PACS"))
    scu.deliver(from_encoded(encoded))
    scu.close()


def states(settings: Settings) -> list[str]:
    """Tell the states of all generations, the first one first."""
    ledger = Ledger(settings.spool.folder / "ledger.sqlite")
    found = ledger.states()
    ledger.close()
    return [found[each].value for each in sorted(found)]


def expected(head: Sequence[Dataset], settings: Settings, folder: Path) -> dict[str, Dataset]:
    """De-identify the whole series in one go, as if nothing had ever been late."""
    folder.mkdir()
    paths = [folder / f"{n}.dcm" for n in range(len(head))]
    for path, instance in zip(paths, head, strict=True):
        instance.save_as(path, enforce_file_format=True)
    result = deidentify(read_series(paths), recipe_for(settings))
    return by_uid([dcmread(io.BytesIO(i.part10)) for i in (*result.instances, result.segmentation)])


def by_uid(instances: Sequence[Dataset]) -> dict[str, Dataset]:
    """Give what came last under each UID."""
    return {str(each.SOPInstanceUID): each for each in instances}


def copies(folder: Path) -> list[Dataset]:
    return [dcmread(path) for path in (folder / "copies").rglob("*.dcm")]


def test_series_sent_ten_times_on_four_associations_with_late_slices_gives_one_output_set(
    tmp_path: Path, archive: Receiver, head: list[Dataset]
) -> None:
    settings = settings_in(tmp_path, archive.port)
    some, late = head[:-N_LATE], head[-N_LATE:]
    with running(settings) as node, ThreadPoolExecutor(4) as senders:

        def send_all(*sendings: list[Dataset]) -> None:
            for done in [senders.submit(store, deepcopy(each), node.port) for each in sendings]:
                done.result()

        send_all(some, some, some, some)
        eventually(lambda: states(settings) == ["delivered"])
        send_all(some, late[:1], some)
        send_all(head, late, head)
        eventually(lambda: states(settings)[-1] == "delivered")
        send_all(head, some)
        known = status(settings)

    whole = expected(head, settings, tmp_path / "whole")
    assert known.held == ()
    assert len(copies(tmp_path)) == len(head) + 1
    assert by_uid(copies(tmp_path)) == whole
    assert by_uid(archive.instances) == whole


def test_destination_that_was_away_gets_the_last_generation_and_no_other(
    tmp_path: Path, head: list[Dataset]
) -> None:
    archive = Receiver()
    with receiving(archive):
        dead = archive.port
    settings = settings_in(tmp_path, dead)
    with running(settings) as node:
        send(head[:-N_LATE], node.port)
        eventually(lambda: states(settings) == ["ready"] and copies(tmp_path))
        send(head[-N_LATE:], node.port)
        eventually(lambda: states(settings) in (["replaced", "ready"], ["purged", "ready"]))
    archive.start(dead)
    with running(settings):
        eventually(lambda: states(settings)[-1] == "delivered")
    archive.stop()

    whole = expected(head, settings, tmp_path / "whole")
    assert sorted(archive.sop_instance_uids) == sorted(whole)
    assert by_uid(archive.instances) == by_uid(copies(tmp_path)) == whole


def test_late_slices_of_a_purged_series_wait_for_the_others(
    tmp_path: Path, archive: Receiver, head: list[Dataset]
) -> None:
    settings = settings_in(tmp_path, archive.port, hours=0)
    with running(settings) as node:
        send(head[:-N_LATE], node.port)
        eventually(lambda: states(settings) == ["purged"])
        send(head[-N_LATE:], node.port)
        eventually(lambda: status(settings).held)
        [held] = status(settings).held
        send(head[:-N_LATE], node.port)
        eventually(lambda: states(settings) == ["purged", "purged"])

    assert (held.error, held.generation) == ("OriginalsMissing", 2)
    assert by_uid(copies(tmp_path)) == expected(head, settings, tmp_path / "whole")
    assert not list((settings.spool.folder / "received").rglob("*.dcm"))


def test_purged_series_that_is_sent_again_with_one_more_slice_needs_nobody(
    tmp_path: Path, archive: Receiver, head: list[Dataset]
) -> None:
    settings = settings_in(tmp_path, archive.port, hours=0)
    with running(settings) as node:
        send(head[:-1], node.port)
        eventually(lambda: states(settings) == ["purged"])
        send(head[:-1], node.port)
        eventually(lambda: not list((settings.spool.folder / "received").rglob("*.dcm")))
        send(head, node.port)
        eventually(lambda: states(settings) == ["purged", "purged"])

    assert by_uid(copies(tmp_path)) == expected(head, settings, tmp_path / "whole")


def test_node_that_is_killed_over_a_later_generation_delivers_it_whole(
    tmp_path: Path, archive: Receiver, head: list[Dataset]
) -> None:
    settings = settings_in(tmp_path, archive.port)
    path, port = tmp_path / "deid-node.toml", settings.node.port
    with serving(path, port):
        send(head[:-N_LATE], port)
        eventually(lambda: states(settings) == ["delivered"])
    with serving(path, port, pause=3600) as node:
        send(head[-N_LATE:], port)
        eventually(lambda: states(settings) == ["delivered", "claimed"])
        node.send_signal(signal.SIGKILL)
        node.wait()
    with serving(path, port):
        eventually(lambda: states(settings)[-1] == "delivered")

    whole = expected(head, settings, tmp_path / "whole")
    assert by_uid(copies(tmp_path)) == by_uid(archive.instances) == whole


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_node_that_is_killed_at_any_moment_over_late_slices_ends_with_the_whole_series(
    tmp_path: Path, archive: Receiver, head: list[Dataset], seed: int
) -> None:
    moments = random.Random(seed)  # noqa: S311 - when to kill
    settings = settings_in(tmp_path, archive.port)
    path, port = tmp_path / "deid-node.toml", settings.node.port
    n_kills = MAX_CRASHES - 1  # a slow machine is killed over the series each time
    with serving(path, port):
        send(head[:-n_kills], port)
        eventually(lambda: states(settings) == ["delivered"])
    for late in range(n_kills, 0, -1):
        with serving(path, port) as node:
            store(head[len(head) - late :][:1], port)
            with suppress(subprocess.TimeoutExpired):
                node.wait(moments.uniform(0, 8))
            node.kill()
    with serving(path, port):
        store(head, port)
        eventually(lambda: set(states(settings)) <= {"delivered", "replaced", "purged"})

    whole = expected(head, settings, tmp_path / "whole")
    assert by_uid(copies(tmp_path)) == by_uid(archive.instances) == whole
    assert len(copies(tmp_path)) == len(whole)
