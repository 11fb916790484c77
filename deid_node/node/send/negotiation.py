"""What an SCU proposes, and what the peer makes of it (PS3.8 sections 9.3.2 to 9.3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from deid_node.node.send.pdu import Malformed
from deid_node.node.user_information import introduce

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deid_node.config.destinations import DicomDestination

Pair = tuple[str, str]
"""SOP Class and Transfer Syntax of one presentation context."""

MAX_CONTEXTS: Final = 128
"""Their ids are the odd numbers of one byte, PS3.8 section 9.3.2.2."""
_LEAST_PDU_BYTES: Final = 512
"""Room for any command set in one PDU. No peer takes less than this, as far as is known."""
_ANY_LENGTH: Final = 2**20
_ACCEPTED: Final = 0

_REJECTIONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
"""By source and reason, PS3.8 Table 9-21."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a peer accepted.

    Parameters
    ----------
    contexts
        Id of the presentation context of each accepted pair.
    max_pdu_bytes
        Longest PDU it takes.
    """

    contexts: Mapping[Pair, int]
    max_pdu_bytes: int


def request(settings: DicomDestination, pairs: Sequence[Pair], *, max_pdu_bytes: int) -> bytes:
    """Write an A-ASSOCIATE-RQ that proposes one presentation context for each pair.

    A peer that is offered several syntaxes in one context picks for itself, and may pick one
    that would have to be transcoded.
    """
    primitive = A_ASSOCIATE()
    introduce(primitive, max_pdu_bytes=max_pdu_bytes)
    primitive.calling_ae_title = settings.calling_ae_title
    primitive.called_ae_title = settings.ae_title
    contexts = [build_context(sop_class, [syntax]) for sop_class, syntax in pairs]
    for index, context in enumerate(contexts):
        context.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = contexts
    encoded = A_ASSOCIATE_RQ()
    encoded.from_primitive(primitive)
    return bytes(encoded.encode())


def read_acceptance(body: bytes, pairs: Sequence[Pair]) -> Acceptance:
    """Read an A-ASSOCIATE-AC that answers `request`.

    Raises
    ------
    Malformed
        If it cannot be read, or accepts what was not proposed.
    """
    decoded = A_ASSOCIATE_AC()
    try:
        decoded.decode(b"\x02\0" + len(body).to_bytes(4, "big") + body)
        primitive = decoded.to_primitive()
        results = [
            (context.context_id, context.result, [str(each) for each in context.transfer_syntax])
            for context in primitive.presentation_context_definition_results_list
        ]
        length = int(primitive.maximum_length_received or 0)
    except Exception:  # noqa: BLE001 - pynetdicom raises what it likes on bytes of a peer
        raise Malformed from None
    accepted: dict[Pair, int] = {}
    for context_id, result, syntaxes in results:
        index, is_even = divmod(int(context_id) - 1, 2)
        if is_even or not 0 <= index < len(pairs):
            raise Malformed
        if result == _ACCEPTED:
            if syntaxes != [pairs[index][1]]:
                raise Malformed
            accepted[pairs[index]] = int(context_id)
    if not results or 0 < length < _LEAST_PDU_BYTES:
        raise Malformed
    return Acceptance(contexts=accepted, max_pdu_bytes=length or _ANY_LENGTH)


def read_rejection(body: bytes) -> str:
    """Say why an A-ASSOCIATE-RJ turns the node away."""
    reason = _REJECTIONS.get((body[2], body[3])) if len(body) == len("RJRJ") else None
    return "it rejected the association" + (f": {reason}" if reason else "")
