"""Documents: encapsulated ones as they were put in, and structured reports as pages and text (PS3.18 8.7.4).

What was stored came from anywhere, and leaves from the address of this server. So nothing in it may run: pages are
made here without script, and originals that browsers would run (XML, models) are sandboxed.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import orjson

from dicomweb import native_xml
from dicomweb.caching import entity_tag, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.ranges import partial_reply
from dicomweb.rendered_types import HTML, PDF, PLAIN, RTF, XML
from dicomweb.replies import Headers, Reply, StreamReply
from index.records import DicomJson, StoredInstance
from storage.outgoing import OpenObject, in_memory
from storage.structured import content, outline, page

_DOCUMENT: Final = "00420011"
_LENGTH: Final = "00420015"
_REPORT_POLICY: Final = b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"
_ORIGINAL_POLICY: Final = b"default-src 'none'; sandbox"

_WRITERS: Final[Mapping[str, Callable[[DicomJson], bytes]]] = {
    HTML: page.html,
    PLAIN: outline.plain,
    RTF: outline.rich,
    XML: native_xml.write,
}


def dataset_of(call: Call, instance: StoredInstance) -> DicomJson:
    """The metadata of an instance."""
    key = instance.key
    (text,) = call.archive.metadata(
        call.principal, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid
    )
    dataset: DicomJson = orjson.loads(text)
    return dataset


def content_type(media_type: str) -> str:
    """The media type as a header says it: what we write as text is UTF-8."""
    return f"{media_type}; charset=utf-8" if media_type in (HTML, PLAIN, XML) else media_type


def report(call: Call, instance: StoredInstance, media_type: str) -> bytes:
    """A structured report in a media type."""
    return _WRITERS[media_type](dataset_of(call, instance))


def open_document(call: Call, instance: StoredInstance) -> OpenObject:
    """The document in an instance, without the byte that may pad it."""
    if _DOCUMENT not in instance.layout.bulk:
        # A document below the threshold for bulk data stands in the metadata.
        dataset = dataset_of(call, instance)
        inline = b64decode(dataset.get(_DOCUMENT, {}).get("InlineBinary", ""))
        return in_memory(instance, instance.transfer_syntax_uid, inline[: _length(dataset, len(inline))])
    opened = call.archive.bulkdata(call.principal, instance, _DOCUMENT)
    return replace(opened, length_bytes=_length(dataset_of(call, instance), opened.length_bytes))


def document_reply(call: Call, instance: StoredInstance, media_type: str) -> Reply | StreamReply:
    """The answer with the report or the document in an instance. Blocks."""
    is_report = content.is_report(instance.sop_class_uid)
    tag = entity_tag((instance,), "document", media_type)
    caching = instance_headers(call, tag, instance)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    headers = (*caching, *policy(media_type))
    if is_report:
        return Reply(
            200, ((b"content-type", content_type(media_type).encode()), *headers), (report(call, instance, media_type),)
        )
    opened = open_document(call, instance)
    return partial_reply(call, opened.length_bytes, opened.read, media_type, headers)


def policy(media_type: str) -> Headers:
    """What a browser may do with a document (Content-Security-Policy); a PDF is shown by the browser's own viewer."""
    if media_type == PDF or media_type.startswith(("image/", "video/")):
        return ()
    return ((b"content-security-policy", _REPORT_POLICY if media_type == HTML else _ORIGINAL_POLICY),)


def _length(dataset: DicomJson, stored: int) -> int:
    """Encapsulated Document Length, where it differs from what is stored by no more than the padding."""
    found = dataset.get(_LENGTH, {}).get("Value") or [stored]
    return found[0] if found[0] in (stored, stored - 1) else stored
