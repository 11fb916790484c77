"""What a node and its commands did is on record: sealed, without a value, and for the broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from pydicom import dcmread

from deid_node.config.load import load_settings, read_key
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.records.audit_chain import verify
from deid_node.node.records.broker_key import create_broker_key
from deid_node.node.records.crosswalk_export import open_crosswalk
from deid_node.node.service import Service, status
from tests.fakes.command import run
from tests.fakes.node import eventually, free_port, recipe_for, settings_file, worker_here
from tests.fakes.peer import send
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

MORE = """
[audit]
file = "records/audit.jsonl"
[crosswalk]
file = "records/crosswalk"
recipient = "broker.key.pub"
"""


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give the folder of a site that keeps records."""
    create_broker_key(tmp_path / "broker.key")
    port = free_port()
    settings_file(tmp_path, port=port, quiet_seconds=0.5, more=MORE)
    return tmp_path


def lines(site: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (site / "records/audit.jsonl").read_text().splitlines()]


def check(site: Path, head: list[Dataset], results: list[Path]) -> None:
    """Compare the records with what went in and what came out."""
    key = Pseudonyms(read_key(site / "pseudonym.key"))
    assert verify(site / "records/audit.jsonl", key).broken is None
    ready = next(line for line in lines(site) if line["disposition"] == "ready")
    results = [path for path in results if dcmread(path).Modality == "MR"]
    outputs = {str(dcmread(path).SOPInstanceUID) for path in results}
    assert ready["series"] == key.series_key(head[0].SeriesInstanceUID)
    assert ready["n_instances"] == len(head)
    assert ready["uids"]["series"] == dcmread(results[0]).SeriesInstanceUID  # type: ignore[index]
    assert "113102" in ready["codes"]  # type: ignore[operator]
    opened = open_crosswalk(site / "records/crosswalk", site / "broker.key")
    linked = {old: new for kind, old, new in opened.links if kind == "instance"}
    assert set(linked) == {str(each.SOPInstanceUID) for each in head}
    assert set(linked.values()) == outputs
    assert opened.n_open == 0
    [patient] = [pair[1:] for pair in opened.links if pair[0] == "patient"]
    assert patient == (str(head[0].PatientID), str(dcmread(results[0]).PatientID))
    everything = b"".join(path.read_bytes() for path in (site / "records").iterdir())
    assert not [each for each in FakePatient().identifiers() if each.encode() in everything]


def test_node_records_what_it_passed_on_and_what_it_held(site: Path, head: list[Dataset]) -> None:
    settings = load_settings(site / "deid-node.toml", {})
    service = Service(settings, worker_here(recipe_for(settings)))
    service.start()
    try:
        send(head, service.port)
        send(mr_series(np.zeros((1, 8, 8), np.uint16)), service.port)
        eventually(lambda: status(settings).series == {"purged": 1, "held": 1})
    finally:
        service.stop()

    check(site, head, list((site / "copies").rglob("*.dcm")))
    held = next(line for line in lines(site) if line["disposition"] == "held")
    assert (held["verb"], held["reason"], held["n_instances"]) == ("serve", "TooFewSlices", 1)


def test_deface_records_each_series(site: Path, head: list[Dataset]) -> None:
    (site / "incoming").mkdir()
    for k, instance in enumerate(head):
        instance.save_as(site / "incoming" / f"{k}", enforce_file_format=True)
    for instance in mr_series(np.zeros((1, 8, 8), np.uint16)):
        instance.save_as(site / "incoming" / "single", enforce_file_format=True)

    settings = site / "deid-node.toml"
    assert run("deface", site / "incoming", "--out", site / "out", "--config", settings) == 65

    check(site, head, list((site / "out").rglob("*.dcm")))
    assert {line["verb"] for line in lines(site)} == {"deface"}
    assert [line["disposition"] for line in lines(site)] == ["ready", "held"]


def test_nothing_is_delivered_that_is_not_on_record(
    site: Path, head: list[Dataset], capfd: pytest.CaptureFixture[str]
) -> None:
    (site / "incoming").mkdir()
    for k, instance in enumerate(head):
        instance.save_as(site / "incoming" / f"{k}", enforce_file_format=True)
    (site / "records").mkdir()
    (site / "records/audit.jsonl").write_text("a shopping list\n")

    settings = site / "deid-node.toml"
    assert run("deface", site / "incoming", "--out", site / "out", "--config", settings) == 74

    assert "not sealed under this key" in capfd.readouterr().err
    assert not list((site / "out").rglob("*.dcm"))
