"""Wire the parts of the node together; start and stop them in order."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from deid_node import log
from deid_node.config.load import recipe_from
from deid_node.dicom.series import read_series
from deid_node.errors import SettingsInvalid, SpoolError, StageStuck
from deid_node.log import event
from deid_node.node.assembly import Assembly
from deid_node.node.durable import make_private_folder
from deid_node.node.evidence import keep_picture
from deid_node.node.inference import inference_apart
from deid_node.node.ledger import Ledger
from deid_node.node.outbox import Outbox
from deid_node.node.patients import with_patients_named
from deid_node.node.records import records_of
from deid_node.node.retention import Retention
from deid_node.node.sending import Sending
from deid_node.node.spool import Spool
from deid_node.node.staging import Staging, stage_seconds
from deid_node.node.states import State
from deid_node.node.status import LEDGER, Snapshot, status
from deid_node.node.storage_scp import StorageSCP
from deid_node.node.worker import Worker
from deid_node.pipeline.deidentify import deidentify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deid_node.config.schema import Settings
    from deid_node.pipeline.recipe import Recipe

__all__ = ["Service", "Snapshot", "status"]

logger = logging.getLogger(__name__)

GIB: Final = 2**30
ENGINE: Final = "engine.sqlite"
"""Name of the work engine's database in the spool folder."""
TICK_SECONDS: Final = 0.5
"""How often complete series are looked for."""
FAULT_PAUSE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 8.0
"""What runs longer than this after a stop is left to be repeated at the next start."""


class Service:
    """The node.

    Parameters
    ----------
    settings
        Of the whole node.
    recipe
        Made from the settings where it is not given.

    Raises
    ------
    SettingsInvalid
        If no destination is named: series would be delivered to nobody, and deleted.
    ProfileInvalid, KeyUnusable, WeightsUnusable
        If the recipe cannot be made; nothing was received yet.
    """

    def __init__(self, settings: Settings, recipe: Recipe | None = None) -> None:
        if not settings.destinations:
            raise SettingsInvalid("no destination: name at least one in [[destinations]]")
        self._recipe = recipe or with_patients_named(
            recipe_from(settings, segmenter=inference_apart)
        )
        self._settings = settings
        self._stopping = threading.Event()
        self._stuck: StageStuck | None = None
        self._threads: list[threading.Thread] = []
        self._open = ExitStack()

    def run(self) -> None:
        """Receive, de-identify and send until SIGTERM or SIGINT.

        Raises
        ------
        StageStuck
            If a series took far too long; it is held, and the node is to be started again.
        """
        log.configure(self._settings.log.level)
        os.umask(0o077)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stopping.set())
        self.start()
        self._stopping.wait()
        self.stop()
        if self._stuck is not None:
            raise self._stuck

    def start(self) -> None:
        """Recover what the last run left, then work, then receive.

        Raises
        ------
        SpoolError
            If another node uses the spool folder.
        KeyUnusable
            If the spool was filled under another key.
        AuditUnusable, CrosswalkUnusable
            If what was done cannot be put on record.
        SettingsInvalid
            If the port cannot be listened on.
        """
        settings, folder = self._settings, self._settings.spool.folder
        make_private_folder(folder)
        self._lock = _exclusive(folder / "lock")
        self._ledger = ledger = Ledger(folder / LEDGER)
        ledger.belongs_to(self._recipe.pseudonyms.fingerprint())
        spool = Spool(folder / "received", reserve_bytes=round(settings.spool.reserve_gib * GIB))
        outbox = Outbox(folder / "outbox")
        assembly = Assembly(
            quiet_seconds=settings.series.quiet_seconds,
            max_open_seconds=settings.series.max_open_seconds,
        )
        recover(ledger=ledger, spool=spool, outbox=outbox, assembly=assembly)
        self._start_threads(ledger, spool, outbox, assembly)
        self._scp = StorageSCP(
            settings.node,
            spool=spool,
            ledger=ledger,
            assembly=assembly,
            pseudonyms=self._recipe.pseudonyms,
        )
        try:
            self._scp.start()
        except BaseException:
            self._end()
            raise
        event(logger, "listening", port=self._scp.port)

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return self._scp.port

    def stop(self) -> None:
        """Close the port, let threads finish what is short, and leave the rest for later."""
        self._scp.stop()
        self._end()
        event(logger, "stopped")

    def _end(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(DRAIN_SECONDS / 2 / len(self._threads))
        is_idle = self._staging.stop(DRAIN_SECONDS / 2)
        self._sending.close()
        if is_idle and not any(thread.is_alive() for thread in self._threads):
            self._ledger.close()
            self._open.close()
        os.close(self._lock)

    def _start_threads(
        self, ledger: Ledger, spool: Spool, outbox: Outbox, assembly: Assembly
    ) -> None:
        settings = self._settings
        self._sending = Sending(
            settings.destinations, settings.commitment, ledger=ledger, outbox=outbox
        )
        worker = Worker(
            ledger=ledger,
            spool=spool,
            outbox=outbox,
            deidentify=lambda paths: deidentify(read_series(paths), self._recipe),
            keep_picture=lambda series, evidence: keep_picture(
                settings.spool.folder, series, evidence
            ),
            destinations=[each.name for each in settings.destinations],
            records=records_of(settings, self._recipe).open_for_series(self._open, verb="serve"),
        )
        self._staging = Staging(
            settings.spool.folder / ENGINE,
            worker,
            due=ledger.due,
            limit_seconds=stage_seconds(settings.face),
            when_stuck=self._give_in,
        )
        retention = Retention(
            ledger=ledger,
            spool=spool,
            outbox=outbox,
            keep_seconds=settings.spool.keep_originals_hours * 3600,
        )

        def keep_time() -> float:
            for series in assembly.closed():
                ledger.received(series)
            retention.step()
            return TICK_SECONDS

        for name, step in (
            ("time", keep_time),
            ("staging", self._staging.step),
            *self._sending.steps(),
        ):
            thread = threading.Thread(target=self._repeat, args=(step,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _give_in(self, stuck: StageStuck) -> None:
        """End the node: nothing else gets back a thread that hangs, and what it holds."""
        self._stuck = stuck
        self._stopping.set()

    def _repeat(self, step: Callable[[], float]) -> None:
        """Make one step after another until the node stops; a fault makes a pause."""
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = step()
            except Exception as error:  # noqa: BLE001 - a full disk must not end a thread
                event(logger, "step-failed", level=logging.ERROR, error=type(error).__name__)
                pause = FAULT_PAUSE_SECONDS


def recover(*, ledger: Ledger, spool: Spool, outbox: Outbox, assembly: Assembly) -> None:
    """Take up what the last run left, however it ended.

    Claims are given back; instances that are durable but were not noted yet are noted; files
    of series that are purged, half-written files and results of nobody are deleted; open
    series get one more quiet time.
    """
    ledger.recover()
    for kept in spool.recover():
        if ledger.arrived(kept).state is State.PURGED:
            spool.discard([kept])
    states = ledger.states()
    with_result = {State.READY, State.DELIVERED, State.HELD}
    outbox.recover({each.series for each, state in states.items() if state in with_result})
    for generation, state in states.items():
        if state is State.RECEIVING:
            assembly.arrived(generation.series)


def _exclusive(path: Path) -> int:
    """Lock the spool folder for this process; the lock ends with it, however it ends."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise SpoolError(f"another node uses the spool folder {path.parent}") from None
    return fd
