"""The shipped folder is what the training code says it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from face_model import network

SHIPPED = Path(__file__).parents[2] / "weights" / "default"


def test_the_plans_are_those_the_code_writes() -> None:
    plans = json.loads((SHIPPED / "plans.json").read_text())
    own = plans["deid_node"]

    assert plans == network.plans(patch=own["patch"], spacing_mm=own["spacing_mm"])


def test_the_card_holds_the_digest_of_every_file() -> None:
    card = json.loads((SHIPPED / "card.json").read_text())

    for name in ("face.xml", "face.bin", "face.safetensors", "plans.json"):
        assert hashlib.sha256((SHIPPED / name).read_bytes()).hexdigest() == card["sha256"][name]


def test_the_network_takes_one_window_and_answers_with_a_class_for_each_part() -> None:
    own = json.loads((SHIPPED / "plans.json").read_text())["deid_node"]
    edge, n_classes = own["patch"], len(own["classes"])
    layers = ET.parse(SHIPPED / "face.xml").getroot().findall("layers/layer")  # noqa: S314 - our own file
    by_type = {layer.get("type"): layer for layer in layers}

    entrance = by_type["Parameter"].findall("output/port/dim")
    way_out = by_type["Result"].findall("input/port/dim")

    assert [int(dim.text or 0) for dim in entrance] == [1, 1, edge, edge, edge]
    assert [int(dim.text or 0) for dim in way_out] == [1, n_classes, edge, edge, edge]


def test_the_folder_stays_small_enough_to_ship() -> None:
    total = sum(path.stat().st_size for path in SHIPPED.iterdir())

    assert total < 20e6


@pytest.mark.torch
def test_the_plans_build_the_network_whose_weights_are_shipped() -> None:
    pytest.importorskip("torch", reason="torch is not installed: `make test-torch` runs this")
    pytest.importorskip("dynamic_network_architectures", reason="only training needs it")
    safetensors = pytest.importorskip("safetensors.torch", reason="only training needs it")
    net = network.build(json.loads((SHIPPED / "plans.json").read_text()))

    stored = safetensors.load_file(SHIPPED / "face.safetensors")

    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    assert {name: tensor.shape for name, tensor in stored.items()} == {n: shapes[n] for n in stored}
    assert sum(t.numel() for t in stored.values()) == sum(p.numel() for p in net.parameters())
