"""The OpenAPI document, and the service held to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.serve.serving import Server, serving

from tastemaker.serve import openapi
from tastemaker.serve.routes import ROUTES

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
DOCUMENT = openapi.document(ROUTES)
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("town"), model=False) as found:
        yield found


def test_the_document_holds_the_table_and_nothing_else() -> None:
    told = {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
    assert told == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for verbs in DOCUMENT["paths"].values() for operation in verbs.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    def references(tree: Any) -> Iterator[str]:
        if isinstance(tree, dict):
            yield from ([tree["$ref"]] if isinstance(tree.get("$ref"), str) else [])
            for one in tree.values():
                yield from references(one)
        elif isinstance(tree, list):
            for one in tree:
                yield from references(one)

    for found in set(references(DOCUMENT)):
        assert found.removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"], found


@schema.parametrize()
@settings(max_examples=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True, deadline=None)
def test_the_service_does_what_the_document_says(case: Any, server: Server) -> None:
    if (case.method.upper(), case.path) == ("POST", "/v1/keys"):
        return  # the first key would close the service
    if case.path == "/v1/live":
        return  # has no end; tests/serve/test_broadcast.py listens to it
    case.call_and_validate(base_url=server.url, checks=CHECKS)
