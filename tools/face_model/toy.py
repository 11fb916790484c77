"""Heads drawn by code as SynthSeg's label maps are, or as a raw dataset of nnunetv2.

They show that the steps of a training run, on any machine and without data; no more than that.

Usage: ``python -m face_model.toy FOLDER`` writes imagesTr, labelsTr, imagesTs and dataset.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from drawn_head.head import Head, draw_head
from drawn_head.tissue import CONTRASTS, Label

from face_model import network, targets

if TYPE_CHECKING:
    from drawn_head.tissue import Contrast

EDGE, DRAWN_MM = 256, 2
BRAIN_AT = (128, 107, 145)  # voxel of the middle of the brain
CHIASM_AT, CHIASM_MM = (0.0, -8.0, -24.0), 4.0  # LPS; the drawn head has none
TRAINING, TEST = 5, 1
SKIN, SOFT, BONE, MUSCLE = 511, 507, 515, 508
SYNTHSEG = {
    Label.AIR: 0,
    Label.SKIN: SKIN,
    Label.FAT: SOFT,
    Label.MUSCLE: SOFT,
    Label.BONE: BONE,
    Label.MARROW: 516,
    Label.AIRWAY: 0,
    Label.CSF: targets.CSF,
    Label.GREY_MATTER: 3,
    Label.WHITE_MATTER: 2,
    Label.CEREBELLUM: 8,
    Label.BRAINSTEM: 16,
    Label.EYES: targets.GLOBE,
    Label.ORBITS: SOFT,
    Label.NOSE: SKIN,
    Label.MOUTH: BONE,
    Label.EARS: SKIN,
    Label.VESSELS: targets.VEIN,
    Label.GLANDS: SOFT,
    Label.CHIN: SKIN,
    Label.CORD: 512,
    Label.MUCOSA: 509,
    Label.TONGUE: MUSCLE,
}


def draw(seed: int, contrast: Contrast = "T1") -> Head:
    """Draw an adult on 128 voxels of 2 mm along Right, Anterior, Superior."""
    size = EDGE // DRAWN_MM
    affine = np.diag([-DRAWN_MM, -DRAWN_MM, DRAWN_MM, 1.0])
    affine[:3, 3] = np.array(BRAIN_AT) * [1, 1, -1]
    return draw_head(contrast=contrast, shape=(size, size, size), affine=affine, seed=seed)


def label_map(head: Head) -> np.ndarray:
    """Give a drawn head the form of SynthSeg's training labels.

    Parameters
    ----------
    head : Head
        As `draw` returns it.

    Returns
    -------
    (256, 256, 256) ndarray of int16
        1 mm voxels in RAS order; left and right share the left one's value.
    """
    table = np.array([SYNTHSEG[label] for label in Label], np.int16)
    labels = table[head.labels]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij"), -1)
    away = np.linalg.norm(index @ head.affine[:3, :3] + head.affine[:3, 3] - CHIASM_AT, axis=-1)
    labels[away < CHIASM_MM] = targets.CHIASM
    for axis in range(3):
        labels = labels.repeat(DRAWN_MM, axis)
    return labels


def write_dataset(folder: Path) -> None:
    """Write heads of all contrasts with their targets, named as nnunetv2 wants them."""
    affine = np.diag([DRAWN_MM, DRAWN_MM, DRAWN_MM, 1.0])
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    for seed in range(TRAINING + TEST):
        head, training = draw(seed, CONTRASTS[seed % len(CONTRASTS)]), seed < TRAINING
        image = nib.Nifti1Image(head.values, affine)
        nib.save(image, folder / f"images{'Tr' if training else 'Ts'}/toy_{seed}_0000.nii.gz")
        if training:
            target, _, _ = targets.draw(label_map(head))
            small = target[(slice(None, None, DRAWN_MM),) * 3]
            nib.save(nib.Nifti1Image(small, affine), folder / f"labelsTr/toy_{seed}.nii.gz")
    described = {
        "channel_names": {"0": "MR"},
        "labels": {name: number for number, name in enumerate(network.CLASSES)},
        "numTraining": TRAINING,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(described, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made new; its name is DatasetNNN_Name")
    write_dataset(parser.parse_args().folder)
