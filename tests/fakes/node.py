"""A whole node with a fake face model: in this process, or as one that can be killed.

    python -m tests.fakes.node SETTINGS.toml [PAUSE]

serves like ``deid-node serve``, but waits PAUSE seconds where the model would think. What works
on series there is `tests.fakes.worker`, a process of its own as in a real node.
"""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from deid_node.config.load import create_key, load_settings, read_key
from deid_node.config.profile_file import load_profile
from deid_node.face.fill import Fill
from deid_node.face.mask import MaskPolicy
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.service import Service
from deid_node.node.work.making import worker_of
from deid_node.node.work.workers import Workers
from deid_node.pipeline.recipe import Recipe
from tests.fakes.face import CARD, FakeFaceModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deid_node.config.faces import Face
    from deid_node.config.schema import Settings
    from deid_node.dicom.volume import Volume
    from deid_node.errors import StageStuck
    from deid_node.face.model import FaceEstimate, ModelCard
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation
    from deid_node.node.work.staging import Works

_PORTS: Final = iter(random.SystemRandom().sample(range(10_000, 32_768), 20_000))
"""Below those that Linux gives of itself (`ip_local_port_range`); others in each process."""
SETTINGS = """
schema_version = 1
pseudonym_key = "pseudonym.key"
[node]
port = {port}
callers = ["PACS"]
[series]
quiet_seconds = {quiet_seconds}
{series}
[spool]
folder = "spool"
reserve_gib = 0
{more}
[[destinations]]
kind = "folder"
name = "copies"
folder = "copies"
"""
DICOM_DESTINATION = """
[[destinations]]
kind = "dicom"
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowFaceModel:
    """Waits, then sees what `FakeFaceModel` sees."""

    seconds: float
    card: ModelCard = CARD

    def estimate(self, volume: Volume) -> FaceEstimate:
        """Think for a while."""
        time.sleep(self.seconds)
        return FakeFaceModel(scale=0.96).estimate(volume)


def settings_file(
    folder: Path,
    *,
    port: int,
    archive: int | None = None,
    quiet_seconds: float = 1,
    series: str = "",
    more: str = "",
) -> Path:
    """Write settings and key; the archive is a DICOM destination on that port.

    Series are complete after silence, whatever else is known; `series` may say otherwise.
    """
    for key in ("released_seconds", "complete_seconds"):
        if key not in series:
            series += f"\n{key} = {quiet_seconds}"
    text = SETTINGS.format(port=port, quiet_seconds=quiet_seconds, series=series, more=more)
    if archive is not None:
        text += DICOM_DESTINATION.format(port=archive)
    path = folder / "deid-node.toml"
    path.write_text(text)
    if not (folder / "pseudonym.key").exists():
        create_key(folder / "pseudonym.key")
    return path


def recipe_for(settings: Settings, *, seconds: float = 0) -> Recipe:
    """Make a recipe that needs no weights."""
    return Recipe(
        profile=load_profile(settings.profile),
        pseudonyms=Pseudonyms(read_key(settings.pseudonym_key)),
        model=SlowFaceModel(seconds=seconds),
        mask=MaskPolicy(),
        fill=Fill(),
    )


def recipes_for(settings: Settings, *, seconds: float = 0) -> dict[Face, Recipe]:
    """Make such a recipe for each way of removing a face."""
    return dict.fromkeys(settings.faces, recipe_for(settings, seconds=seconds))


class WorkerHere:
    """Works in the thread that asks, so that a test may reach into it; nothing can end that.

    Like `Workers`, it begins once no worker of an earlier node is in the middle of a series.
    """

    is_ready = True
    _at_work: ClassVar[defaultdict[Path, threading.Lock]] = defaultdict(threading.Lock)
    """By the folder of the spool."""

    def __init__(
        self, settings: Settings, ledger: Ledger, *, recipes: Mapping[Face, Recipe]
    ) -> None:
        self._open = ExitStack()
        self._lock = self._at_work[settings.spool.folder]
        with self._lock:
            self._worker = worker_of(settings, recipes, ledger, self._open)
        self.give_back = self._worker.give_back

    def step(self, generation: Generation) -> float | None:
        """Work through one series."""
        with self._lock:
            return self._worker.step(generation)

    def wait(self) -> None:
        """Do nothing: it is ready."""

    def give_up(self, generation: Generation, stuck: StageStuck) -> None:
        """Let it go on."""

    def close(self) -> None:
        """Close the records."""
        self._open.close()


def worker_here(recipe: Recipe) -> Callable[[Settings, Ledger], Works]:
    """Have a service work in this process, by `recipe`."""
    return lambda settings, ledger: WorkerHere(
        settings, ledger, recipes=dict.fromkeys(settings.faces, recipe)
    )


@contextmanager
def running(
    settings: Settings, recipe: Recipe | None = None, *, seconds: float = 0
) -> Iterator[Service]:
    """Run a node in this process; without a `recipe`, it thinks for so long."""
    node = Service(settings, worker_here(recipe or recipe_for(settings, seconds=seconds)))
    node.start()
    try:
        yield node
    finally:
        node.stop()


def eventually(condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Wait until `condition` holds; a test fails by it only when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Name a port of this machine that nobody listens on, nor is given by the system meanwhile.

    A port that the system named would be named again, to whatever runs beside this test, until
    somebody listens on it: the one would then be asked what is meant for the other.
    """
    return next(filter(_is_free, _PORTS))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def answered(port: int, path: str) -> tuple[int, str]:
    """Ask the monitor port; give status and body."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def main(path: Path, program: Sequence[str]) -> None:
    """Serve until told to stop; `program` works on series."""
    Service(load_settings(path), partial(Workers, program=program)).run()


if __name__ == "__main__":
    pause = sys.argv[2] if len(sys.argv) > 2 else "0"
    main(Path(sys.argv[1]), [sys.executable, "-m", "tests.fakes.worker", pause])
