"""Write a defaced series as NIfTI too, for those whose tools want that."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from dicom2nifti.convert_dicom import dicom_array_to_nifti
from pydicom import dcmread

from deid_node.errors import OutputUnwritable

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.pipeline.deidentify import DeidentifiedSeries

logging.getLogger("dicom2nifti").setLevel(logging.CRITICAL)


def write_nifti(result: DeidentifiedSeries, folder: Path) -> Path:
    """Write the defaced volume as ``<series uid>.nii.gz``.

    The converter reads the very bytes that were delivered, so nothing can be in the NIfTI
    file that is not in them.

    Parameters
    ----------
    result : DeidentifiedSeries
        A delivered series.
    folder : Path
        Where the file goes.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputUnwritable
        If it cannot be written. Nothing half-written stays.
    """
    instances = [dcmread(io.BytesIO(each.part10)) for each in result.instances]
    path = folder / f"{result.record.series_instance_uid}.nii.gz"
    draft = folder / f".{path.name[:-7]}.part.nii.gz"
    try:
        dicom_array_to_nifti(instances, str(draft), reorient_nifti=False)
        draft.replace(path)
    except OSError:
        raise OutputUnwritable(f"NIfTI file cannot be written into {folder}") from None
    finally:
        draft.unlink(missing_ok=True)
    return path
