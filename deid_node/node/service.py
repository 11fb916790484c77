"""Wire the parts of the node together; start and stop them in order."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from deid_node import log
from deid_node.config.load import read_key
from deid_node.errors import SettingsInvalid
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.log import event
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.counting import Counting
from deid_node.node.durable import DiskFailuresNamed, make_private_folder
from deid_node.node.evidence import Pictures
from deid_node.node.ledger import Ledger
from deid_node.node.monitor.server import MonitorServer
from deid_node.node.monitor.watch import Watch
from deid_node.node.open_series import assembly_of, close, give_back, recover
from deid_node.node.outbox import Outbox
from deid_node.node.own_process import (
    beat_seconds,
    end_on_stop_signals,
    keep_memory_private,
    notify,
    on_stop_signals,
)
from deid_node.node.retention import Retention
from deid_node.node.send.sending import Sending
from deid_node.node.spool import Spool
from deid_node.node.spool_lock import exclusive
from deid_node.node.status import LEDGER, Snapshot, status
from deid_node.node.storage_scp import StorageSCP
from deid_node.node.work.shares import n_processes
from deid_node.node.work.staging import Staging, stage_seconds
from deid_node.node.work.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.config.schema import Settings
    from deid_node.node.assembly import Assembly
from deid_node.node.work.staging import Works

__all__ = ["Service", "Snapshot", "status"]

logger = logging.getLogger(__name__)

GIB: Final = 2**30
ENGINE: Final = "engine.sqlite"
"""Name of the work engine's database in the spool folder."""
TICK_SECONDS: Final = 0.5
"""How often complete series are looked for."""
FAULT_PAUSE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 6.0
"""What runs longer than this after a stop is left to be repeated at the next start."""
CLOSE_SECONDS: Final = 2.0
"""Part of it in which destinations are told that associations end."""


class Service:
    """The node.

    Parameters
    ----------
    settings
        Of the whole node.
    start_worker
        Starts what works on series, and does not wait for it.

    Raises
    ------
    SettingsInvalid
        If no destination is named: series would be delivered to nobody, and deleted.
    """

    def __init__(
        self,
        settings: Settings,
        start_worker: Callable[[Settings, Ledger], Works] = Workers,
    ) -> None:
        if not settings.destinations:
            raise SettingsInvalid("no destination: name at least one in [[destinations]]")
        self._settings = settings
        self._start_worker = start_worker
        self._stopping = threading.Event()
        self._works_on = False
        self._threads: list[threading.Thread] = []
        self._open = ExitStack()
        self._watch = Watch(
            settings.spool.folder, reserve_bytes=round(settings.spool.reserve_gib * GIB)
        )

    def run(self) -> None:
        """Receive, de-identify and send until SIGTERM or SIGINT."""
        log.configure(self._settings.log.level)
        os.umask(0o077)
        keep_memory_private()
        end_on_stop_signals()
        with (
            log.alone_on_standard_streams(),
            log.told_to(self._watch.told),
            MonitorServer(self._settings.monitor, self._watch),
        ):
            self.start()
            on_stop_signals(self._stopping.set)
            notify("READY=1")
            self._beat_until_stopped()
            notify("STOPPING=1")
            self.stop()
            if self._runs_on:
                # What is in the middle of a series must not keep the process.
                os._exit(0)

    def _beat_until_stopped(self) -> None:
        while not self._stopping.wait(beat_seconds()):
            if self._watch.is_live():
                notify("WATCHDOG=1")

    def start(self) -> None:
        """Recover what the last run left, then work, then receive.

        Raises
        ------
        SpoolError
            If another node uses the spool folder, or its disk cannot be written.
        ProfileInvalid, WeightsUnusable
            If nothing can be de-identified.
        WorkerNotStarted
            If the process that does it ends at once.
        KeyUnusable
            If the key cannot be used, or the spool was filled under another one.
        AuditUnusable, CrosswalkUnusable
            If what was done cannot be put on record.
        SettingsInvalid
            If the port cannot be listened on.
        """
        settings, folder = self._settings, self._settings.spool.folder
        with DiskFailuresNamed(folder.parent):
            make_private_folder(folder)
        self._lock = exclusive(folder)
        pseudonyms = Pseudonyms(read_key(settings.pseudonym_key))
        self._ledger = ledger = Ledger(
            folder / LEDGER, replaces_late=settings.series.late == "replace"
        )
        ledger.belongs_to(pseudonyms.fingerprint())
        worker = self._start_worker(settings, ledger)
        self._open.callback(worker.close)
        self._sealing = open_sealing(folder, settings.spool.encrypt_key)
        spool = Spool(
            folder / "received",
            reserve_bytes=round(settings.spool.reserve_gib * GIB),
            sealing=self._sealing,
        )
        outbox = Outbox(folder / "outbox")
        assembly = assembly_of(settings, ledger)
        pictures = Pictures(folder, self._sealing)
        self._claimed = recover(
            ledger=ledger, spool=spool, outbox=outbox, pictures=pictures, assembly=assembly
        )
        worker.wait()
        self._watch.ask(weights=lambda: worker.is_ready)
        self._start_threads(worker, ledger, spool, outbox, pictures, assembly)
        self._scp = StorageSCP(
            settings.node,
            spool=spool,
            ledger=ledger,
            assembly=assembly,
            pseudonyms=pseudonyms,
            counts=self._watch.metrics.counts,
        )
        try:
            self._scp.start()
        except BaseException:
            self._end(until=time.monotonic() + DRAIN_SECONDS)
            raise
        self._tell_watch(ledger, spool)
        event(logger, "listening", port=self._scp.port)

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return self._scp.port

    def stop(self) -> None:
        """Close the port, let threads finish what is short, and leave the rest for later."""
        end = time.monotonic() + DRAIN_SECONDS
        self._watch.stops()
        self._stopping.set()
        self._scp.stop()
        self._end(until=end)
        event(logger, "stopped")

    def _end(self, *, until: float) -> None:
        self._stopping.set()
        half = max(0.0, until - CLOSE_SECONDS - time.monotonic()) / 2
        _join(self._threads, until=time.monotonic() + half)
        self._works_on = True

        def stop_staging() -> None:
            self._works_on = not self._staging.stop(half)

        # Either may wait: for a destination, or for a database that another process locked.
        for each in (stop_staging, self._sending.close):
            ending = threading.Thread(target=self._finish, args=(each,), name="end", daemon=True)
            self._threads.append(ending)
            ending.start()
        _join(self._threads, until=until)
        if not self._runs_on:
            self._ledger.close()
            self._open.close()
        os.close(self._lock)

    def _finish(self, end: Callable[[], object]) -> None:
        """Let a part end; what it cannot write down now, the next start finds out."""
        try:
            end()
        except Exception as error:  # noqa: BLE001 - a locked ledger must not keep the process
            event(logger, "step-failed", level=logging.WARNING, error=type(error).__name__)

    @property
    def _runs_on(self) -> bool:
        """Whether something did not end in the time it had."""
        return self._works_on or any(thread.is_alive() for thread in self._threads)

    def _tell_watch(self, ledger: Ledger, spool: Spool) -> None:
        self._watch.works_in(tuple(self._threads))
        self._watch.count_associations(lambda: self._scp.n_associations)
        self._watch.ask(
            ledger=ledger.answers,
            disk=spool.has_room,
            port=lambda: self._scp.is_listening,
        )

    def _start_threads(
        self,
        worker: Works,
        ledger: Ledger,
        spool: Spool,
        outbox: Outbox,
        pictures: Pictures,
        assembly: Assembly,
    ) -> None:
        settings = self._settings
        self._sending = Sending(
            settings.destinations, settings.commitment, ledger=ledger, outbox=outbox
        )
        self._staging = Staging(
            settings.spool.folder / ENGINE,
            worker,
            due=ledger.due,
            limit_seconds=stage_seconds(settings.faces),
            slots=n_processes(settings),
        )
        retention = Retention(
            ledger=ledger,
            spool=spool,
            outbox=outbox,
            pictures=pictures,
            keep_seconds=settings.spool.keep_originals_hours * 3600,
            keep_picture_seconds=settings.spool.picture_hours * 3600,
        )

        def keep_time() -> float:
            self._watch.beat()
            close(assembly, ledger=ledger, spool=spool)
            retention.step()
            give_back(self._claimed, ledger=ledger)
            return TICK_SECONDS

        steps = [("time", keep_time), ("staging", self._staging.step), *self._sending.steps()]
        if settings.sources:
            steps.append(("count", Counting(settings.sources, assembly).step))
        for name, step in steps:
            thread = threading.Thread(target=self._repeat, args=(step,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _repeat(self, step: Callable[[], float]) -> None:
        """Make one step after another until the node stops; a fault makes a pause."""
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = step()
            except Exception as error:  # noqa: BLE001 - a full disk must not end a thread
                event(logger, "step-failed", level=logging.ERROR, error=type(error).__name__)
                pause = FAULT_PAUSE_SECONDS


def _join(threads: list[threading.Thread], *, until: float) -> None:
    """Wait for all of them, up to a moment of the monotonic clock."""
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
