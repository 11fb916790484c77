"""Read instances from Part 10 files, and put those of one series into stack order.

What makes instances one volume is checked in `deid_node.dicom.consistency`.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError

from deid_node.dicom.consistency import check_consistency
from deid_node.dicom.geometry import stack_order
from deid_node.errors import DuplicateInstance, InstanceRefused, NotDicom, UndecodableInstance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pydicom import Dataset

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
"""PS3.5 section 7.1: the value ends with a delimiter."""

PIXEL_DATA: Final = 0x7FE00010


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Instances of one series that form one volume, in stack order.

    Parameters
    ----------
    instances : tuple of Dataset
        Each with its own file meta, ordered along the slice normal.
    """

    instances: tuple[Dataset, ...]


class Readable(Protocol):
    """A file, in the clear or not, that gives its contents."""

    def read_bytes(self) -> bytes:
        """Give them all."""
        ...


def read_series(paths: Sequence[Readable]) -> Series:
    """Read the files of one series.

    Parameters
    ----------
    paths : sequence of Readable
        Part 10 files of one series, in any order. A file that is there twice, byte for
        byte, counts once.

    Returns
    -------
    Series
        Instances in stack order.

    Raises
    ------
    InstanceRefused
        If a file is not DICOM, breaks off, or is of a SOP Class that cannot be defaced.
    SeriesHeld
        If the instances are not one volume of one patient.
    OSError
        If a file cannot be read.
    """
    contents = {path.read_bytes(): None for path in paths}
    instances = [decode_instance(content) for content in contents]
    del contents
    n_repeated = len(instances) - len({str(each.get("SOPInstanceUID")) for each in instances})
    if n_repeated:
        raise DuplicateInstance(n_instances=n_repeated)
    check_consistency(instances)
    positions = np.array([each.ImagePositionPatient for each in instances], dtype=np.float64)
    order = stack_order(positions, instances[0].ImageOrientationPatient)
    return Series(instances=tuple(instances[k] for k in order))


def decode_instance(content: bytes) -> Dataset:
    """Decode one Part 10 file.

    Raises
    ------
    NotDicom
        If the content has no DICOM prefix.
    UndecodableInstance
        If it breaks off, cannot be parsed or does not say what it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their text quotes values
            dataset = dcmread(io.BytesIO(content))
    except InvalidDicomError:
        raise NotDicom("not a DICOM file: the DICM prefix is missing") from None
    except Exception:  # noqa: BLE001 - pydicom raises many kinds, and their text quotes values
        raise UndecodableInstance("the DICOM file cannot be parsed") from None
    if _breaks_off(dataset):
        raise UndecodableInstance("the DICOM file breaks off before its end")
    if "SOPClassUID" not in dataset:
        raise UndecodableInstance("the DICOM file has no SOP Class UID")
    return dataset


def _breaks_off(dataset: Dataset) -> bool:
    """Tell whether an element is shorter than its own length field says."""
    return any(
        isinstance(element, RawDataElement)
        and element.length != UNDEFINED_LENGTH
        and len(element.value or b"") != element.length
        for element in dataset.values()
    )


def group_files(
    paths: Iterable[Path],
) -> tuple[dict[str, list[Path]], list[tuple[Path, InstanceRefused]]]:
    """Sort files by series, by their content and not by their names.

    Parameters
    ----------
    paths : iterable of Path
        Any files.

    Returns
    -------
    dict of str to list of Path
        Files of each Series Instance UID, in the order given.
    list of (Path, InstanceRefused)
        Files that belong to no series, each with the reason.
    """
    series: dict[str, list[Path]] = {}
    refused: list[tuple[Path, InstanceRefused]] = []
    for path in paths:
        try:
            series.setdefault(_series_instance_uid(path), []).append(path)
        except InstanceRefused as error:
            refused.append((path, error))
    return series, refused


def _series_instance_uid(path: Path) -> str:
    """Read no more of a file than its Series Instance UID."""
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        uid = str(header.get("SeriesInstanceUID", ""))
    except InvalidDicomError:
        raise NotDicom("not a DICOM file: the DICM prefix is missing") from None
    except OSError:
        raise UndecodableInstance("the file cannot be read") from None
    except Exception:  # noqa: BLE001 - pydicom raises many kinds, and their text quotes values
        raise UndecodableInstance("the DICOM file cannot be parsed") from None
    if not uid:
        raise UndecodableInstance("the DICOM file has no Series Instance UID")
    return uid
