"""Training: what the loss punishes, and that a run goes on where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import torch
else:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )

from face_model import train

pytestmark = pytest.mark.torch

EDGE = 16


def anatomy() -> torch.Tensor:
    """Draw brain behind, face in front, an ear beside; (1, EDGE, EDGE, EDGE)."""
    target = torch.zeros((1, EDGE, EDGE, EDGE), dtype=torch.long)
    target[:, :, :9] = train.BRAIN
    target[:, :, 11:] = train.FACE
    target[:, :3, :4] = train.EARS
    return target


def sure(target: torch.Tensor) -> torch.Tensor:
    """Logits of a network that is sure of `target`."""
    hot = torch.nn.functional.one_hot(target, train.CLASSES).movedim(-1, 1)
    return 16.0 * hot.float()


def state() -> train.State:
    net = torch.nn.Conv3d(1, train.CLASSES, 3, padding=1)
    average = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return train.State(
        net=net, optimizer=torch.optim.AdamW(net.parameters(), lr=1e-2), average=average
    )


def test_a_right_answer_costs_nothing_and_an_empty_one_much() -> None:
    target = anatomy()

    right = train.dice_and_cross_entropy(sure(target), target)
    empty = train.dice_and_cross_entropy(sure(torch.zeros_like(target)), target)

    assert float(right) < 0.01
    assert float(empty) > 2


def test_brain_taken_for_face_costs_more_beside_the_face_than_far_from_it() -> None:
    target = anatomy()
    near, far = target.clone(), target.clone()
    near[:, 8, 8, :4] = train.FACE
    far[:, 8, 4, :4] = train.FACE

    dear = train.dice_and_cross_entropy(sure(near), target)
    cheap = train.dice_and_cross_entropy(sure(far), target)

    assert float(dear) > 1.5 * float(cheap)


def test_an_ear_of_one_voxel_is_not_lost_among_the_others() -> None:
    target = torch.where(anatomy() == train.EARS, 0, anatomy())
    missed = target.clone()
    target[0, 0, 0, 0] = train.EARS

    loss = train.dice_and_cross_entropy(sure(missed), target)

    assert float(loss) > 0.1


def test_the_average_follows_the_weights_slowly() -> None:
    learner = state()
    learner.iteration = 1000
    before = {name: tensor.clone() for name, tensor in learner.average.items()}

    train.step(learner, (torch.randn(1, 1, EDGE, EDGE, EDGE), anatomy()), 1e-1, 0.9)

    for name, tensor in learner.net.state_dict().items():
        expected = before[name] + 0.1 * (tensor - before[name])
        torch.testing.assert_close(learner.average[name], expected)


def test_a_run_goes_on_with_the_weights_average_and_count_it_stopped_with(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, again = state(), state()
    batch = torch.randn(1, 1, EDGE, EDGE, EDGE), anatomy()
    for _ in range(3):
        train.step(first, batch, 1e-2, 0.9)
    train.save(first, tmp_path / "checkpoint.pt")

    train.load(again, tmp_path / "checkpoint.pt")
    for each in (first, again):
        train.step(each, batch, 1e-2, 0.9)

    assert again.iteration == 4
    for name, tensor in first.net.state_dict().items():
        assert torch.equal(tensor, again.net.state_dict()[name])
        assert torch.equal(first.average[name], again.average[name])


def test_training_on_one_batch_learns_it() -> None:
    torch.manual_seed(0)
    learner = state()
    image = torch.randn(1, 1, EDGE, EDGE, EDGE) * 0.1 + anatomy()[:, None].float()

    for _ in range(30):
        train.step(learner, (image, anatomy()), 3e-2, 0.9)

    assert learner.losses[-1] < 0.75 * learner.losses[0]
