"""What every resource takes and gives, as one table: the source of the capabilities, of OpenAPI and of conformance.

A row belongs to a handler, so that `dicomweb.routes.RESOURCES` stays the only table of paths. Representations are the
very offers that the handlers choose from (`dicomweb.accept`), search parameters those that searches read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomweb import (
    accept,
    bulkdata,
    delete,
    frames,
    metadata,
    qido,
    rendered,
    rendered_types,
    rendering,
    store_answers,
    stow,
    thumbnails,
    wado,
    wado_uri,
)
from dicomweb.accept import Offer
from dicomweb.edge import Handler
from dicomweb.search_request import PARAMETERS
from index.attributes import ATTRIBUTES, has_key
from index.records import Level

Resources = Sequence[tuple[str, Mapping[str, Handler]]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter. `schema` is JSON Schema."""

    name: str
    meaning: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Description:
    """What a handler does; `section` is of PS3.18, `bodies` are the media types of a request."""

    summary: str
    section: str
    answers: tuple[Offer, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    statuses: tuple[int, ...] = (200, 206, 304, 400, 404, 406, 416, 500)
    bodies: tuple[str, ...] = ()
    level: Level | None = None
    """Level of a search: the attributes down to it are parameters too."""

    @property
    def query_parameters(self) -> tuple[Parameter, ...]:
        """All query parameters."""
        return (*self.parameters, *(attributes(self.level) if self.level else ()))

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types of the whole answer, as Content-Type has them."""
        return tuple(dict.fromkeys(map(_media_type, self.answers)))


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one resource."""

    method: str
    path: str
    name: str
    description: Description

    @property
    def template(self) -> str:
        """The path as a URI template, which knows no kinds of placeholders (RFC 6570)."""
        return self.path.replace(":path}", "}")


def _media_type(offer: Offer) -> str:
    return f'multipart/related; type="{offer.media_type}"' if offer.packaging == "multipart" else offer.media_type


_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
}
_TEXT: Final = _SCHEMAS["string"]


def _parameters(names: Iterable[str]) -> tuple[Parameter, ...]:
    rows = ((name, PARAMETERS[name]) for name in names)
    return tuple(Parameter(name, row.meaning, _SCHEMAS[row.kind]) for name, row in rows)


SEARCH: Final = _parameters(PARAMETERS)
RETRIEVE: Final = _parameters(("accept", "charset"))
PICTURE: Final = (
    Parameter("viewport", "Largest width and height in pixels, and a region x, y, width, height (8.3.5.1.3).", _TEXT),
    Parameter("window", "Centre, width and VOI LUT function (8.3.5.1.4).", _TEXT),
    Parameter("quality", "Quality of a JPEG (8.3.5.1.2).", {"type": "integer", "minimum": 1, "maximum": 100}),
    Parameter(
        "annotation", f"A list of {' and '.join(rendering.ANNOTATIONS)}, written into the corners (8.3.5.1.1).", _TEXT
    ),
    Parameter(
        "iccprofile",
        "The colour space of the picture (8.3.5.1.5).",
        {"type": "string", "enum": list(rendering.ICC_PROFILES)},
    ),
    *_parameters(("accept",)),
)

URI: Final = tuple(Parameter(name, meaning, _TEXT) for name, meaning in wado_uri.PARAMETERS.items())


def _search(what: str, level: Level) -> Description:
    return Description(
        f"Search for {what}", "10.6", accept.METADATA, SEARCH, statuses=(200, 204, 400, 406), level=level
    )


def _retrieve(what: str, section: str, answers: tuple[Offer, ...]) -> Description:
    return Description(f"Retrieve {what}", section, answers, RETRIEVE)


def _picture(what: str, section: str, answers: tuple[Offer, ...]) -> Description:
    return Description(f"Retrieve {what}", section, answers, PICTURE)


DESCRIPTIONS: Final[Mapping[Handler, Description]] = {
    qido.search_studies: _search("studies", Level.STUDY),
    qido.search_series: _search("series", Level.SERIES),
    qido.search_instances: _search("instances", Level.IMAGE),
    qido.search_series_of_study: _search("the series of a study", Level.SERIES),
    qido.search_instances_of_study: _search("the instances of a study", Level.IMAGE),
    qido.search_instances_of_series: _search("the instances of a series", Level.IMAGE),
    qido.search_instances_of_any_series: _search("the instances of a series of any study", Level.IMAGE),
    wado.retrieve_study: _retrieve("all instances of a study", "10.4.1.1.1", accept.OBJECTS),
    wado.retrieve_series: _retrieve("all instances of a series", "10.4.1.1.1", accept.OBJECTS),
    wado.retrieve_instance: _retrieve("an instance", "10.4.1.1.1", accept.OBJECT),
    metadata.retrieve_study_metadata: _retrieve("the metadata of a study", "10.4.1.1.2", accept.METADATA),
    metadata.retrieve_series_metadata: _retrieve("the metadata of a series", "10.4.1.1.2", accept.METADATA),
    metadata.retrieve_instance_metadata: _retrieve("the metadata of an instance", "10.4.1.1.2", accept.METADATA),
    frames.retrieve_frames: _retrieve("frames", "10.4.1.1.6", accept.FRAMES),
    bulkdata.retrieve_bulkdata: _retrieve("one bulk data value", "10.4.1.1.5", bulkdata.VALUE),
    bulkdata.retrieve_instance_bulkdata: _retrieve("the bulk data of an instance", "10.4.1.1.5", accept.BULKDATA),
    bulkdata.retrieve_series_bulkdata: _retrieve("the bulk data of a series", "10.4.1.1.5", accept.BULKDATA),
    bulkdata.retrieve_study_bulkdata: _retrieve("the bulk data of a study", "10.4.1.1.5", accept.BULKDATA),
    bulkdata.retrieve_instance_pixel_data: _retrieve("the pixels of an instance", "10.4.1.1.6", accept.PIXEL_DATA),
    bulkdata.retrieve_series_pixel_data: _retrieve("the pixels of a series", "10.4.1.1.6", accept.BULKDATA),
    bulkdata.retrieve_study_pixel_data: _retrieve("the pixels of a study", "10.4.1.1.6", accept.BULKDATA),
    rendered.render_study: _picture("a rendered study", "10.4.1.1.3", rendered_types.ALL),
    rendered.render_series: _picture("a rendered series", "10.4.1.1.3", rendered_types.ALL),
    rendered.render_instance: _picture("a rendered instance", "10.4.1.1.3", rendered_types.ALL),
    rendered.render_frames: _picture("rendered frames", "10.4.1.1.3", rendered_types.IMAGE),
    thumbnails.study_thumbnail: _picture("a thumbnail of a study", "10.4.1.1.4", rendered_types.PICTURES),
    thumbnails.series_thumbnail: _picture("a thumbnail of a series", "10.4.1.1.4", rendered_types.PICTURES),
    thumbnails.instance_thumbnail: _picture("a thumbnail of an instance", "10.4.1.1.4", rendered_types.PICTURES),
    thumbnails.frame_thumbnail: _picture("a thumbnail of a frame", "10.4.1.1.4", rendered_types.PICTURES),
    stow.store: Description(
        "Store instances",
        "10.5",
        store_answers.ANSWERS,
        _parameters(("accept",)),
        statuses=(200, 202, 400, 406, 409, 413, 415),
        bodies=tuple(f'multipart/related; type="{name}"' for name in stow.BODY_TYPES) + stow.BODY_TYPES,
    ),
    delete.delete: Description("Delete; can be restored for a while", "(ours)", statuses=(204, 404)),
    delete.reject: Description(
        "Store a rejection note for all instances below", "(ours)", (Offer("application/json"),), statuses=(200, 404)
    ),
    delete.rejection_codes: Description("The codes of rejection notes", "(ours)", (Offer("application/json"),)),
    wado_uri.retrieve: Description("Retrieve an instance by WADO-URI", "9", wado_uri.OFFERS, URI),
}


def operations(resources: Resources) -> Iterator[Operation]:
    """All operations, in the order of the routes. A handler without a row is a KeyError."""
    for path, handlers in resources:
        for method, handler in handlers.items():
            yield Operation(method, path, _name(path, handler, resources), DESCRIPTIONS[handler])


def _name(path: str, handler: Handler, resources: Resources) -> str:
    """A unique name: that of the handler, with the depth of the path behind it where the handler serves several."""
    name: str = getattr(handler, "__name__", "")
    served = [other for other, handlers in resources if handler in handlers.values()]
    return name if served[0] == path else f"{name}_{path.count('/')}"


def attributes(level: Level) -> Iterator[Parameter]:
    """The attributes that a search at `level` matches, as query parameters (8.3.4.1)."""
    for row in ATTRIBUTES:
        if has_key(level, row):
            kinds = ", ".join(row.kinds)
            yield Parameter(row.keyword, f"({row.tag[:4]},{row.tag[4:]}) {row.vr}. Matching: {kinds}.", _TEXT)
