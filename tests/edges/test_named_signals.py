"""Named signals are asked once for all, and what is wrong with one harms no promise and no other signal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from perfslo.core.measure import Wanted, observe
from perfslo.core.model import Missing, Observation, Replicas, Stale, Value
from perfslo.edges import presets
from perfslo.edges.prometheus.signals import FAILURES_TO_REST
from perfslo.edges.prometheus.source import Sources
from perfslo.errors import ConfigurationError
from perfslo.settings import Matcher, NamedSignal, Source, load
from tests.edges.test_prometheus_client import TIMEOUT_SECONDS, FaultServer, hang, respond, vector
from tests.edges.test_prometheus_source import spec

Answering = Callable[[BaseHTTPRequestHandler], None]
FRESH = (({"perfslo_part": "value"}, "0.02"), ({"perfslo_part": "age0"}, "-2"))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.close()


def latency(metric: str, **more: Any) -> NamedSignal:
    return NamedSignal(kind="DependencyLatency", query=metric, **more)


def wanted(workload: str, *refs: str, **metrics: Any) -> Wanted:
    signals = [{"name": f"its-{ref}", "kind": "DependencyLatency", "ref": ref} for ref in refs]
    its = spec({"signals": signals, **metrics})
    key = f"shop/{workload}"
    return Wanted(key, "shop", frozenset({workload}), its.metrics.source, its.metrics.preset, its)


def by_metric(answers: dict[str, Answering]) -> Answering:
    """What a query is answered that holds the metric's name; any other gets no rows."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(handler.path).query)["query"][0]
        found = [its for metric, its in answers.items() if metric in query]
        (found or [respond(200, vector())])[0](handler)

    return answer


async def seen(sources: Sources, *these: Wanted) -> list[Observation]:
    series = await sources.measure(these)
    return [observe(one.spec, Replicas(1, 1), series[one.key], 15.0, time.time()) for one in these]


def a_source(server: FaultServer, **more: Any) -> Source:
    return Source(address=server.address, timeout_seconds=TIMEOUT_SECONDS, **more)


async def test_a_signal_is_asked_once_for_all_slos_with_the_matchers_of_its_source(server: FaultServer) -> None:
    source = a_source(server, matchers=(Matcher(label="cluster", value="eu"),))
    sources = Sources({"default": source}, presets.load(), named={"pg": latency("pg_wait"), "idle": latency("idle")})
    server.answer = by_metric({"pg_wait": respond(200, vector(*FRESH))})
    observations = await seen(sources, *(wanted(f"w{number}", "pg") for number in range(50)), wanted("other"))
    assert [one.signals for one in observations] == [{"its-pg": Value(0.02, 2.0)}] * 50 + [{}]
    asked = [
        query for _, path, _, _ in server.requests if "pg_wait" in (query := parse_qs(urlsplit(path).query)["query"][0])
    ]
    assert len(asked) == 1
    assert asked[0].count('pg_wait{cluster="eu"}') == 2
    assert not [path for _, path, _, _ in server.requests if "idle" in path], "nobody uses it"
    await sources.close()


@pytest.mark.parametrize("fault", ["500", "hang", "refused"])
async def test_a_signal_that_fails_harms_no_promise_and_in_time_no_other_signal(
    server: FaultServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfslo.edges.prometheus.signals.REST_SECONDS", 0.0)
    refusal = b'{"status":"error","errorType":"execution","error":"x"}'
    faults = {"500": respond(500, b""), "hang": hang(server), "refused": respond(422, refusal)}
    names = ["a-bad", *(f"good-{number}" for number in range(8))]
    sources = Sources(
        {"default": a_source(server)}, presets.load(), named={name: latency(name.replace("-", "_")) for name in names}
    )
    server.answer = by_metric({"a_bad": faults[fault], "good_": respond(200, vector(*FRESH))})
    reasons = {"500": "PrometheusUnwell", "hang": "PrometheusUnreachable", "refused": "QueryRejected"}
    for _ in range(3):
        (observation,) = await seen(sources, wanted("web", *names))
        assert observation.source_problem is None
        assert isinstance(observation.latency["p95"], Missing)
        assert observation.latency["p95"].reason == "SeriesMissing", "the promise's own series were asked for"
    bad = observation.signals["its-a-bad"]
    assert isinstance(bad, Missing)
    assert bad.reason == reasons[fault]
    assert "SLO" not in bad.message
    assert [observation.signals[f"its-{name}"] for name in names[1:]] == [Value(0.02, 2.0)] * 8
    assert not sources.open_breakers
    server.answer = by_metric({"a_bad": respond(200, vector(*FRESH))})
    for _ in range(3):  # on a busy machine a cycle may run out of time
        (observation,) = await seen(sources, wanted("web", *names))
        if isinstance(observation.signals["its-a-bad"], Value):
            break
    assert observation.signals["its-a-bad"] == Value(0.02, 2.0)
    await sources.close()


async def test_a_signal_that_goes_on_failing_is_left_alone_for_a_while(server: FaultServer) -> None:
    sources = Sources(
        {"default": a_source(server)}, presets.load(), named={"a-bad": latency("a_bad"), "pg": latency("pg")}
    )
    server.answer = by_metric({"a_bad": respond(500, b""), "pg": respond(200, vector(*FRESH))})
    for _ in range(FAILURES_TO_REST + 3):
        (observation,) = await seen(sources, wanted("web", "a-bad", "pg"))
        assert observation.signals["its-a-bad"] == Missing("PrometheusUnwell", "it answered with status 500")
    assert observation.signals["its-pg"] == Value(0.02, 2.0)
    assert len([path for _, path, _, _ in server.requests if "a_bad" in path]) == FAILURES_TO_REST
    await sources.close()


async def test_a_source_that_is_down_is_not_asked_for_signals_and_others_are(server: FaultServer) -> None:
    server.answer = respond(503, b"")
    other = FaultServer()
    other.answer = by_metric({"elsewhere": respond(200, vector(*FRESH))})
    sources = Sources(
        {"default": a_source(server), "other": a_source(other)},
        presets.load(),
        named={"here": latency("here"), "there": latency("elsewhere", source="other")},
    )
    (observation,) = await seen(sources, wanted("web", "here", "there"))
    assert observation.source_problem == observation.signals["its-here"]
    assert observation.signals["its-there"] == Value(0.02, 2.0)
    assert not [path for _, path, _, _ in server.requests if "here" in path]
    await sources.close()
    other.close()


async def test_who_may_not_use_a_signal_is_measured_all_the_same(server: FaultServer) -> None:
    server.answer = by_metric({"pg_wait": respond(200, vector(*FRESH))})
    sources = Sources(
        {"default": a_source(server), "banks": a_source(server, namespaces=("bank",))},
        presets.load(),
        named={
            "pg": latency("pg_wait"),
            "bank-only": latency("pg_wait", namespaces=("bank",)),
            "bank-source": latency("pg_wait", source="banks"),
            "bank-source-for-shop": latency("pg_wait", source="banks", namespaces=("shop",)),
        },
    )
    refs = ("pg", "pg2", "bank-only", "bank-source", "bank-source-for-shop")
    (observation,) = await seen(sources, wanted("web", *refs))
    assert [one.reason if isinstance(one := observation.signals[f"its-{ref}"], Missing) else one for ref in refs] == [
        Value(0.02, 2.0),
        "SignalNotDefined",
        "SignalNotAllowed",
        "SignalNotAllowed",
        Value(0.02, 2.0),
    ]
    assert observation.source_problem is None
    assert isinstance(observation.latency["p95"], Missing)
    assert observation.latency["p95"].reason == "SeriesMissing"
    await sources.close()


async def test_an_slo_without_a_source_has_its_signals(server: FaultServer) -> None:
    server.answer = by_metric({"pg_wait": respond(200, vector(FRESH[0], ({"perfslo_part": "age0"}, "-999")))})
    sources = Sources({"default": a_source(server)}, presets.load(), named={"pg": latency("pg_wait")})
    (observation,) = await seen(sources, wanted("web", "pg", source="nowhere"))
    assert observation.signals["its-pg"] == Stale(999.0)
    await sources.close()


@pytest.mark.parametrize(
    ("signal", "problem"),
    [
        ({"query": "sum(rate(a[5m])"}, "signals.pg-main: Value error, query: not PromQL"),
        ({"query": "vector(1)"}, "signals.pg-main: Value error, query: it selects no series"),
        ({"kind": "Latency"}, "signals.pg-main.kind"),
        ({"per": "Pod"}, "signals.pg-main.per"),
        ({"source": "nowhere"}, "signals.pg-main.source: no source 'nowhere' is defined (defined: default)"),
        ({"staleAfterSeconds": 0}, "signals.pg-main.staleAfterSeconds"),
        ({"unit": "ms"}, "signals.pg-main.unit"),
    ],
)
def test_a_signal_that_cannot_be_asked_is_refused_at_start(
    tmp_path: Path, signal: dict[str, Any], problem: str
) -> None:
    whole = {"kind": "DependencyLatency", "query": "pg_wait", **signal}
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"sources": {"default": {"address": "http://x"}}, "signals": {"pg-main": whole}}))
    with pytest.raises(ConfigurationError) as refusal:
        load(file)
    assert problem in str(refusal.value)
