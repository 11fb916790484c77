"""DICOM peers on this machine: one that sends, and one that receives and counts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydicom import Dataset


def send(
    instances: Sequence[Dataset], port: int, *, calling: str = "PACS", called: str = "DEIDNODE"
) -> list[int | None]:
    """Send instances over one association; None where no answer came."""
    ae = AE(calling)
    for sop_class, syntax in {(i.SOPClassUID, i.file_meta.TransferSyntaxUID) for i in instances}:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    assert association.is_established, "the node rejected the association"
    take = association.dimse.get_msg
    # On a loaded machine pynetdicom's own loop takes an answer for a request, and drops it.
    association.dimse.get_msg = lambda block=False: take(block) if block else (None, None)
    statuses = [association.send_c_store(each).get("Status") for each in instances]
    association.release()
    return statuses


class Receiver:
    """A storage SCP that keeps what it got in memory.

    Parameters
    ----------
    answer
        Status for the n-th instance (from 0) that comes.
    transfer_syntaxes
        What it accepts.
    callers
        Calling AE titles it lets in; empty lets in all.
    """

    def __init__(
        self,
        *,
        answer: Callable[[int], int] = lambda _n: 0x0000,
        transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        callers: Sequence[str] = (),
    ) -> None:
        self.answer = answer
        self.encoded: list[bytes] = []
        self.syntaxes: list[str] = []
        self.associations = 0
        self.port = 0
        self._transfer_syntaxes = list(transfer_syntaxes)
        self._callers = list(callers)
        self._association: Any = None
        self._server: Any = None

    @property
    def instances(self) -> list[Dataset]:
        """What was accepted, as Part 10 files, decoded."""
        return [dcmread(DicomBytesIO(part10)) for part10 in self.encoded]

    @property
    def sop_instance_uids(self) -> list[str]:
        """Of every C-STORE that was answered with Success, in order."""
        return [str(each.SOPInstanceUID) for each in self.instances]

    def start(self, port: int = 0) -> None:
        """Listen on `port`, or on any that is free."""
        ae = AE("ARCHIVE")
        ae.require_calling_aet = self._callers
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax, self._transfer_syntaxes)
        ae.add_supported_context("1.2.840.10008.1.1")
        self._server = ae.start_server(
            ("127.0.0.1", port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_ACCEPTED, self._accepted)],
        )
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()

    def abort(self) -> None:
        """Break off the association that is open."""
        self._association.abort(block=False)

    def _accepted(self, event: evt.Event) -> None:
        self.associations += 1
        self._association = event.assoc

    def _store(self, event: evt.Event) -> int:
        status = self.answer(len(self.encoded))
        if status == 0:
            self.encoded.append(event.encoded_dataset())
            self.syntaxes.append(str(event.context.transfer_syntax))
        return status


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    """Let `receiver` listen for a while."""
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
