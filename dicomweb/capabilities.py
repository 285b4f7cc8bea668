"""What the service says about itself: the capabilities of PS3.18 8.9 as WADL, and OpenAPI.

Both are made from the table of operations when somebody asks.
"""

import re
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

import orjson

from dicomweb.accept import Offer
from dicomweb.caching import growing_headers
from dicomweb.edge import Call, Handler
from dicomweb.openapi import document
from dicomweb.operations import Operation, Parameter, Resources, operations
from dicomweb.replies import Reply

WADL_TYPE: Final = "application/vnd.sun.wadl+xml"
OPENAPI_TYPE: Final = "application/vnd.oai.openapi+json"
CAPABILITIES: Final = (Offer(WADL_TYPE), Offer(OPENAPI_TYPE), Offer("application/json"))
OPENAPI: Final = (Offer("application/json"), Offer(OPENAPI_TYPE))
_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"
_XML_TYPES: Final[Mapping[str, str]] = {"integer": "xs:nonNegativeInteger", "boolean": "xs:boolean"}


def described(resources: Resources) -> tuple[tuple[str, dict[str, Handler]], ...]:
    """The resources that describe `resources`, to be routed behind them."""

    def openapi_of(address: str) -> bytes:
        return orjson.dumps(document(resources, address))

    async def retrieve_capabilities(call: Call) -> Reply:
        """What the service can do (8.9)."""
        choice = call.choices(CAPABILITIES)[0]
        body = wadl_of(resources, call.base_url()) if choice.media_type == WADL_TYPE else openapi_of(call.base_url())
        return Reply(200, ((b"content-type", choice.media_type.encode()), *growing_headers()), (body,))

    async def retrieve_openapi(call: Call) -> Reply:
        """The OpenAPI document."""
        choice = call.choices(OPENAPI)[0]
        return Reply(
            200, ((b"content-type", choice.media_type.encode()), *growing_headers()), (openapi_of(call.base_url()),)
        )

    return (
        ("/", {"OPTIONS": retrieve_capabilities, "GET": retrieve_capabilities}),
        ("/openapi.json", {"GET": retrieve_openapi}),
    )


def wadl_of(resources: Resources, address: str) -> bytes:
    """The Web Application Description Language document of the service at `address`."""
    application = ET.Element("application", {"xmlns": _NAMESPACE, "xmlns:xs": "http://www.w3.org/2001/XMLSchema"})
    root = ET.SubElement(application, "resources", base=address)
    found: dict[str, ET.Element] = {}
    for operation in operations(resources):
        path = operation.template
        if path not in found:
            found[path] = _resource(root, path)
        _method(found[path], operation)
    text: bytes = ET.tostring(application, encoding="utf-8", xml_declaration=True)
    return text


def _resource(root: ET.Element, path: str) -> ET.Element:
    resource = ET.SubElement(root, "resource", path=path.lstrip("/"))
    for name in re.findall(r"\{(\w+)", path):
        ET.SubElement(resource, "param", name=name, style="template", type="xs:string", required="true")
    return resource


def _method(resource: ET.Element, operation: Operation) -> None:
    row = operation.description
    method = ET.SubElement(resource, "method", name=operation.method, id=operation.name)
    ET.SubElement(method, "doc").text = f"{row.summary} (PS3.18 {row.section})"
    request = ET.SubElement(method, "request")
    for parameter in row.query_parameters:
        _parameter(request, parameter)
    for name in row.bodies:
        ET.SubElement(request, "representation", mediaType=name)
    for status in row.statuses:
        response = ET.SubElement(method, "response", status=str(status))
        for name in row.media_types if status < 300 else ():
            ET.SubElement(response, "representation", mediaType=name)


def _parameter(request: ET.Element, parameter: Parameter) -> None:
    kind = _XML_TYPES.get(parameter.schema["type"], "xs:string")
    ET.SubElement(request, "param", name=parameter.name, style="query", type=kind)
