"""The description of the interface, and requests made from it at random."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fusion.serving.conftest import HOST, Client, files_of, posted, until

schemathesis = pytest.importorskip("schemathesis")
BESIDE_THE_POINT = [
    schemathesis.checks.ignored_auth,  # this service has no token
    schemathesis.checks.positive_data_acceptance,  # no schema tells a video from other bytes
]


def test_it_has_every_route_with_examples(client: Client) -> None:
    described = client.get("/openapi.json").json()
    assert sorted(described["paths"]) == [
        "/health", "/jobs", "/jobs/{job}", "/jobs/{job}/events", "/jobs/{job}/files/{name}",
        "/metrics",
    ]  # fmt: skip
    views = ("JobView", "FileView", "Health", "Problem")
    assert all(described["components"]["schemas"][name]["examples"] for name in views)
    assert described["paths"]["/jobs"]["post"]["security"] == [{"HTTPBearer": []}]


def test_requests_at_random_are_answered_as_it_says(
    client: Client, clip: bytes, tmp_path: Path
) -> None:
    name = posted(client, clip)
    until(client, name, "done")
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    answered = set()

    def ask(case: Any, real: bool) -> None:
        if real and "job" in case.path_parameters and case.method != "DELETE":
            case.path_parameters["job"] = name
        sent = case.as_transport_kwargs(base_url=HOST)
        body = sent.get("data")
        answer = client.request(
            sent["method"],
            sent["url"],
            params=sent.get("params"),
            headers=dict(sent.get("headers") or {}),
            content=body if isinstance(body, bytes) else None,
        )
        answered.add((case.method, case.path, answer.status_code))
        case.validate_response(answer, excluded_checks=BESIDE_THE_POINT)

    for operation in schema.get_all_operations():
        often = settings(
            max_examples=4,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        often(given(operation.ok().as_strategy(), st.booleans())(ask))()
    assert {("POST", "/jobs", 415), ("GET", "/jobs/{job}", 200), ("GET", "/jobs/{job}", 404)} <= (
        answered
    )
    assert not [one for one in answered if one[2] >= 500]
    assert files_of(tmp_path / "served") == [f"jobs/{name}/out/summary.txt"]
