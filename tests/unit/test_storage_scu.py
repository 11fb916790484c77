"""An answer is never lost to the association's own loop, nor waited for without a connection."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from unittest.mock import Mock

from deid_node.node import storage_scu


def association(*, alive: bool) -> SimpleNamespace:
    return SimpleNamespace(
        dimse=SimpleNamespace(msg_queue=queue.Queue(), get_msg=Mock(return_value=(1, "taken"))),
        dul=SimpleNamespace(is_alive=lambda: alive),
        abort=Mock(),
    )


def test_own_loop_of_the_association_leaves_the_answer() -> None:
    peer = association(alive=True)
    peer.dimse.msg_queue.put((1, "answer"))

    storage_scu._keep_answers(peer)
    taken = peer.dimse.get_msg(block=False)

    assert taken == (None, None)
    assert storage_scu._answer(peer) == "answer"


def test_lost_connection_ends_the_wait_even_when_its_announcement_was_missed() -> None:
    peer = association(alive=False)

    assert storage_scu._answer(peer) is None
    assert not peer.abort.called


def test_silent_peer_is_left_in_the_end() -> None:
    peer = association(alive=True)
    peer.dimse.msg_queue = Mock(get=Mock(side_effect=queue.Empty))

    assert storage_scu._answer(peer) is None
    assert peer.abort.called
