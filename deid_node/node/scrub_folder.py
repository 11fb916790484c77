"""Scrub the headers of a folder into another folder, in one process or in several.

The order of the files decides, never the speed of a process: outcomes come in that order,
and of two instances that bear one SOP Instance UID the first is written.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from deid_node import log
from deid_node.errors import DuplicateInstance, InstanceThereAlready, NotDicom, OutputUnwritable
from deid_node.node.input_folder import files_below
from deid_node.node.output_folder import OutputFolder
from deid_node.node.scrub_file import Draft, FileScrubber, NotWritten, Task, not_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path, PurePath

    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.records.audit import AuditLog
    from deid_node.node.records.audit_entry import Entry
    from deid_node.node.records.crosswalk import Crosswalk

    Batch = list[tuple[int, Path]]
    Drafted = list[Draft | NotWritten]

BATCH: Final = 16
"""Files that a process takes, and that are published, at a time."""
AHEAD: Final = 3
"""Batches for each process that may wait; they bound memory and drafts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was scrubbed, and where the result is.

    Parameters
    ----------
    path
        The source, as the operator typed it.
    place
        Name below the output folder.
    repeats
        Whether an identical file was written before it.
    """

    path: Path
    place: PurePath
    repeats: bool = False


class FolderScrub:
    """Scrubs whole folders.

    Parameters
    ----------
    profile, pseudonyms
        What is done, and the key.
    durable
        Whether the output must survive a power failure once the run has ended.
    jobs
        How many processes; 1 works in this one.
    audit
        Where each instance is accounted for, before it gets its name.
    crosswalk
        Where its old and new identifiers go, before it gets its name.
    """

    def __init__(
        self,
        profile: Profile,
        pseudonyms: Pseudonyms,
        *,
        durable: bool = False,
        jobs: int = 1,
        audit: AuditLog | None = None,
        crosswalk: Crosswalk | None = None,
    ) -> None:
        self._audit = audit
        self._crosswalk = crosswalk
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._durable = durable
        self._jobs = jobs
        self._sources: dict[str, Path] = {}

    def run(self, folder: Path, out: Path) -> Iterator[Written | NotWritten]:
        """Scrub every file below `folder` into `out`.

        Yields
        ------
        Written or NotWritten
            One for each file, in order, when its fate is settled.

        Raises
        ------
        NotDicom
            If `folder` is none.
        OutputUnwritable
            If the folders overlap, or `out` cannot be written.
        SettingsInvalid
            If the profile cannot be applied.
        """
        refuse_overlap(folder, out)
        files = enumerate(files_below(folder))
        with OutputFolder(out, durable=self._durable) as output:
            task = Task(
                profile=self._profile,
                pseudonyms=self._pseudonyms,
                drafts=output.drafts,
                durable=self._durable,
                audited=self._audit is not None,
            )
            batches = iter(lambda: list(islice(files, BATCH)), [])
            for drafted in self._drafted(batches, task):
                yield from self._publish(drafted, output)

    def _drafted(self, batches: Iterable[Batch], task: Task) -> Iterator[Drafted]:
        if self._jobs == 1:
            scrubber = FileScrubber(task)
            yield from ([scrubber.run(*each) for each in batch] for batch in batches)
        else:
            yield from _in_processes(batches, task, self._jobs)

    def _publish(self, drafted: Drafted, output: OutputFolder) -> Iterator[Written | NotWritten]:
        """Settle a batch, put it on record, then give names: what has a name is on record."""
        settled = [(each, self._settle(each, output)) for each in drafted]
        self._put_on_record(settled)
        for each, fate in settled:
            if isinstance(each, Draft):
                if _is_new(fate):
                    output.publish(each.draft, each.place)
                else:
                    each.draft.unlink()
            yield fate

    def _put_on_record(
        self, settled: list[tuple[Draft | NotWritten, Written | NotWritten]]
    ) -> None:
        if self._crosswalk is not None:
            self._crosswalk.append(
                each.linkage for each, fate in settled if isinstance(each, Draft) and _is_new(fate)
            )
        if self._audit is not None:
            self._audit.append([entry for entry in (_entry(*pair) for pair in settled) if entry])

    def _settle(self, found: Draft | NotWritten, output: OutputFolder) -> Written | NotWritten:
        """Say what becomes of a draft: it may repeat or contradict an earlier one."""
        if isinstance(found, NotWritten):
            return found
        first = self._sources.setdefault(found.linkage.of("instance").new, found.path)
        if first is not found.path:
            if _is_same(first, found.path):
                return Written(path=found.path, place=found.place, repeats=True)
            held = not_written(found.path, DuplicateInstance(n_instances=1))
            return replace(held, reason=f"it bears the SOP Instance UID of {first}, but differs")
        if output.differs(found.draft, found.place):
            return not_written(found.path, InstanceThereAlready())
        return Written(path=found.path, place=found.place)


def _is_new(fate: Written | NotWritten) -> bool:
    return isinstance(fate, Written) and not fate.repeats


def _entry(found: Draft | NotWritten, fate: Written | NotWritten) -> Entry | None:
    """Account for what became of a draft in the end."""
    if found.entry is None or found is fate:
        return found.entry
    if isinstance(fate, NotWritten):
        return replace(found.entry, disposition=fate.state, reason=fate.error)
    return replace(found.entry, disposition="repeated") if fate.repeats else found.entry


def refuse_overlap(folder: Path, out: Path) -> None:
    """Keep the output out of the input, and the input out of the output.

    Raises
    ------
    NotDicom
        If the input is no folder.
    OutputUnwritable
        If one is, or lies in, the other.
    """
    if not folder.is_dir():
        raise NotDicom(f"{folder} is not a folder")
    ours, theirs = out.resolve(), folder.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise OutputUnwritable(f"{out} and {folder} are, or lie in, one another")


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.read_bytes() == second.read_bytes()
    except OSError:
        return False


def _in_processes(batches: Iterable[Batch], task: Task, jobs: int) -> Iterator[Drafted]:
    """Work on batches side by side; give them back in order."""
    waiting: deque[tuple[Batch, Future[Drafted]]] = deque()
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(task,),
    )
    try:
        for batch in batches:
            waiting.append((batch, _submitted(pool, batch)))
            if len(waiting) >= AHEAD * jobs:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, batch: Batch) -> Future[Drafted]:
    try:
        return pool.submit(_work, batch)
    except BrokenProcessPool as error:
        broken: Future[Drafted] = Future()
        broken.set_exception(error)
        return broken


def _result(batch: Batch, future: Future[Drafted]) -> Drafted:
    """Wait for a batch; where its process died, hold its files."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        return [not_written(path, error) for _, path in batch]


_scrubbers: list[FileScrubber] = []
"""The one scrubber of this process, if it is one of several."""


def _begin(task: Task) -> None:
    """Start a process: libraries silent, Ctrl-C left to the first process."""
    log.silence()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()
    _scrubbers.append(FileScrubber(task))


def _end_with_the_first_process() -> None:
    """Leave nothing behind that holds the key when the first process is killed."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os._exit(1)


def _work(batch: Sequence[tuple[int, Path]]) -> Drafted:
    return [_scrubbers[0].run(*each) for each in batch]
