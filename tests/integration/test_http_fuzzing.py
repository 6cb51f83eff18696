"""The online service asked by its own OpenAPI document: whatever that allows, and whatever it forbids, gets an answer
of the kind that the document says, and never a failure of the service.

Schemathesis makes the requests; the application is the worker's own, over ASGI in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from app_world import AppWorld, new_app_world, packed_bytes  # noqa: F401 - fixtures
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
FUZZED = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(hypothesis.HealthCheck),
}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
FORMS = (
    "POST /v1/models/trip_late/predict",
    "POST /v1/models/trip_late/outcomes",
    "POST /trip_late/invocations",
    "POST /v2/models/trip_late/infer",
)
OPERATIONS = (
    *FORMS,
    "POST /v2/models/trip_late/versions/1/infer",
    "GET /livez",
    "GET /readyz",
    "GET /v1/status",
    "GET /metrics",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/trip_late",
    "GET /v2/models/trip_late/ready",
)


@pytest.fixture
def world(new_app_world: Callable[..., AppWorld]) -> AppWorld:  # noqa: F811
    made = new_app_world()
    made.push_a_trip()
    return made


def operations(world: AppWorld) -> dict[str, Any]:
    """By method and path, each operation of the document as the service gives it."""
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", world.app)
    found = [each.ok() for each in schema.get_all_operations()]
    return {f"{each.method.upper()} {each.path}": each for each in found}


def test_the_document_names_every_operation(world):
    assert sorted(operations(world)) == sorted(OPERATIONS)


ASKED = [(name, mode) for name in OPERATIONS for mode in MODES if name.startswith("POST") or mode is MODES[0]]
"""What is only shown takes nothing that could be wrong."""


@pytest.mark.parametrize(("name", "mode"), ASKED)
def test_f114_f165_whatever_is_asked_is_answered_as_the_document_says_and_never_a_failure(world, name, mode):
    fuzz(world, name, mode, 12)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, mode in ASKED if name in FORMS])
def test_f114_f165_nor_in_hundreds_of_requests_of_each_form(world, name, mode):
    fuzz(world, name, mode, 120)


def fuzz(world: AppWorld, name: str, mode: GenerationMode, examples: int) -> None:
    seen: set[int] = set()

    @hypothesis.settings(**FUZZED, max_examples=examples)
    @hypothesis.given(operations(world)[name].as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case) -> None:
        seen.add(case.call_and_validate(checks=list(CHECKS)).status_code)

    asked()
    assert seen
