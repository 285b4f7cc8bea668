"""Answers as DICOM JSON text, the way QIDO-RS sends them, each with its Retrieve URL (0008,1190).

Most answers need one part alone. Its summary is stored as text already, in ascending order and with null where only
the index knows the value, so the values are put in as text too: parsing and writing it again costs ten times as much.
A null cannot be mistaken: inside a string its quotes would be escaped, and nothing else in a summary has a tag and
null.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import orjson

from index.answers import IMAGE, ONLINE, SYNTAX, listed
from index.attributes import tag_of
from index.records import Answer, Level
from index.tables import NO_NUMBER

_RETRIEVE_URL: Final = tag_of("RetrieveURL")
_STUDY_UID: Final = tag_of("StudyInstanceUID")
_SERIES_UID: Final = tag_of("SeriesInstanceUID")
_INSTANCE_UID: Final = tag_of("SOPInstanceUID")
_AVAILABILITY: Final = tag_of("InstanceAvailability")


_GAP: Final = b'":null'
_EXACT_GAP: Final = re.compile(rb'(?<=[{,]"[0-9A-F]{8})":null')


def escaped(text: str) -> bytes:
    """A text as it stands inside a JSON string."""
    return orjson.dumps(text)[1:-1]


def _empty(tag: str, vr: str) -> bytes:
    return f'"{tag}":{{"vr":"{vr}"}}'.encode()


def _single(tag: str, vr: str) -> bytes:
    """An element with one value, to be formatted with its JSON."""
    return f'"{tag}":{{"vr":"{vr}","Value":[%b]}}'.encode()


# What follows a tag: its closing quote and the element.
_ONLINE: Final = b'":' + orjson.dumps(ONLINE)
_URL: Final = b'":{"vr":"UR","Value":["%b/studies/%b%b"]}'
_UID: Final = b'":{"vr":"UI","Value":["%b"]}'
_NUMBER: Final = b'":{"vr":"IS","Value":[%d]}'


@lru_cache(maxsize=1024)
def _listed(vr: str, column: str) -> bytes:
    return b'":' + orjson.dumps(listed(vr, column))


def _uid_of(tag: str, summary: bytes) -> bytes:
    head = f'"{tag}":{{"vr":"UI","Value":["'.encode()
    start = summary.index(head) + len(head)
    return summary[start : summary.index(b'"', start)]


def _filled(summary: bytes, *elements: bytes) -> bytes:
    """The summary with these elements, in the order of their tags, where it has null."""
    pieces = summary.split(_GAP)
    if len(pieces) != len(elements) + 1:
        pieces = _EXACT_GAP.split(summary)  # The same characters stand in a text, with escaped quotes.
    filled = [b""] * (2 * len(elements) + 1)
    filled[::2] = pieces
    filled[1::2] = elements
    return b"".join(filled)


def _study(root: bytes, summary: bytes, *columns: Any) -> bytes:
    modalities, classes, body_parts, status, of_series, of_instances = columns
    return _filled(
        summary,
        _ONLINE,
        _listed("CS", modalities),
        _listed("UI", classes),
        _URL % (root, _uid_of(_STUDY_UID, summary), b""),
        _listed("CS", body_parts),
        _NUMBER % of_series,
        _NUMBER % of_instances,
        _listed("CS", status),
    )


def _series(root: bytes, summary: bytes, of_instances: int, study_uid: str) -> bytes:
    study = escaped(study_uid)
    return _filled(
        summary,
        _ONLINE,
        _URL % (root, study, b"/series/" + _uid_of(_SERIES_UID, summary)),
        _UID % study,
        _NUMBER % of_instances,
    )


_IMAGE: Final = tuple((tag, _single(tag, vr), _empty(tag, vr)) for tag, vr, _ in IMAGE)
_IMAGE_TAGS: Final = tuple(tag for tag, _, _ in IMAGE)
_UIDS_AT: Final = tuple(_IMAGE_TAGS.index(tag) for tag in (_STUDY_UID, _SERIES_UID, _INSTANCE_UID))
_URL_AFTER: Final = max(tag for tag in _IMAGE_TAGS if tag < _RETRIEVE_URL)


def _image(root: bytes, rendition: str | None, *values: Any) -> bytes:
    elements = []
    for (tag, single, empty), value in zip(_IMAGE, values, strict=True):
        if tag == _AVAILABILITY:
            elements.append(b'"%b%b' % (tag.encode(), _ONLINE))
        elif rendition and tag == SYNTAX:
            elements.append(single % orjson.dumps([value, rendition])[1:-1])
        elif value == NO_NUMBER:
            elements.append(empty)
        elif value is not None and value != "":
            elements.append(single % orjson.dumps(value))
        if tag == _URL_AFTER:
            study, series, instance = (escaped(values[at]) for at in _UIDS_AT)
            url = _URL % (root, study, b"/series/%b/instances/%b" % (series, instance))
            elements.append(b'"%b%b' % (_RETRIEVE_URL.encode(), url))
    return b"{%b}" % b",".join(elements)


TEXTS: Final[Mapping[Sequence[str], Callable[..., bytes]]] = MappingProxyType(
    {("study",): _study, ("series",): _series, ("image",): _image}
)
"""Parts of an answer (`index.answers`) to the function that makes its text of the service's address, escaped, and
the columns of the parts."""


def written(root: bytes, level: Level, answer: Answer) -> bytes:
    """The text of an answer of any parts."""
    study, series, instance = (escaped(_first(answer, tag)) for tag in (_STUDY_UID, _SERIES_UID, _INSTANCE_UID))
    rest = {
        Level.PATIENT: b"",
        Level.STUDY: b"",
        Level.SERIES: b"/series/" + series,
        Level.IMAGE: b"/series/%b/instances/%b" % (series, instance),
    }[level]
    url = orjson.loads(b'{"%b%b}' % (_RETRIEVE_URL.encode(), _URL % (root, study, rest)))
    return orjson.dumps({**answer, **url}, option=orjson.OPT_SORT_KEYS)


def _first(answer: Answer, tag: str) -> str:
    values = answer.get(tag, {}).get("Value", ("",))
    return str(values[0])
