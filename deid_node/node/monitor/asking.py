"""Ask what may not answer: a ledger that is locked, a disk that hangs."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE_SECONDS: Final = 0.4
"""Several questions together are answered within what a monitoring system waits for."""


class Question(Generic[T]):
    """A question that is put in a thread of its own, so that nobody must wait for the answer.

    Parameters
    ----------
    put
        Gives the answer. It may fail, or take for ever.
    """

    def __init__(self, put: Callable[[], T]) -> None:
        self._put = put
        self._lock = threading.Lock()
        self._open: Future[T] | None = None

    def answer(self) -> T:
        """Give an answer that comes now.

        While an earlier one has not come, the question is not put again.

        Raises
        ------
        TimeoutError
            If there is none in time.
        Exception
            What the question fails with.
        """
        with self._lock:
            if self._open is None or self._open.done():
                self._open = Future()
                threading.Thread(
                    target=self._ask, args=(self._open,), name="question", daemon=True
                ).start()
            asked = self._open
        return asked.result(PATIENCE_SECONDS)

    def _ask(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._put())
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            asked.set_exception(error)
