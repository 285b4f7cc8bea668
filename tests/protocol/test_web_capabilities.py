"""What the server says about itself: capabilities (PS3.18 8.9) and OpenAPI, compared with what it does."""

import re
from xml.etree import ElementTree

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dicomweb.routes import RESOURCES
from tests.conftest import Server

WADL = "{http://wadl.dev.java.net/2009/02}"


@pytest.fixture(scope="module")
def openapi(server: Server) -> dict:
    answer = httpx.get(f"{server.dicomweb_url}/openapi.json")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    return answer.json()


def test_openapi_is_valid_and_complete(server: Server, openapi: dict) -> None:
    assert list(OpenAPIV31SpecValidator(openapi).iter_errors()) == []
    assert openapi["servers"] == [{"url": server.dicomweb_url}]
    named = {(method.upper(), path) for path, methods in openapi["paths"].items() for method in methods}
    routed = {(method, path.replace(":path", "")) for path, handlers in RESOURCES for method in handlers}
    assert named == routed
    names = [operation["operationId"] for methods in openapi["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
def test_capabilities_are_wadl(server: Server, openapi: dict, method: str) -> None:
    answer = httpx.request(method, f"{server.dicomweb_url}/")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    (resources,) = ElementTree.fromstring(answer.content)
    assert resources.get("base") == server.dicomweb_url
    described = {
        (item.get("name"), f"/{resource.get('path')}")
        for resource in resources
        for item in resource.iter(f"{WADL}method")
    }
    assert described == {(method.upper(), path) for path, methods in openapi["paths"].items() for method in methods}


def test_capabilities_in_json(server: Server, openapi: dict) -> None:
    answer = httpx.options(f"{server.dicomweb_url}/", headers={"Accept": "application/json"})
    assert answer.json() == openapi
    refused = httpx.options(f"{server.dicomweb_url}/", headers={"Accept": "text/plain"})
    assert refused.status_code == 406


def test_described_search_parameters_are_taken(server: Server, openapi: dict) -> None:
    values = {"integer": "1", "boolean": "true", "string": "1"}
    texts = {"accept": "application/dicom+json", "charset": "utf-8", "includefield": "all", "orderby": "PatientID"}
    with httpx.Client(base_url=server.dicomweb_url) as client:
        for path in ("/studies", "/series", "/instances"):
            for reference in openapi["paths"][path]["get"]["parameters"]:
                parameter = openapi["components"]["parameters"][reference["$ref"].rpartition("/")[2]]
                name = parameter["name"]
                value = texts.get(name) or values[parameter["schema"]["type"]]
                if name[0].isupper():
                    value = "20240101" if re.search("Date$", name) else "10" if re.search("Time$", name) else value
                answer = client.get(path, params={name: value})
                assert answer.status_code == 200, (name, answer.text)
                assert "ignored" not in answer.headers.get("warning", ""), name
