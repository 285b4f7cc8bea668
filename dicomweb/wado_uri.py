"""WADO-URI: one instance by query parameters (PS3.18 9), for the many programs that still speak it."""

from collections.abc import Mapping
from typing import Final

from dicomweb.accept import OBJECT, Choice, choose
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.frames import locate
from dicomweb.rendered import number_of_frames, parse_quality, parse_viewport, parse_window, picture_reply
from dicomweb.replies import Reply, StreamReply
from dicomweb.wado import open_objects
from index.errors import NotAcceptable, NotFound
from index.records import InstanceKey, RenderOptions, StoredInstance

_DICOM: Final = "application/dicom"
_PICTURES: Final = {"image/jpeg": "image/jpeg", "image/jpg": "image/jpeg", "image/png": "image/png"}
_UNSUPPORTED: Final = ("region", "presentationUID", "presentationSeriesUID")


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
    if found := [name for name in _UNSUPPORTED if name in parameters]:
        raise BadRequest(f"Not supported: {', '.join(found)}")
    study, series, instance = (_required(parameters, name) for name in ("studyUID", "seriesUID", "objectUID"))
    return InstanceKey(study, series, instance)


def _media_type(parameters: Mapping[str, str], instance: StoredInstance) -> str:
    """The first type of `contentType` that exists; by default a picture of an image, else the object (9.1.2.2.3)."""
    asked = parameters.get("contentType", "")
    if not asked.strip():
        return "image/jpeg" if number_of_frames(instance) else _DICOM
    for item in asked.lower().split(","):
        name = item.partition(";")[0].strip()
        if name in ("*/*", _DICOM):
            return _DICOM
        if name in _PICTURES and number_of_frames(instance):
            return _PICTURES[name]
        if name == "image/*" and number_of_frames(instance):
            return "image/jpeg"
    raise NotAcceptable("Available: application/dicom" + (", image/jpeg, image/png" if instance.layout.pixels else ""))


def _whole_number(parameters: Mapping[str, str], name: str, default: str) -> str:
    text = parameters.get(name, default)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"{name} is a whole number")
    return text


def _options(parameters: Mapping[str, str], media_type: str) -> RenderOptions:
    viewport = window = None
    if "rows" in parameters or "columns" in parameters:
        # One of the two may be missing; the aspect ratio is kept, so the other bound is then as far as can be.
        columns, rows = (_whole_number(parameters, name, "16384") for name in ("columns", "rows"))
        viewport = parse_viewport(f"{columns},{rows}")
    if "windowCenter" in parameters or "windowWidth" in parameters:
        centre, width = _required(parameters, "windowCenter"), _required(parameters, "windowWidth")
        window = parse_window(f"{centre},{width}")
    return RenderOptions(
        media_type="image/png" if media_type == "image/png" else "image/jpeg",
        quality=parse_quality(parameters.get("imageQuality", "90")),
        viewport=viewport,
        window=window,
    )


def _object_choice(parameters: Mapping[str, str]) -> tuple[Choice, ...]:
    syntax = parameters.get("transferSyntax", "").strip()
    return choose(f'{_DICOM}; transfer-syntax="{syntax}"' if syntax else _DICOM, OBJECT)


async def retrieve(call: Call) -> Reply | StreamReply:
    """An instance as a DICOM file or as a picture."""
    parameters = dict(call.query())
    key = _check(parameters)
    instance = await call.run(locate, call, key)
    media_type = _media_type(parameters, instance)
    if media_type == _DICOM:
        uids = (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
        return await call.run(open_objects, call, uids, _object_choice(parameters))
    number = int(_whole_number(parameters, "frameNumber", "1"))
    if not 1 <= number <= number_of_frames(instance):
        raise NotFound("The instance has no such frame")
    return await picture_reply(call, instance, number, _options(parameters, media_type))
