"""A sender's release closes a series sooner, and its source says whether all of it came."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from deid_node.config.load import load_settings
from deid_node.config.schema import Source
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.assembly import Assembly, Origin, Visit
from deid_node.node.completeness import Patience
from deid_node.node.counting import Counting
from deid_node.node.ledger import Ledger
from deid_node.node.service import status
from tests.e2e.test_peers import orthanc
from tests.fakes.clock import FakeClock
from tests.fakes.node import eventually, free_port, is_open, running, settings_file
from tests.fakes.peer import send
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.config.schema import Settings

SERIES = SeriesKey("k7q2m4x9tz3a")


class Archive:
    """A query SCP; `answer` gives what it says about a question."""

    def __init__(self, answer: Callable[[Dataset], list[Dataset]]) -> None:
        self.answer = answer
        self.questions: list[Dataset] = []

    @contextmanager
    def running(self) -> Iterator[int]:
        ae = AE("PACS")
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, self._find)]
        )
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.questions.append(event.identifier)
        for each in self.answer(event.identifier):
            yield 0xFF00, each
        yield 0x0000, None


def told(question: Dataset, n: int | None) -> Dataset:
    """Repeat the question with a number in it."""
    answer = Dataset()
    answer.QueryRetrieveLevel = "SERIES"
    answer.StudyInstanceUID = question.StudyInstanceUID
    answer.SeriesInstanceUID = question.SeriesInstanceUID
    answer.NumberOfSeriesRelatedInstances = n
    return answer


def other(question: Dataset) -> Dataset:
    answer = told(question, 7)
    answer.SeriesInstanceUID = "1.2.99"
    return answer


def counted(port: int, *, study: str = "1.2", series: str = "1.2.3") -> int | None:
    """Ask about a series that has fallen silent; give what the table of open series learns."""
    clock = FakeClock()
    assembly = Assembly(
        Patience(quiet_seconds=30, released_seconds=30, complete_seconds=5, max_open_seconds=100),
        count=lambda _series: 1,
        sources={"SCANNER"},
        now=clock,
    )
    assembly.arrived(
        SERIES,
        Origin(visit=Visit("SCANNER"), study_instance_uid=study, series_instance_uid=series),
    )
    clock.advance(5)
    source = Source(callers=("SCANNER",), ae_title="PACS", host="127.0.0.1", port=port, seconds=5)
    counting = Counting([source], assembly)

    assert counting.step() == 0
    assert counting.step() > 0
    return assembly._open[SERIES].n_expected


@pytest.mark.parametrize(
    ("answer", "n_expected"),
    [
        (lambda asked: [told(asked, 7)], 7),
        (lambda _asked: [], None),
        (lambda asked: [told(asked, None)], None),
        (lambda asked: [told(asked, 0)], None),
        (lambda asked: [told(asked, 7), told(asked, 8)], None),
        (lambda asked: [other(asked)], None),
    ],
    ids=["counts", "finds nothing", "does not count", "says none", "finds two", "finds another"],
)
def test_source_is_asked_for_one_series_and_believed_only_about_that(
    answer: Callable[[Dataset], list[Dataset]], n_expected: int | None
) -> None:
    archive = Archive(answer)
    with archive.running() as port:
        found = counted(port)

    [question] = archive.questions
    assert (question.QueryRetrieveLevel, question.SeriesInstanceUID) == ("SERIES", "1.2.3")
    assert found == n_expected


def test_source_that_is_not_there_or_hangs_up_is_not_waited_for() -> None:
    def fail(_asked: Dataset) -> list[Dataset]:
        raise ValueError("of the peer")

    gone = free_port()

    assert counted(gone) is None
    with Archive(fail).running() as port:
        assert counted(port) is None


@pytest.mark.peer
def test_orthanc_counts(tmp_path: Path, peer: Callable[[str], str]) -> None:
    ports = {name: free_port() for name in ("orthanc", "http")}
    series = mr_series(np.zeros((4, 8, 8), np.uint16))
    uids = {
        "study": str(series[0].StudyInstanceUID),
        "series": str(series[0].SeriesInstanceUID),
    }
    with orthanc(peer("Orthanc"), tmp_path, ports):
        eventually(lambda: is_open(ports["orthanc"]))
        send(series, ports["orthanc"], called="ORTHANC")

        assert counted(ports["orthanc"], **uids) == 4
        assert counted(ports["orthanc"]) is None


def settings_with(folder: Path, series: str, sources: str = "") -> Settings:
    port = free_port()
    path = settings_file(folder, port=port, quiet_seconds=3600, series=series, more=sources)
    return load_settings(path, {})


def abort_after(instances: list[Dataset], port: int) -> None:
    """Send, and leave without a word of parting."""
    ae = AE("PACS")
    ae.add_requested_context(instances[0].SOPClassUID, instances[0].file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="DEIDNODE")
    take = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: take(block) if block else (None, None)
    for each in instances:
        assert association.send_c_store(each).Status == 0x0000
    association.abort()


def history(settings: Settings) -> list[str]:
    ledger = Ledger(settings.spool.folder / "ledger.sqlite")
    rows = ledger.database.connection.execute("SELECT state FROM history ORDER BY rowid")
    found = [row[0] for row in rows]
    ledger.close()
    return found


def test_released_series_goes_on_and_an_aborted_one_waits(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "released_seconds = 0.5")
    series = mr_series(np.zeros((2, 8, 8), np.uint16))
    with running(settings) as node:
        ended: list[bool] = []
        ended_of = node._scp._keeping.ended

        def noted(visit: Visit, *, released: bool) -> None:
            ended_of(visit, released=released)
            ended.append(released)

        node._scp._keeping.ended = noted  # type: ignore[method-assign]
        abort_after(series, node.port)
        eventually(lambda: ended == [False])
        after_abort = history(settings)
        send(series[:1], node.port)
        eventually(lambda: "held" in history(settings))

    assert after_abort == ["receiving"]
    assert history(settings) == ["receiving", "received", "claimed", "held"]


def test_series_of_which_the_source_has_more_is_held_and_goes_on_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = Archive(lambda asked: [told(asked, 3)])
    series = mr_series(np.zeros((3, 8, 8), np.uint16))
    with archive.running() as port:
        sources = (
            f'[[sources]]\ncallers = ["PACS"]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}'
        )
        chosen = "complete_seconds = 0.3\nreleased_seconds = 30\nmax_open_seconds = 3"
        settings = settings_with(tmp_path, chosen, sources)
        with running(settings) as node:
            send(series[:2], node.port)
            eventually(lambda: status(settings).held)
            [held] = status(settings).held
            send(series[2:], node.port)
            eventually(lambda: "claimed" in history(settings))

    assert held.error == "SeriesIncomplete"
    assert held.reason == "2 instances came, the source has 3"
    assert history(settings)[:4] == ["receiving", "held", "receiving", "received"]
    assert str(series[0].SeriesInstanceUID) not in caplog.text
