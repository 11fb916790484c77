"""An independent reader finds the SEG exactly where voxels were replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import SimpleITK as sitk
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from overlay import draw, mask_on, read_images, read_seg
from pydicom import dcmread

from deid_node.dicom.series import Series
from deid_node.face.fill import Fill
from deid_node.face.openvino_model import load_model
from deid_node.face.weights import default_weights
from deid_node.pipeline.deidentify import deidentify
from tests.fakes.recipe import recipe_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_seg_lies_on_the_replaced_voxels(orientation: str, tmp_path: Path) -> None:
    instances = dicom_series(small_head(orientation=orientation))  # type: ignore[arg-type]
    model = load_model(default_weights(), threads=1)
    recipe = recipe_of(profile="basic", fill=Fill(method="constant", constant=0), model=model)
    result = deidentify(Series(instances=tuple(instances)), recipe)
    for each in (*result.instances, result.segmentation):
        (tmp_path / f"{each.sop_instance_uid}.dcm").write_bytes(each.part10)

    image = read_images(tmp_path)
    mask = mask_on(image, read_seg(tmp_path))

    assert mask.sum() == result.record.n_voxels_removed
    assert not sitk.GetArrayFromImage(image)[mask].any()
    assert draw(image, mask).size[0] > 100
    assert dcmread(next(tmp_path.iterdir())).PatientIdentityRemoved == "YES"
