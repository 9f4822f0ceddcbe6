"""The elector against an API server that misbehaves in ways a real one cannot be told to."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from perfslo.edges import lease
from perfslo.edges.kube.client import Api
from perfslo.edges.lease import Elector
from perfslo.errors import ApiUnavailable, Denied, LostRace, NotFound, NotLeading
from perfslo.settings import Lease

TIMING = Lease(duration_seconds=3.0, renew_deadline_seconds=1.0, retry_period_seconds=0.1)


class LeaseServer:
    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.hangs = False
        self.loses_answers = False
        self.refuses = False
        self.has_namespace = True
        self.written = asyncio.Event()

    async def next_write(self) -> None:
        self.written.clear()
        await self.written.wait()

    async def request(self, method: str, path: str, *, body: Any = None, timeout_seconds: float) -> dict[str, Any]:
        if self.hangs:
            await asyncio.sleep(timeout_seconds)
            raise ApiUnavailable("no answer in time")
        if self.refuses:
            raise Denied("forbidden")
        if method == "GET":
            if self.lease is None:
                raise NotFound("no such lease")
            return deepcopy(self.lease)
        self._write(method, deepcopy(body))
        if self.loses_answers:
            raise ApiUnavailable("the connection broke")
        return deepcopy(cast(dict[str, Any], self.lease))

    def _write(self, method: str, body: dict[str, Any]) -> None:
        if not self.has_namespace:
            raise NotFound("no such namespace")
        if method == "POST" and self.lease:
            raise LostRace("exists")
        if method == "PUT" and self.lease is None:
            raise NotFound("no such lease")
        if method == "PUT" and body["metadata"]["resourceVersion"] != str(self.version):
            raise LostRace("changed")
        self.version += 1
        self.lease = body
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        self.written.set()

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease
        spec: dict[str, Any] = self.lease["spec"]
        return spec

    def is_taken_by(self, identity: str) -> None:
        assert self.lease
        self.version += 1
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        self.spec["holderIdentity"] = identity


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


def start(server: LeaseServer, identity: str = "a") -> tuple[Elector, asyncio.Task[None]]:
    elector = Elector(cast(Api, server), "ns", TIMING, identity)
    return elector, asyncio.create_task(elector.run())


async def leading(server: LeaseServer) -> tuple[Elector, asyncio.Task[None]]:
    elector, running = start(server)
    await elector.leading.wait()
    return elector, running


async def test_an_api_server_that_hangs_costs_the_lease(server: LeaseServer) -> None:
    elector, running = await leading(server)
    server.hangs = True
    with pytest.raises(NotLeading):
        await running
    assert not elector.holds()
    with pytest.raises(NotLeading):
        elector.fence()


async def test_a_short_outage_does_not(server: LeaseServer) -> None:
    elector, running = await leading(server)
    server.hangs = True
    await asyncio.sleep(0.3)
    server.hangs = False
    await server.next_write()
    assert elector.holds()
    running.cancel()


async def test_answers_that_are_lost_do_not_cost_the_lease(server: LeaseServer) -> None:
    elector, running = await leading(server)
    server.loses_answers = True
    await asyncio.sleep(0.25)
    server.loses_answers = False
    await server.next_write()
    await server.next_write()
    assert elector.holds()
    running.cancel()


async def test_who_sees_another_holder_ends(server: LeaseServer) -> None:
    _, running = await leading(server)
    server.is_taken_by("b")
    with pytest.raises(NotLeading, match="b"):
        await running
    assert server.spec["holderIdentity"] == "b"


async def test_who_sees_the_lease_deleted_ends(server: LeaseServer) -> None:
    _, running = await leading(server)
    server.lease = None
    with pytest.raises(NotLeading):
        await running
    assert server.lease is None


async def test_a_clean_stop_gives_the_lease_away_even_if_the_last_answer_was_lost(server: LeaseServer) -> None:
    elector, running = await leading(server)
    server.loses_answers = True
    await server.next_write()
    server.loses_answers = False
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert server.spec["holderIdentity"] == ""
    assert not elector.holds()


async def test_a_stop_after_the_right_to_the_lease_was_taken_away_alarms_nobody(server: LeaseServer) -> None:
    _, running = await leading(server)
    server.refuses = True
    with capture_logs() as lines:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [(line["log_level"], line["problem"]) for line in lines] == [("info", "Denied: forbidden")]


async def test_a_standby_that_is_stopped_takes_nothing_away(server: LeaseServer) -> None:
    leader, running = await leading(server)
    _, standby = start(server, "b")
    await asyncio.sleep(0.2)
    standby.cancel()
    with pytest.raises(asyncio.CancelledError):
        await standby
    assert server.spec["holderIdentity"].startswith("a_")
    assert leader.holds()
    running.cancel()


async def test_what_others_put_on_the_lease_is_kept(server: LeaseServer) -> None:
    _, running = await leading(server)
    assert server.lease
    server.lease["metadata"]["labels"] = {"team": "x"}
    server.is_taken_by("")
    running.cancel()
    other, second = start(server, "b")
    await other.leading.wait()
    assert server.lease["metadata"]["labels"] == {"team": "x"}
    second.cancel()


async def test_a_namespace_that_is_not_there_is_waited_for_and_told_once(
    server: LeaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(lease.log, "warning", lambda event, **fields: told.append(fields["problem"]), raising=False)
    server.has_namespace = False
    elector, running = start(server)
    await asyncio.sleep(0.4)
    server.has_namespace = True
    await elector.leading.wait()
    assert told == ["NotFound: no such namespace"]
    running.cancel()


async def test_two_processes_of_one_name_are_two(server: LeaseServer) -> None:
    first, running = await leading(server)
    second, standby = start(server, "a")
    await asyncio.sleep(0.3)
    assert first.holds()
    assert not second.holds()
    running.cancel()
    standby.cancel()
