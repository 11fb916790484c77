"""Defacers under one roof: each turns a head into the mask of what it removes.

The peers take and give NIfTI; voxels that they change are their mask. Air that is exactly zero
would hide what they remove of it, so they are shown it lifted by a trifle.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses

from deid_node.dicom.volume import Volume
from deid_node.errors import ImplausibleFaceMask
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.openvino_model import load_model
from deid_node.face.plausibility import judge
from face_model import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from face_model.head import Head

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TRIFLE = 1e-3
"""Share of the brightest value by which air is lifted for the peers."""

BUFFER_MM = 10.0  # quickshear's own default


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a defacer did: its mask, (slices, rows, columns); its verdict; CPU-seconds."""

    removed: NDArray[np.bool_]
    verdict: str
    cpu_s: float


class Defacer(Protocol):
    """Something that removes faces."""

    @property
    def name(self) -> str:
        """Name in the tables."""
        ...

    def __call__(self, head: Head) -> Answer | None:
        """Deface; None where it cannot be asked (no brain mask for it)."""
        ...


class Runtime:
    """The node's own way, at its default policy.

    Parameters
    ----------
    folder : Path
        Of the model.
    """

    name = "deid-node"

    def __init__(self, folder: Path) -> None:
        self._model = load_model(folder, threads=1)

    def __call__(self, head: Head) -> Answer:
        """Estimate, shape, judge."""
        volume = as_volume(head)
        began = time.process_time()
        estimate = self._model.estimate(volume)
        removed = shape_mask(estimate, volume, MaskPolicy())
        verdict = "passed"
        try:
            judge(removed, estimate, volume)
        except ImplausibleFaceMask as held:
            verdict = f"held: {held}"
        return Answer(removed=removed, verdict=verdict, cpu_s=time.process_time() - began)


class Plain:
    """The simple masks of `plain`, which nothing judges.

    Parameters
    ----------
    folder : Path
        Of the model.
    """

    name = "plain mask"

    def __init__(self, folder: Path) -> None:
        self._net = plain.load(folder)

    def __call__(self, head: Head) -> Answer:
        """Predict and threshold."""
        image = sitk.GetImageFromArray(head.values)
        spacing = head.spacing_mm()
        image.SetSpacing(spacing[::-1].tolist())
        image.SetDirection((head.affine[:3, :3] / spacing)[:, ::-1].ravel().tolist())
        image.SetOrigin(head.affine[:3, 3].tolist())
        began = time.process_time()
        removed = plain.predict(self._net, image)
        return Answer(removed=removed, verdict="not judged", cpu_s=time.process_time() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Niimath:
    """niimath's ``-deface``: affine registration to a template, whose mask is carried back.

    Parameters
    ----------
    program, template, mask : Path
        The executable; head template; mask on its grid that is 0 where the face is.
    """

    program: Path
    template: Path
    mask: Path
    name: str = "niimath"

    def __call__(self, head: Head) -> Answer:
        """Deface with its default cost function."""
        with tempfile.TemporaryDirectory() as scratch:
            before, after = Path(scratch) / "before.nii", Path(scratch) / "after.nii"
            values = _write(head, before)
            deface = (self.program, before, "-deface", self.template, self.mask, after)
            cpu_s = _run(*deface, "-odt", "float")
            return _answer(values, after, cpu_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quickshear:
    """quickshear: all that lies before a plane near the brain; given the known brain mask.

    Parameters
    ----------
    program : Path
        The executable.
    """

    program: Path
    name: str = "quickshear"

    def __call__(self, head: Head) -> Answer | None:
        """Deface; the brain mask's own cost is not counted."""
        if head.brain is None or head.csf is None:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            before, brain, after = (
                Path(scratch) / f"{n}.nii" for n in ("before", "brain", "after")
            )
            values = _write(head, before)
            inside = (head.brain | head.csf).astype(np.uint8)
            nib.save(nib.Nifti1Image(inside, LPS_TO_RAS @ head.affine), brain)
            cpu_s = _run(self.program, before, brain, after, f"{BUFFER_MM:g}")
            return _answer(values, after, cpu_s)


def peers(folder: Path, template: Path, mask: Path) -> tuple[list[Defacer], list[str]]:
    """Find the peers.

    Parameters
    ----------
    folder : Path
        Where their programs are, such as ``bin`` of a virtual environment.
    template, mask : Path
        pydeface's, for niimath.

    Returns
    -------
    found : list of Defacer
    missing : list of str
        Why others are left out.
    """
    found: list[Defacer] = []
    missing = []
    if not (folder / "niimath").exists():
        missing.append(f"niimath is not in {folder}")
    elif not (template.exists() and mask.exists()):
        missing.append("niimath has no template or no mask (pydeface's wheel holds both)")
    else:
        found.append(Niimath(program=folder / "niimath", template=template, mask=mask))
    if (folder / "quickshear").exists():
        found.append(Quickshear(program=folder / "quickshear"))
    else:
        missing.append(f"quickshear is not in {folder}")
    return found, missing


def as_volume(head: Head) -> Volume:
    """Give a head the shape the runtime takes, its values rounded to 16 bits."""
    peak = max(1.0, float(np.abs(head.values).max()))
    stored = np.round(head.values * (32000 / peak)).astype(np.int16)
    slices = len(stored)
    slope = np.full(slices, peak / 32000)
    return Volume(stored=stored, slope=slope, intercept=np.zeros(slices), affine=head.affine)


def _write(head: Head, path: Path) -> NDArray[np.float32]:
    lifted = np.maximum(head.values, np.float32(TRIFLE * head.values.max()))
    nib.save(nib.Nifti1Image(lifted, LPS_TO_RAS @ head.affine), path)
    return lifted


def _run(*command: str | Path) -> float:
    """Run a peer; CPU-seconds of the whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 - our own argument list
        command, check=True, capture_output=True, env=os.environ | {"FSLOUTPUTTYPE": "NIFTI"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _answer(values: NDArray[np.float32], path: Path, cpu_s: float) -> Answer:
    after = np.asarray(nib.load(path).dataobj)
    return Answer(removed=np.abs(after - values) > 0, verdict="not judged", cpu_s=cpu_s)
