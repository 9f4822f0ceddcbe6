"""The service serves a bounded number at a time, measures from arrival, and follows its behaviour file."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout, test_utils

from demo.app.service import Service
from demo.app.settings import Behaviour, BehaviourFile, Server
from demo.app.work import request_size

DURATION = "http_server_request_duration_seconds"


async def served(server: Server, behaviour: Behaviour) -> test_utils.TestServer:
    follower = BehaviourFile(None)
    follower.current = behaviour
    runner = test_utils.TestServer(Service(server, follower).application())
    await runner.start_server()
    return runner


async def get(url: str, timeout_seconds: float = 30) -> int:
    async with ClientSession(timeout=ClientTimeout(total=timeout_seconds)) as session, session.get(url) as response:
        return response.status


async def metric(server: test_utils.TestServer, start: str) -> float:
    async with ClientSession() as session, session.get(server.make_url("/metrics")) as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


async def test_one_worker_serves_one_request_at_a_time_and_the_queue_counts_as_duration() -> None:
    server = await served(Server(workers=1), Behaviour(cpu_ms=0, wait_ms=100, cv=0))
    assert await asyncio.gather(*(get(str(server.make_url("/"))) for _ in range(4))) == [200] * 4
    assert await metric(server, f"{DURATION}_sum") >= 0.1 + 0.2 + 0.3 + 0.4
    await server.close()


async def test_a_full_queue_is_refused() -> None:
    server = await served(Server(workers=1, queue_limit=1), Behaviour(cpu_ms=0, wait_ms=300, cv=0))
    statuses = await asyncio.gather(*(get(str(server.make_url("/"))) for _ in range(4)))
    assert sorted(statuses) == [200, 200, 503, 503]
    await server.close()


async def test_a_client_that_gave_up_frees_its_place_and_is_recorded() -> None:
    server = await served(Server(workers=1), Behaviour(cpu_ms=0, wait_ms=30_000, cv=0))
    with pytest.raises(TimeoutError):
        await get(str(server.make_url("/")), timeout_seconds=0.3)
    for _ in range(200):
        if await metric(server, "http_server_active_requests{") == 0:
            break
        await asyncio.sleep(0.05)
    assert await metric(server, f'{DURATION}_count{{http_request_method="GET",http_response_status_code="499"') == 1
    await server.close()


async def test_failures_are_answered_with_500() -> None:
    server = await served(Server(), Behaviour(fail_ratio=1))
    assert await get(str(server.make_url("/"))) == 500
    await server.close()


async def test_probes_are_not_measured_and_fail_while_draining() -> None:
    service = Service(Server(), BehaviourFile(None))
    server = test_utils.TestServer(service.application())
    await server.start_server()
    assert await get(str(server.make_url("/healthz"))) == 200
    service.draining = True
    assert await get(str(server.make_url("/healthz"))) == 503
    assert await metric(server, f"{DURATION}_count") == 0
    await server.close()


def test_the_behaviour_file_is_followed_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "behaviour.json"
    path.write_text('{"wait_ms": 80}')
    behaviour = BehaviourFile(path)
    behaviour.refresh()
    assert behaviour.current == Behaviour(wait_ms=80)
    for wrong in ("{", "[]", '{"wait_ms": -1}', '{"wait": 1}', '{"cv": "much"}', '{"fail_ratio": 1.5}', '{"cv": NaN}'):
        path.write_text(wrong)
        behaviour.refresh()
        assert behaviour.current == Behaviour(wait_ms=80), wrong
    path.unlink()
    behaviour.refresh()
    assert behaviour.current == Behaviour(wait_ms=80)
    path.write_text(json.dumps({"cpu_ms": 3, "cv": 0}))
    behaviour.refresh()
    assert behaviour.current == Behaviour(cpu_ms=3, cv=0)


def test_a_wrong_environment_is_refused_by_name() -> None:
    assert Server.from_environment({"WORKERS": "4"}) == Server(workers=4)
    with pytest.raises(ValueError, match="WORKERS must be a number of at least 1, not 'two'"):
        Server.from_environment({"WORKERS": "two"})


def test_request_sizes_have_mean_one_and_the_asked_variation() -> None:
    assert request_size(0) == 1
    sizes = [request_size(1) for _ in range(40_000)]
    mean = sum(sizes) / len(sizes)
    assert mean == pytest.approx(1, abs=0.05)
    assert sum((size - mean) ** 2 for size in sizes) / len(sizes) == pytest.approx(1, abs=0.4)
