"""Requests that Schemathesis makes up from our OpenAPI document: no server error, nothing that is not described."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.conftest import Server

pytestmark = pytest.mark.filterwarnings("ignore")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]


def test_requests_made_up_from_the_document(server: Server) -> None:
    document = schemathesis.openapi.from_dict(httpx.get(f"{server.dicomweb_url}/openapi.json").json())
    operations = [found.ok() for found in document.include(method="GET").get_all_operations()]
    assert len(operations) > 25
    for operation in operations:

        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=server.dicomweb_url, checks=CHECKS)

        ask()
