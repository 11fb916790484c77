"""One instance on its way from P-DATA to the spool."""

from __future__ import annotations

import logging
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID
from deid_node.errors import DeidNodeError, UndecodableInstance
from deid_node.log import event
from deid_node.node.assembly import Origin
from deid_node.node.receive.identity import LONGEST_OPENING, identify
from deid_node.node.receive.place import place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
    from deid_node.node.assembly import Visit
    from deid_node.node.receive.identity import Opening
    from deid_node.node.receive.keeping import Keeping
    from deid_node.node.receive.negotiation import Context
    from deid_node.node.spool import Draft

logger = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
"""PS3.7 C.5.5."""

_PREAMBLE: Final = bytes(128) + b"DICM"
_element = struct.Struct("<HH2sH")
_group_length = struct.Struct("<HH2sHI")


class IncomingInstance:
    """Takes the fragments of a dataset; answers with a status once the last is there.

    What goes wrong is remembered, and the rest of the dataset is read and dropped: the
    association goes on and the sender learns which instance was not kept.

    Parameters
    ----------
    announced
        Affected SOP Instance UID of the request.
    context
        Presentation context on which it comes.
    visit
        The association on which it comes.
    keeping
        Of the node.
    series_key, instance_key
        Name a series and an instance by their UIDs.
    """

    def __init__(
        self,
        announced: str,
        context: Context,
        *,
        visit: Visit,
        keeping: Keeping,
        series_key: Callable[[str], SeriesKey],
        instance_key: Callable[[str], InstanceKey],
    ) -> None:
        self._announced = announced
        self._context = context
        self._visit = visit
        self._origin: Origin | None = None
        self._keeping = keeping
        self._series_key = series_key
        self._instance_key = instance_key
        self._opening = bytearray()
        self._look_at = 0
        self._pieces: list[bytes | bytearray | memoryview] = []
        self._draft: Draft | None = None
        self._failure: int | None = None

    def take(self, fragment: memoryview) -> None:
        """Take a fragment, which stays where it is until `flush`."""
        if self._failure is not None:
            return
        if self._draft is not None:
            self._pieces.append(fragment)
            return
        if self._opening:
            self._opening += fragment
        opening = self._opening or fragment
        if len(opening) >= self._look_at:
            self._attempt(lambda: self._begin(opening))

    def flush(self) -> None:
        """Write what was taken, so that the memory it lies in can be used again."""
        if self._failure is None and self._pieces:
            self._attempt(self._write)

    def finish(self) -> int:
        """Keep the instance: it is whole.

        Returns
        -------
        int
            A C-STORE status of PS3.4 Table B.2-1; 0x0000 only if the instance is durable.
        """
        if self._failure is None:
            self._attempt(self._keep)
        return SUCCESS if self._failure is None else self._failure

    def abandon(self) -> None:
        """Leave nothing behind of what is not kept."""
        self._pieces.clear()
        if self._draft is not None:
            self._draft.abandon()

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except DeidNodeError as error:
            event(logger, "instance-refused", error=type(error).__name__)
            self._fail(error.dimse_status)
        except Exception as error:  # noqa: BLE001 - the sender must get an answer and keep its copy
            event(logger, "instance-failed", level=logging.ERROR, error=type(error).__name__)
            self._fail(PROCESSING_FAILURE)

    def _fail(self, status: int) -> None:
        self._failure = status
        self._opening = bytearray()
        self.abandon()

    def _keep(self) -> None:
        if self._draft is None:
            self._begin(self._opening)
        if self._draft is None:
            raise UndecodableInstance("the dataset breaks off")
        self._write()
        self._keeping.keep(self._draft, self._origin)

    def _write(self) -> None:
        if self._draft is not None:
            self._draft.write(self._pieces)
        self._pieces.clear()

    def _begin(self, opening: Opening) -> None:
        """Begin the file as soon as it is known which instance it is.

        The opening is looked at again only when it has doubled: a peer that sends it in
        crumbs must not make this node read it over and over.
        """
        identity = identify(opening, self._context.transfer_syntax_uid)
        if identity is None:
            if len(opening) > LONGEST_OPENING:
                raise UndecodableInstance("the UIDs of the dataset come too late")
            self._look_at = min(2 * len(opening), LONGEST_OPENING + 1)
            if not self._opening:
                self._opening += opening
            return
        if identity.sop_instance_uid != self._announced:
            raise UndecodableInstance("the dataset is not the instance that was announced")
        self._draft = self._keeping.draft(
            self._series_key(identity.series_instance_uid),
            self._instance_key(identity.sop_instance_uid),
        )
        self._origin = Origin(
            visit=self._visit,
            study_instance_uid=identity.study_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            place=place_of(opening, self._context.transfer_syntax_uid, identity),
        )
        self._pieces = [file_meta(self._context, self._announced), opening]
        self._opening = bytearray()


def file_meta(context: Context, sop_instance_uid: str) -> bytes:
    """Write preamble, prefix and file meta information of a Part 10 file, PS3.10 section 7.1.

    Only what stays the same with every version of this program: an instance that is sent
    again must give the same file.
    """
    before, behind = _around(context)
    elements = before + _uid_element(0x03, sop_instance_uid) + behind
    return _PREAMBLE + _group_length.pack(2, 0, b"UL", 4, len(elements)) + elements


@lru_cache
def _around(context: Context) -> tuple[bytes, bytes]:
    """Write what stands before and behind the SOP Instance UID, the same for all of a context."""
    version = _element.pack(2, 1, b"OB", 0) + struct.pack("<I", 2) + b"\0\1"
    return (
        version + _uid_element(0x02, context.sop_class_uid),
        _uid_element(0x10, context.transfer_syntax_uid)
        + _uid_element(0x12, IMPLEMENTATION_CLASS_UID),
    )


def _uid_element(number: int, uid: str) -> bytes:
    encoded = uid.encode("ascii") + b"\0" * (len(uid) % 2)
    return _element.pack(2, number, b"UI", len(encoded)) + encoded
