"""WADO-URI: one instance by query parameters (PS3.18 9), for the many programs that still speak it."""

from collections.abc import Mapping
from typing import Final

from dicomweb import rendered_types
from dicomweb.accept import OBJECT, Choice, choose, parse, require_utf8
from dicomweb.documents import document_reply
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.frames import locate
from dicomweb.rendered import number_of_frames, picture_reply, video_reply
from dicomweb.rendering import (
    parse_annotation,
    parse_icc_profile,
    parse_quality,
    parse_viewport,
    parse_window,
    picture_type,
)
from dicomweb.replies import Reply, StreamReply
from dicomweb.wado import open_objects
from index.errors import NotAcceptable, NotFound
from index.records import InstanceKey, Region, RenderOptions, StoredInstance

_DICOM: Final = "application/dicom"

OFFERS: Final = (
    *(offer for offer in OBJECT if offer.media_type == _DICOM and offer.packaging == "single"),
    *(offer for offer in rendered_types.ALL if offer.packaging == "single"),
)
"""What `contentType` may name; of documents and videos the object is the default."""
PARAMETERS: Final[Mapping[str, str]] = {
    "requestType": "`WADO`.",
    "studyUID": "Study Instance UID.",
    "seriesUID": "Series Instance UID.",
    "objectUID": "SOP Instance UID.",
    "contentType": "Media types, best first.",
    "transferSyntax": "Of `application/dicom`.",
    "frameNumber": "A frame, from 1.",
    "rows": "Largest height in pixels.",
    "columns": "Largest width in pixels.",
    "region": "left,top,right,bottom, each from 0 to 1 of the picture.",
    "windowCenter": "Centre of the window.",
    "windowWidth": "Width of the window.",
    "imageQuality": "Quality of a JPEG, 1 to 100.",
    "annotation": "A list of patient and technique.",
    "iccprofile": "The colour space of the picture.",
    "presentationUID": "SOP Instance UID of a presentation state of the same study.",
    "presentationSeriesUID": "Series Instance UID of that state.",
    "anonymize": "`no`.",
}
"""The query parameters (9.1.2), of which the first four are required."""
_DEFAULT: Final = "default"


def _required(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name, "").strip()
    if not value:
        raise BadRequest(f"The parameter {name} is missing")
    if len(value) > 64 or not value.isprintable():
        raise NotFound
    return value


def _check(parameters: Mapping[str, str]) -> InstanceKey:
    """The instance asked for. Raises BadRequest for what would be answered with something else than asked."""
    if parameters.get("requestType") != "WADO":
        raise BadRequest("requestType must be WADO")
    if parameters.get("anonymize", "no") != "no":
        raise BadRequest("anonymize is not supported")
    study, series, instance = (_required(parameters, name) for name in ("studyUID", "seriesUID", "objectUID"))
    return InstanceKey(study, series, instance)


def _media_type(asked: str, instance: StoredInstance) -> str:
    """The first type asked for that exists; by default a picture, a page, else the object (9.1.2.2.1)."""
    category = rendered_types.category_of(instance)
    names = [offer.media_type for offer in category.offers if offer.packaging == "single"]
    if category.kind == "presentation state":
        names = []  # Its images have addresses of their own, with `presentationUID`.
    default = next(iter(names), _DICOM) if category.kind in ("image", "report") else _DICOM
    if not asked.strip():
        return default
    aliases = {alias: offer.media_type for offer in category.offers for alias in offer.aliases}
    for item in asked.lower().split(","):
        name = item.partition(";")[0].strip()
        if name in ("*/*", _DICOM, _DEFAULT):
            return default if name == _DEFAULT else _DICOM
        if aliases.get(name, name) in names:
            return aliases.get(name, name)
        if found := [other for other in names if name.endswith("/*") and other.startswith(name[:-1])]:
            return found[0]
    raise NotAcceptable(f"Available: {', '.join([_DICOM, *names])}")


def _asked(call: Call, parameters: Mapping[str, str]) -> str:
    """Media types by `contentType`, which goes before the Accept header (9.1.2.2.1).

    `*/*` in the header is what clients send without thinking: it means the default.
    """
    if parameters.get("contentType", "").strip():
        return parameters["contentType"]
    ranges = parse(call.header(b"accept"))
    named = [_DEFAULT if found.media_type == "*/*" else found.media_type for found in ranges if found.quality]
    return ",".join(named)


def _whole_number(parameters: Mapping[str, str], name: str, default: str) -> str:
    text = parameters.get(name, default)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"{name} is a whole number")
    return text


def _options(parameters: Mapping[str, str], media_type: str, key: InstanceKey) -> RenderOptions:
    viewport = window = None
    if "rows" in parameters or "columns" in parameters:
        # One of the two may be missing; the aspect ratio is kept, so the other bound is then as far as can be.
        columns, rows = (_whole_number(parameters, name, "16384") for name in ("columns", "rows"))
        viewport, _ = parse_viewport(f"{columns},{rows}")
    if "windowCenter" in parameters or "windowWidth" in parameters:
        centre, width = _required(parameters, "windowCenter"), _required(parameters, "windowWidth")
        window = parse_window(f"{centre},{width}")
    # The table calls it imageAnnotation, the grammar beside it annotation (9.5.1.2.2).
    annotation = parameters.get("annotation", parameters.get("imageAnnotation", ""))
    return RenderOptions(
        media_type=picture_type(media_type),
        quality=parse_quality(parameters.get("imageQuality", "90")),
        viewport=viewport,
        window=window,
        region=_region(parameters["region"]) if "region" in parameters else None,
        captions=parse_annotation(annotation)[0] if annotation else (),
        icc_profile=parse_icc_profile(parameters["iccprofile"]) if "iccprofile" in parameters else None,
        presentation=_presentation(parameters, key),
    )


def _presentation(parameters: Mapping[str, str], key: InstanceKey) -> InstanceKey | None:
    """The presentation state to apply (9.1.2.2.7); it is of the same study. Excludes windows and regions."""
    if "presentationUID" not in parameters and "presentationSeriesUID" not in parameters:
        return None
    others = [name for name in ("region", "windowCenter", "windowWidth") if name in parameters]
    if others:
        raise BadRequest(f"A presentation state excludes {', '.join(others)}")
    series, instance = (_required(parameters, name) for name in ("presentationSeriesUID", "presentationUID"))
    return InstanceKey(key.study_instance_uid, series, instance)


def _region(text: str) -> Region:
    """`region=left,top,right,bottom`, each from 0 to 1 of the picture (9.1.2.2.6)."""
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError as exc:
        raise BadRequest("region is left,top,right,bottom, each from 0 to 1") from exc
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadRequest("region is left,top,right,bottom, each from 0 to 1, and not empty")
    return Region(left, top, right - left, bottom - top, relative=True)


def _object_choice(parameters: Mapping[str, str]) -> tuple[Choice, ...]:
    syntax = parameters.get("transferSyntax", "").strip()
    return choose(f'{_DICOM}; transfer-syntax="{syntax}"' if syntax else _DICOM, OBJECT)


async def retrieve(call: Call) -> Reply | StreamReply:
    """An instance as a DICOM file, a picture, a video or a document."""
    parameters = dict(call.query())
    key = _check(parameters)
    instance = await call.run(locate, call, key)
    media_type = _media_type(_asked(call, parameters), instance)
    if media_type.startswith("text/"):
        require_utf8(call.header(b"accept-charset"), parameters.get("charset"))
    if media_type == _DICOM:
        uids = (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
        return await call.run(open_objects, call, uids, _object_choice(parameters))
    if media_type.startswith("video/"):
        return await call.run(video_reply, call, instance, media_type)
    if not media_type.startswith("image/"):
        return await call.run(document_reply, call, instance, media_type)
    number = int(_whole_number(parameters, "frameNumber", "1"))
    if not 1 <= number <= number_of_frames(instance):
        raise NotFound("The instance has no such frame")
    return await call.run(picture_reply, call, instance, number, _options(parameters, media_type, key))
