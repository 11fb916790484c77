"""Series that betray themselves where they leak, and peers that send them until they are taken.

Each series bears one made-up identity and UIDs under one root. Slices through the face bear a run
of pixels within it, the canary of the series, and slices through the brain another, its witness.
"""

from __future__ import annotations

import copy
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from pynetdicom.dsutils import encode
from scipy import ndimage

from deid_node.face.grid import interpolate
from deid_node.face.mask import MaskPolicy, shape_mask
from tests.fakes.face import FakeFaceModel
from tests.fakes.head import volume_of
from tests.fakes.raw_peer import RawPeer, command_pdu, data_pdu, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROOT: Final = "1.2.826.0.1.3680043.8.498.4711"
"""Of every UID that is sent; none may come out."""
RUN_PIXELS: Final = 8
MARGIN_VOXELS: Final = 2
"""Canary and witness lie this deep in mask and brain."""
SURE: Final = 0.9
FRAGMENT: Final = 16000
PAUSE_SECONDS: Final = 0.05
GAP_SECONDS: Final = 0.02
"""Between two instances: a series takes a second, that kills fall into receiving."""


def identifiers() -> list[bytes]:
    """Every value that must not come out, in the ways that a dataset can hold it."""
    patient = FakePatient()
    values = {*patient.identifiers(), ROOT} - {patient.age, patient.study_time}
    return [value.encode(code) for value in sorted(values) for code in ("ascii", "utf-16-le")]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """What is sent.

    Parameters
    ----------
    uid
        Series Instance UID.
    datasets
        Encoded datasets by SOP Instance UID, in stack order.
    canary
        Bytes within the face of many slices: must not come out.
    witness
        Bytes within the brain of others: must come out.
    witnesses
        SOP Instance UIDs of those others.
    """

    uid: str
    datasets: dict[str, bytes]
    canary: bytes
    witness: bytes
    witnesses: frozenset[str]


class Template:
    """A drawn head of which any number of series is made."""

    def __init__(self) -> None:
        head = small_head()
        self._instances = dicom_series(head)
        shape = head.values.shape[1:]
        planes = [np.frombuffer(each.PixelData, np.uint16) for each in self._instances]
        volume = volume_of(np.stack(planes).reshape(-1, *shape), head.affine)
        estimate = FakeFaceModel().estimate(volume)
        mask = shape_mask(estimate, volume, MaskPolicy())
        brain = interpolate(estimate.brain, estimate.affine, volume.affine, mask.shape) > SURE
        self._canaries = [_place(plane) for plane in _deep(mask)]
        self._witnesses = [_place(plane) for plane in _deep(brain)]

    @property
    def n_instances(self) -> int:
        """Instances of a series, its SEG not counted."""
        return len(self._instances)

    def series(self, number: int) -> Series:
        """Make a series with canary and witness of its own."""
        values = np.random.default_rng(number).integers(1, 4096, (2, RUN_PIXELS), np.uint16)
        datasets, witnesses = {}, set()
        for k, original in enumerate(self._instances):
            instance = copy.deepcopy(original)
            instance.SOPInstanceUID = f"{ROOT}.{number}.{k + 1}"
            instance.SeriesInstanceUID = f"{ROOT}.{number}"
            instance.StudyInstanceUID = f"{ROOT}.0.{number}"
            instance.FrameOfReferenceUID = f"{ROOT}.0.0.{number}"
            pixels = np.frombuffer(instance.PixelData, np.uint16).copy()
            for place, run in zip((self._canaries[k], self._witnesses[k]), values, strict=True):
                if place is not None:
                    pixels[place : place + RUN_PIXELS] = run
            if self._witnesses[k] is not None:
                witnesses.add(instance.SOPInstanceUID)
            instance.PixelData = pixels.tobytes()
            encoded = encode(instance, is_implicit_vr=False, is_little_endian=True)
            assert encoded is not None
            datasets[instance.SOPInstanceUID] = encoded
        return Series(
            uid=f"{ROOT}.{number}",
            datasets=datasets,
            canary=values[0].tobytes(),
            witness=values[1].tobytes(),
            witnesses=frozenset(witnesses),
        )


@dataclass(slots=True)
class Tally:
    """What the node promised to keep; shared by all senders."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = 0
    begun: list[Series] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0


class Sender(threading.Thread):
    """Sends series after series to a node that may die at any time; goes on where it was.

    Parameters
    ----------
    port
        Of the node.
    tally
        Where promises are noted.
    next_series
        Gives another series; None while enough are on their way.
    seed
        Decides which instances are sent twice.
    """

    def __init__(
        self, port: int, tally: Tally, next_series: Callable[[], Series | None], *, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self._port, self._tally, self._next = port, tally, next_series
        self._done = threading.Event()
        self._owed: list[tuple[str, bytes]] = []
        self._again = random.Random(seed)  # noqa: S311 - a campaign that can be repeated

    def finish(self) -> None:
        """Send no further series; end when all that was begun is acknowledged."""
        self._done.set()

    def run(self) -> None:
        """Send until told to finish."""
        while not (self._done.is_set() and not self._owed):
            if not self._owed and not self._begin():
                self._done.wait(PAUSE_SECONDS)
                continue
            try:
                with RawPeer(self._port, seconds=10) as peer:
                    peer.associate()
                    self._send(peer)
            except (OSError, AssertionError):
                threading.Event().wait(PAUSE_SECONDS)

    def _begin(self) -> bool:
        series = None if self._done.is_set() else self._next()
        if series is None:
            return False
        self._owed = list(series.datasets.items())
        with self._tally.lock:
            self._tally.begun.append(series)
            if self._again.random() < 0.2:
                self._owed += self._owed[:5]  # a PACS that sends some of it twice
        return True

    def _send(self, peer: RawPeer) -> None:
        while self._owed:
            uid, encoded = self._owed[0]
            peer.say(command_pdu(store(uid)))
            for at in range(0, len(encoded), FRAGMENT):
                last = at + FRAGMENT >= len(encoded)
                peer.say(data_pdu(encoded[at : at + FRAGMENT], last=last))
            if peer.status() == 0:
                with self._tally.lock:
                    self._tally.acknowledged.add(uid)
                del self._owed[0]
                self._done.wait(GAP_SECONDS)
            else:
                self._tally.refused += 1
                return


def _deep(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave of each plane what lies well within its mask."""
    plane = np.ones((1, 2 * MARGIN_VOXELS + 1, 2 * MARGIN_VOXELS + 1), bool)
    return np.asarray(ndimage.binary_erosion(mask, plane))


def _place(deep: NDArray[np.bool_]) -> int | None:
    """Find a run of masked pixels in a plane: index of the first, the plane laid out flat."""
    runs = np.lib.stride_tricks.sliding_window_view(deep, RUN_PIXELS, axis=1).all(axis=2)
    found = np.argwhere(runs)
    if not len(found):
        return None
    row, column = found[len(found) // 2]
    return int(row * deep.shape[1] + column)
