"""The heads drawn by code that a toy is trained on: what the target finds in them."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_head.tissue import Label
from face_model import targets, toy


def test_a_drawn_map_has_the_form_of_a_training_map() -> None:
    labels = toy.label_map(toy.draw(1))
    globes = np.argwhere(labels == targets.GLOBE).mean(axis=0)
    brain = np.argwhere(np.isin(labels, targets.BRAIN)).mean(axis=0)
    left_of_middle = (labels == targets.GLOBE)[:128].sum()

    assert labels.shape == (256, 256, 256)
    assert globes[1] > brain[1] + 50  # the second axis grows to the front
    assert globes[2] < brain[2] - 20  # the third upward
    assert left_of_middle == pytest.approx((labels == targets.GLOBE).sum() / 2, rel=0.02)


def test_every_label_of_a_drawn_head_has_a_value_of_the_training_maps() -> None:
    assert set(toy.SYNTHSEG) == set(Label)


@pytest.mark.slow
def test_the_target_of_a_drawn_map_names_its_features() -> None:
    head = toy.draw(1)

    seen = targets.draw(toy.label_map(head))[0][::2, ::2, ::2]

    def share(label: Label, *classes: int) -> float:
        return float(np.isin(seen[head.labels == label], classes).mean())

    assert share(Label.EYES, targets.EYES) > 0.95
    assert share(Label.NOSE, targets.NOSE, targets.FACE) > 0.95
    assert share(Label.EARS, targets.EARS) > 0.9
    assert share(Label.WHITE_MATTER, targets.BRAIN_CLASS) > 0.99
