"""Ask the source of a series how many instances it has (C-FIND, PS3.4 section C.4.1).

An answer makes the node wait for what is missing, or close a series sooner. No answer changes
nothing: the node then goes by silence, as it does without a source.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from deid_node.config.destinations import DicomDestination
from deid_node.log import event
from deid_node.node.send import pdu
from deid_node.node.send.association import Association
from deid_node.node.send.commitment import decoded, encoded
from deid_node.node.send.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from deid_node.config.schema import Source
    from deid_node.node.assembly import Assembly, Origin
    from deid_node.node.send.negotiation import Pair

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5
FIND: Final[Pair] = (
    str(StudyRootQueryRetrieveInformationModelFind),
    str(ImplicitVRLittleEndian),
)
PENDING: Final = frozenset({0xFF00, 0xFF01})
"""PS3.4 Table C.4-1."""
MEDIUM: Final = 0


class Counting:
    """Asks about one series after the other.

    Parameters
    ----------
    sources
        Who is asked about the series of which callers.
    assembly
        Knows which series have fallen silent.

    Raises
    ------
    SettingsInvalid
        If a file of their TLS settings cannot be used.
    """

    def __init__(self, sources: Sequence[Source], assembly: Assembly) -> None:
        self._assembly = assembly
        self._sources = {
            caller: (_peer(source), _trust(source))
            for source in sources
            for caller in source.callers
        }

    def step(self) -> float:
        """Ask about one series, if there is one to ask about.

        Returns
        -------
        float
            Seconds until it is worth calling again.
        """
        found = self._assembly.to_ask()
        if found is None:
            return IDLE_SECONDS
        series, origin = found
        n_expected = None
        try:
            n_expected = _ask(*self._sources[origin.visit.caller], origin)
        except Exception as error:  # noqa: BLE001 - whatever a peer answers, silence will do
            event(logger, "source-failed", level=logging.WARNING, error=type(error).__name__)
        finally:
            self._assembly.answered(series, n_expected)
        if n_expected is None:
            event(logger, "source-silent", level=logging.WARNING, series=series)
        else:
            event(logger, "source-counted", series=series, n_instances=n_expected)
        return 0.0


def _ask(peer: DicomDestination, tls: ssl.SSLContext | None, origin: Origin) -> int | None:
    """Find the one series, and what its source counts in it; None if it does not say."""
    association = Association(peer, [FIND], tls)
    try:
        found = _answers(association, peer.answer_seconds, origin)
    except BaseException:
        association.abort()
        raise
    association.release()
    return _count(found[0], origin) if len(found) == 1 else None


def _answers(association: Association, seconds: float, origin: Origin) -> list[Dataset | None]:
    """Ask, and collect what is found; more than one series is too many to go on reading."""
    context_id = association.accepted.get(FIND)
    if context_id is None:
        return []
    question = memoryview(encoded(_question(origin)))
    message = association.request(
        context_id,
        {
            pdu.AFFECTED_SOP_CLASS: FIND[0],
            pdu.COMMAND_FIELD: pdu.C_FIND_RQ,
            pdu.PRIORITY: MEDIUM,
            pdu.DATASET_TYPE: 0,
        },
        [question],
        length=len(question),
    )
    found: list[Dataset | None] = []
    while message.number(pdu.STATUS) in PENDING and len(found) <= 1:
        found.append(decoded(message.dataset))
        message = association.receive(seconds)
    return found


def _question(origin: Origin) -> Dataset:
    question = Dataset()
    question.QueryRetrieveLevel = "SERIES"
    question.StudyInstanceUID = origin.study_instance_uid
    question.SeriesInstanceUID = origin.series_instance_uid
    question.NumberOfSeriesRelatedInstances = None
    return question


def _count(found: Dataset | None, origin: Origin) -> int | None:
    """Read Number of Series Related Instances, if it is about the series that was meant."""
    if found is None or found.get("SeriesInstanceUID") != origin.series_instance_uid:
        return None
    count = found.get("NumberOfSeriesRelatedInstances")
    return int(count) if count else None


def _peer(source: Source) -> DicomDestination:
    return DicomDestination(
        kind="dicom",
        name="source",
        ae_title=source.ae_title,
        host=source.host,
        port=source.port,
        calling_ae_title=source.calling_ae_title,
        tls=source.tls,
        connect_seconds=source.seconds,
        stall_seconds=source.seconds,
        answer_seconds=source.seconds,
    )


def _trust(source: Source) -> ssl.SSLContext | None:
    if source.tls is None:
        return None
    return client_context(source.tls, destination=f"{source.ae_title} of [[sources]]")
