"""Health and metrics: what is told is true, bounded, and names nobody."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import threading
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deid_node.config.schema import Monitor
from deid_node.errors import SettingsInvalid, UnevenSlices
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.monitor import metrics, server
from deid_node.node.monitor.ledger_metrics import LedgerMetrics
from deid_node.node.monitor.server import MonitorServer
from deid_node.node.monitor.watch import LONGEST_SILENCE_SECONDS, PARTS, Watch
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.states import Reason, State
from deid_node.node.status import LEDGER
from tests.fakes.clock import FakeClock
from tests.fakes.faults import locked
from tests.fakes.node import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from deid_node.node.states import Generation

PROJECT = Path(__file__).parents[2]
RESERVE = 5 * 2**20


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watch(tmp_path: Path, clock: FakeClock) -> Watch:
    return Watch(tmp_path, reserve_bytes=RESERVE, now=clock)


@pytest.fixture
def port(watch: Watch) -> Iterator[int]:
    settings = Monitor(port=free_port())
    with MonitorServer(settings, watch):
        assert settings.port is not None
        yield settings.port


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()


def samples(watch: Watch) -> dict[str, dict[tuple[str, ...], float]]:
    """Parse what is told: by name of the metric and values of its labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(watch.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def values(families: list[Metric], name: str) -> dict[tuple[str, ...], float]:
    [family] = [each for each in families if each.name == name]
    return {tuple(each.labels.values()): each.value for each in family.samples}


class Filled:
    """A ledger with a series in a state of one's choice."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.ledger = Ledger(folder / LEDGER, now=clock)

    def series(self, name: str, *, owed_to: tuple[str, ...] = ()) -> Generation:
        kept = Kept(series=SeriesKey(name), instance=InstanceKey("i"), digest="d")
        self.ledger.arrived(kept)
        self.ledger.received(kept.series)
        claim = self.ledger.claim()
        assert claim is not None
        if owed_to:
            self.ledger.ready(claim.generation, owed_to)
        return claim.generation


@pytest.fixture
def filled(tmp_path: Path, clock: FakeClock) -> Iterator[Filled]:
    filled = Filled(tmp_path, clock)
    yield filled
    filled.ledger.close()


def test_part_that_says_nothing_or_fails_is_not_ready(watch: Watch, port: int) -> None:
    before = ask(port, "/ready")
    watch.ask(weights=lambda: True, ledger=lambda: bool(1 // 0), port=lambda: True)
    between = ask(port, "/ready")
    watch.ask(ledger=lambda: True, disk=lambda: True)
    after = ask(port, "/ready")

    assert before[0] == between[0] == 503
    assert json.loads(before[1]) == {"ready": False, "not_ready": list(PARTS)}
    assert json.loads(between[1])["not_ready"] == ["ledger", "disk"]
    assert (after[0], json.loads(after[1])) == (200, {"ready": True, "not_ready": []})
    assert samples(watch)["deid_node_ready"] == {(part,): 1 for part in PARTS}


def test_part_that_does_not_answer_is_not_ready_and_is_asked_once(watch: Watch, port: int) -> None:
    may_answer, asked = threading.Event(), []

    def silent() -> bool:
        asked.append(1)
        return may_answer.wait(60)

    watch.ask(weights=lambda: True, ledger=silent, disk=lambda: True, port=lambda: True)
    told = [json.loads(ask(port, "/ready")[1])["not_ready"] for _ in range(3)]
    ready = samples(watch)["deid_node_ready"]
    n_asked = len(asked)
    may_answer.set()
    eventually(lambda: ask(port, "/ready")[0] == 200)

    assert told == [["ledger"]] * 3
    assert ready == {("weights",): 1, ("ledger",): 0, ("disk",): 1, ("port",): 1}
    assert n_asked == 1


def test_node_whose_timekeeper_is_silent_is_not_live(
    watch: Watch, port: int, clock: FakeClock
) -> None:
    starting = ask(port, "/live")
    watch.works_in((threading.main_thread(),))
    clock.advance(LONGEST_SILENCE_SECONDS - 1)
    working = ask(port, "/live")
    clock.advance(2)
    silent = ask(port, "/live")
    watch.beat()
    beating = ask(port, "/live")

    assert [starting[0], working[0], silent[0], beating[0]] == [200, 200, 503, 200]


def test_node_with_a_dead_thread_is_not_live_unless_it_stops(watch: Watch) -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    watch.works_in((threading.main_thread(), thread))
    is_live = watch.is_live()
    watch.stops()

    assert (is_live, watch.is_live()) == (False, True)


def test_only_three_paths_and_reading_are_answered(port: int) -> None:
    assert ask(port, "/metrics")[0] == 200
    assert ask(port, "/metrics?x=1")[0] == 200
    assert ask(port, "/live", "HEAD") == (200, b"")
    assert [ask(port, path)[0] for path in ("/", "/metrics/", "/../live")] == [404] * 3
    assert ask(port, "/live", "POST")[0] == 501


def test_caller_that_is_silent_or_slow_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(b"GET /live HT")
        assert ask(port, "/live")[0] == 200
        assert silent.recv(1) == b""


def test_nothing_of_a_request_is_written(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    ask(port, "/DOE-JANE")
    with socket.create_connection(("127.0.0.1", port)) as other:
        other.sendall(b"\x16\x03DOE-JANE\r\n\r\n")
        other.recv(1000)

    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_fault_of_an_answer_is_not_written(
    watch: Watch, port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> bytes:
        raise ValueError("DOE^JANE")

    monkeypatch.setattr(watch, "exposition", fail)
    with pytest.raises(RemoteDisconnected):
        ask(port, "/metrics")

    assert ask(port, "/live")[0] == 200
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_taken_port_is_named_and_none_is_opened_by_default(watch: Watch, port: int) -> None:
    with (
        pytest.raises(SettingsInvalid, match=rf"cannot listen on 127\.0\.0\.1:{port} for monitor"),
        MonitorServer(Monitor(port=port), watch),
    ):
        pass
    before = threading.active_count()
    with MonitorServer(Monitor(), watch):
        assert threading.active_count() == before


def test_counts_come_from_the_port_and_from_events(watch: Watch) -> None:
    counts = watch.metrics.counts
    counts.answered(0x0000, n_bytes=100)
    counts.answered(0x0000, n_bytes=20)
    counts.answered(0xA700, n_bytes=3)
    counts.association("accepted")
    watch.count_associations(lambda: 7)
    watch.told("series-deidentified", {"series": "k7q2", "seconds": 21.4, "n_instances": 3})
    watch.told("series-sent", {"series": "k7q2", "seconds": 0.2, "destination": "archive"})
    watch.told("series-not-sent", {"destination": "archive", "error": "PeerUnreachable"})
    watch.told("step-failed", {"error": "OperationalError"})
    watch.told("model-process-ended", {"error": "no word"})
    watch.told("worker-died", {"series": "k7q2", "error": "SIGKILL"})
    watch.told("series-purged", {"series": "k7q2"})

    told = samples(watch)

    assert told["deid_node_instances_total"] == {("0x0000",): 2, ("0xA700",): 1}
    assert told["deid_node_received_bytes_total"] == {(): 123}
    assert told["deid_node_associations_total"][("accepted",)] == 1
    assert told["deid_node_associations_open"] == {(): 7}
    assert told["deid_node_stage_seconds_sum"] == {("deidentify",): 21.4, ("send",): 0.2}
    assert told["deid_node_stage_seconds_bucket"][("20.0", "deidentify")] == 0
    assert told["deid_node_stage_seconds_bucket"][("30.0", "deidentify")] == 1
    assert told["deid_node_delivery_failures_total"] == {("archive", "PeerUnreachable"): 1}
    assert told["deid_node_step_failures_total"] == {("OperationalError",): 1}
    assert told["deid_node_model_restarts_total"] == {(): 1}
    assert told["deid_node_worker_restarts_total"] == {(): 1}
    assert "k7q2" not in watch.exposition().decode()


def test_events_that_are_counted_are_events_that_the_node_tells() -> None:
    text = "\n".join(path.read_text() for path in (PROJECT / "deid_node" / "node").rglob("*.py"))
    counted = {
        *metrics.STAGES,
        *metrics.FAILED_DELIVERIES,
        metrics.FAILED_STEP,
        metrics.MODEL_ENDED,
    }

    assert {name for name in counted if f'"{name}"' not in text} == set()


def test_ledger_tells_states_ages_and_what_is_owed(
    tmp_path: Path, clock: FakeClock, filled: Filled
) -> None:
    filled.series("owed", owed_to=("archive", "copies"))
    clock.advance(50)
    sent = filled.series("sent", owed_to=("archive", "done"))
    for name in ("archive", "done"):
        DeliveryRows(filled.ledger).settled(sent, name)
    reason = Reason(error=UnevenSlices.__name__, message="DOE^JANE")
    filled.ledger.set_aside(filled.series("held"), State.HELD, reason)
    clock.advance(30)
    collector = LedgerMetrics(tmp_path / LEDGER, now=clock)

    told = {
        sample.name: {
            tuple(s.labels.values()): s.value for s in family.samples if s.name == sample.name
        }
        for family in collector.collect()
        for sample in family.samples
    }

    counts = {state: n for (state,), n in told["deid_node_series"].items() if n}
    assert counts == {"ready": 1, "delivered": 1, "held": 1}
    ages = {state: age for (state,), age in told["deid_node_series_oldest_seconds"].items() if age}
    assert ages == {"ready": 80, "held": 30}
    assert told["deid_node_series_held"] == {("UnevenSlices",): 1}
    assert told["deid_node_deliveries"] == {
        ("archive", "pending"): 1,
        ("archive", "delivered"): 1,
        ("copies", "pending"): 1,
        ("done", "delivered"): 1,
    }
    owed = told["deid_node_delivery_oldest_seconds"]
    assert owed == {("archive",): 80, ("copies",): 80, ("done",): 0}


def test_ledger_that_does_not_answer_is_told_as_it_was(
    filled: Filled, clock: FakeClock, tmp_path: Path
) -> None:
    metrics = LedgerMetrics(tmp_path / LEDGER, now=clock)
    filled.ledger.set_aside(filled.series("held"), State.HELD, Reason(error="X", message="x"))
    before = list(metrics.collect())
    clock.advance(50)
    filled.ledger.close()
    with closing(sqlite3.connect(tmp_path / LEDGER)) as database:
        # Then a writer keeps readers out too.
        database.execute("PRAGMA journal_mode = DELETE")
    with locked(tmp_path / LEDGER):
        meanwhile = list(metrics.collect())

    assert values(meanwhile, "deid_node_series_held") == {("X",): 1}
    assert values(meanwhile, "deid_node_series") == values(before, "deid_node_series")
    oldest = "deid_node_series_oldest_seconds"
    assert values(meanwhile, oldest)[("held",)] == values(before, oldest)[("held",)] + 50


@pytest.mark.parametrize("ledger", [None, b"this is no database at all, whatever it says"])
def test_ledger_that_cannot_be_read_takes_no_other_metric_with_it(
    watch: Watch, tmp_path: Path, ledger: bytes | None
) -> None:
    if ledger is not None:
        (tmp_path / LEDGER).write_bytes(ledger)

    told = samples(watch)

    assert "deid_node_series" not in told
    assert told["deid_node_spool_reserve_bytes"] == {(): RESERVE}
    assert told["deid_node_spool_free_bytes"][()] > 0
    assert [value for (_, *_), value in told["deid_node_build_info"].items()] == [1]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(watch: Watch, filled: Filled) -> None:
    filled.series("owed", owed_to=("archive",))
    filled.ledger.set_aside(filled.series("held"), State.HELD, Reason(error="X", message="x"))
    watch.told("series-not-sent", {"destination": "archive", "error": "PeerUnreachable"})
    watch.told("step-failed", {"error": "OperationalError"})
    watch.metrics.counts.answered(0, n_bytes=1)
    told = {name: set(labels) for name, labels in labels_of(watch).items()}
    rules = yaml.safe_load((PROJECT / "deploy" / "prometheus-alerts.yml").read_text())
    board = json.loads((PROJECT / "deploy" / "grafana-dashboard.json").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]

    named = {name for each in asked for name in re.findall(r"\b(?:deid_node|process)_\w+", each)}
    in_braces = [
        (name, label)
        for each in asked
        for name, inside in re.findall(r"(deid_node_\w+)\{([^}]*)\}", each)
        for label in re.findall(r"(\w+)[!=]", inside)
    ]

    assert named - set(told) == set()
    assert [(name, label) for name, label in in_braces if label not in told[name]] == []
    unasked = {name for name in told if not name.endswith(("_created", "_count", "_sum"))} - named
    assert {name for name in unasked if name.startswith("deid_node")} == set()


def test_every_metric_and_alert_is_explained(watch: Watch, filled: Filled) -> None:
    text = (PROJECT / "docs" / "operations.md").read_text()
    filled.series("owed", owed_to=("archive",))
    families = text_string_to_metric_families(watch.exposition().decode())
    rules = yaml.safe_load((PROJECT / "deploy" / "prometheus-alerts.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    ours = [each for each in families if each.name.startswith("deid_node")]
    ours = [each for each in ours if not each.name.endswith("_created")]
    told = {each.name + "_total" * (each.type == "counter") for each in ours}

    assert len(told) > 15
    assert {name for name in told if f"`{name}`" not in text} == set()
    assert [name for name in alerts if name.removeprefix("DeidNode") not in text] == []


def labels_of(watch: Watch) -> dict[str, list[str]]:
    families = text_string_to_metric_families(watch.exposition().decode())
    return {
        sample.name: [label for each in family.samples for label in each.labels]
        for family in families
        for sample in family.samples
    }
