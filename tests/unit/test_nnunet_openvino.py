"""The network of an imported model on OpenVINO: the original's answer in float32, nearly that in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from deid_node.errors import WeightsUnusable
from deid_node.face.nnunet import openvino_unet as on_openvino
from deid_node.face.nnunet.arithmetic import Bytes, composed
from deid_node.face.nnunet.network import Topology, topology
from deid_node.face.nnunet.safetensors import decode
from deid_node.face.openvino_model import import_engine
from deid_node.face.processor import multiplies_bytes
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.float32]]

PATCH = (16, 24, 16)


def imported(tmp_path: Path, name: str) -> tuple[Tensors, Topology]:
    """Import one of the models of `tests/nnunet`; give its weights."""
    arguments = ("--name", "m", "--folder", tmp_path, "--accept-licence")
    assert run("weights", "import", MODELS / f"{name}.zip", *arguments) == 0
    tensors = decode((tmp_path / "m" / "fold_0.safetensors").read_bytes())
    return tensors, topology({key: each.shape for key, each in tensors.items()}, "m")


def smooth(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw values as smooth as an image, of mean 0 and deviation 1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal(shape), 1.5)
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def answer(
    tensors: Tensors, net: Topology, values: NDArray[np.float32], precision: str
) -> NDArray[np.float32]:
    network = on_openvino.openvino_unet(
        tensors, net, patch=values.shape, precision=precision, softmax=True, threads=1
    )
    return network(values)


def in_floats_and_bytes(
    monkeypatch: pytest.MonkeyPatch, imported: tuple[Tensors, Topology], *, known: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ask a network both ways, on a processor that knows bytes or does not."""
    monkeypatch.setattr(on_openvino, "multiplies_bytes", lambda: known)
    values = smooth(PATCH)
    return answer(*imported, values, "f32"), answer(*imported, values, "i8")


@pytest.mark.parametrize("name", ["v1", "v1_thick", "v2"])
def test_the_network_on_openvino_gives_the_probabilities_of_the_original(
    tmp_path: Path, name: str
) -> None:
    tensors, net = imported(tmp_path, name)
    with np.load(MODELS / f"{name}.npz") as stored:
        logits, values = stored["logits"][0], stored["input"][0, 0]

    probabilities = answer(tensors, net, values, "f32")

    raised = np.exp(logits - logits.max(axis=0))
    np.testing.assert_allclose(probabilities, raised / raised.sum(axis=0), atol=2e-5)


def test_one_model_at_least_has_a_bias_where_it_is_raised(tmp_path: Path) -> None:
    tensors, _ = imported(tmp_path, "v2")

    assert np.abs(tensors["decoder.transpconvs.0.bias"]).max() > 0.01


def test_a_network_that_openvino_cannot_run_is_refused(tmp_path: Path) -> None:
    tensors, net = imported(tmp_path, "v1")

    with pytest.raises(WeightsUnusable):
        answer(tensors, net, np.zeros((3, 5, 7), np.float32), "f32")


@pytest.mark.parametrize("name", ["v1", "v1_thick", "v2"])
def test_in_bytes_the_answer_is_nearly_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    floats, octets = in_floats_and_bytes(monkeypatch, imported(tmp_path, name), known=True)

    off = np.abs(octets - floats)
    assert 0 < off.mean() < 0.01
    assert off.max() < 0.1


def test_a_channel_in_another_unit_is_rounded_no_more_coarsely(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tensors, net = imported(tmp_path, "v2")
    values = smooth(PATCH)
    monkeypatch.setattr(on_openvino, "multiplies_bytes", lambda: True)
    before = answer(tensors, net, values, "i8")

    # what one channel is norm times a thousand, the next layer weighs a thousandth
    for key in ("weight", "bias"):
        name = f"encoder.stages.0.0.convs.0.norm.{key}"
        tensors[name] = tensors[name].copy()
        tensors[name][0] *= 1000
    name = "encoder.stages.0.0.convs.1.conv.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][:, 0] /= 1000

    np.testing.assert_allclose(answer(tensors, net, values, "i8"), before, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_kernel_is_rounded_to_the_nearest_byte_of_its_channel(axis: int) -> None:
    weight = np.random.default_rng(2).standard_normal((5, 4, 3, 3, 3)).astype(np.float32)
    weight = weight * np.logspace(-4, 4, weight.shape[axis], dtype=np.float32).reshape(
        [-1 if a == axis else 1 for a in range(5)]
    )
    weight[2, 2] = 0
    engine = import_engine()
    model = engine.Model([Bytes(engine.opset13).kernel(weight, axis)], [])

    rounded = engine.Core().compile_model(model, "CPU")({})[0]

    others = tuple(a for a in range(5) if a != axis)
    step = np.abs(weight).max(axis=others, keepdims=True) / 127
    steps = rounded / step
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert np.abs(steps - weight / step).max() <= 0.5001


def test_a_processor_that_does_not_multiply_bytes_is_spared_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    floats, octets = in_floats_and_bytes(monkeypatch, imported(tmp_path, "v1"), known=False)

    np.testing.assert_array_equal(octets, floats)


@pytest.mark.parametrize("size", [(2, 2, 2), (1, 2, 2), (1, 1, 1)])
@pytest.mark.parametrize("reach", [(3, 3, 3), (1, 3, 3), (1, 1, 1)])
def test_raising_and_convolving_are_one_transposed_convolution(
    size: tuple[int, int, int], reach: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, 4, 5, 6)).astype(np.float32)
    raising = rng.standard_normal((3, 2, *size)).astype(np.float32)
    kernel = rng.standard_normal((4, 2, *reach)).astype(np.float32)

    found = transposed(values, composed(raising, kernel), size)

    expected = np.zeros((4, *(n * k for n, k in zip((4, 5, 6), size, strict=True))))
    raised = transposed(values, raising, size)
    for out, between in np.ndindex(4, 2):
        expected[out] += ndimage.correlate(
            raised[between], kernel[out, between].astype(float), mode="constant"
        )
    cut = tuple(slice(k // 2, n - (k // 2)) for n, k in zip(found.shape[1:], reach, strict=True))
    np.testing.assert_allclose(found[(slice(None), *cut)], expected, atol=1e-4)


def transposed(
    values: NDArray[np.float32], kernel: NDArray[np.float32], stride: tuple[int, ...]
) -> NDArray[np.float64]:
    """Lay a kernel, weighed by each value, on a finer grid."""
    size = kernel.shape[2:]
    shape = [(n - 1) * s + k for n, s, k in zip(values.shape[1:], stride, size, strict=True)]
    out = np.zeros((kernel.shape[1], *shape))
    for at in np.ndindex(values.shape[1:]):
        box = tuple(slice(a * s, a * s + k) for a, s, k in zip(at, stride, size, strict=True))
        out[(slice(None), *box)] += np.einsum("i,io...->o...", values[:, *at], kernel)
    return out


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_vnni\n", True),
        ("flags : fpu avx2 avx_vnni\n", True),
        ("flags : fpu avx512f avx512_vnnix\nbugs : amx_int8\n", False),
        ("Features : fp asimd asimddp\n", False),
        ("", False),
    ],
)
def test_processors_that_multiply_bytes_are_known_by_their_flags(
    tmp_path: Path, told: str, *, expected: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(told)

    assert multiplies_bytes(cpuinfo) is expected


def test_where_nothing_tells_of_the_processor_nothing_is_assumed(tmp_path: Path) -> None:
    assert not multiplies_bytes(tmp_path / "none")
