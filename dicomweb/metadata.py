"""WADO-RS: metadata (PS3.18 10.4.1.1.2). It was made at ingest and is joined here, or written as XML.

The entity tag is made of the digests of the instances, so that a client which has it already costs no decompression.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import orjson

from dicomweb import native_xml
from dicomweb.accept import METADATA
from dicomweb.caching import growing_headers, not_modified, tag_of
from dicomweb.codings import FEWEST_BYTES, coding_of, packed
from dicomweb.edge import Call
from dicomweb.messages import Part, multipart_reply
from dicomweb.replies import Reply, StreamReply, open_reply
from storage import metadata

_XML: Final = "application/dicom+xml"


def _metadata(call: Call, uids: tuple[str, ...], media_type: str) -> Reply | StreamReply:
    documents = call.archive.documents(call.principal, *uids)
    root = call.web.settings.web.public_url
    length = None if root else metadata.array_length(documents.bodies)
    coding = _coding(call, media_type, length)
    tag = tag_of(documents.state, metadata.FORM, media_type, root, coding)
    caching = growing_headers(tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    if media_type == _XML:
        return multipart_reply(call, _XML, partial(_parts, documents.bodies, root), caching)
    headers = ((b"content-type", media_type.encode()), *caching)
    if not coding:
        return open_reply(200, headers, metadata.array_blocks(documents.bodies, root), call.web.readers, length)
    if again := call.web.packed_replies.get(tag):
        return again
    headers = (*headers, (b"content-encoding", coding.encode()))
    blocks = packed(metadata.array_blocks(documents.bodies, root), coding)
    reply = open_reply(200, headers, blocks, call.web.readers, None)
    if isinstance(reply, Reply):
        call.web.packed_replies.keep(tag, reply)
    return reply


def _coding(call: Call, media_type: str, length: int | None) -> str:
    """The content coding of the answer; empty for XML, whose parts are written one by one, and for what is short."""
    if media_type == _XML or (length is not None and length < FEWEST_BYTES):
        return ""
    return coding_of(call.header(b"accept-encoding"))


def _parts(bodies: Sequence[bytes], root: str) -> Iterator[Part]:
    for body in bodies:
        yield Part(_XML, partial(_written, body, root), None)


def _written(body: bytes, root: str) -> Iterator[bytes]:
    text = metadata.with_absolute_uris(metadata.decompress(body), root)
    yield native_xml.write(orjson.loads(text))


async def _retrieve(call: Call, *names: str) -> Reply | StreamReply:
    call.require_utf8()
    choice = call.choices(METADATA)[0]
    return await call.run(_metadata, call, tuple(call.uid(name) for name in names), choice.media_type)


async def retrieve_study_metadata(call: Call) -> Reply | StreamReply:
    """The data sets of a study without bulk data."""
    return await _retrieve(call, "study")


async def retrieve_series_metadata(call: Call) -> Reply | StreamReply:
    """The data sets of a series without bulk data."""
    return await _retrieve(call, "study", "series")


async def retrieve_instance_metadata(call: Call) -> Reply | StreamReply:
    """The data set of an instance without bulk data."""
    return await _retrieve(call, "study", "series", "instance")
