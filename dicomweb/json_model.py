"""Data sets that clients send in the DICOM JSON model (PS3.18 F), checked for their form before they are used.

Values are checked when they are encoded. Here it is made sure that everything is where the model has it, that no
document costs more memory than its length suggests, and that the elements can belong to a data set.
"""

import re
from typing import Any, Final

import orjson

from config.settings import Limits
from index.errors import CannotUnderstand, TooLarge
from storage.dictionary import UNKNOWN, public_vr
from storage.values import BINARY, LITTLE_ENDIAN

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_VRS: Final = frozenset({*LITTLE_ENDIAN, *BINARY, "SQ"})
"""How long an element's header is depends on its VR, so none is taken on trust."""
_CONTENTS: Final = ("Value", "InlineBinary", "BulkDataURI")
_FIRST_TAG: Final = "00040000"
"""Command and meta groups are not part of a data set."""
_TRANSIENT: Final = frozenset({"00083002"})
"""Available Transfer Syntax UID says how an instance can be had, not what it is."""
_VALUES_PER_ELEMENT: Final = 10
_MARKS: Final = (b"{", b"[", b",")

Json = dict[str, Any]


def read(document: bytes, limits: Limits) -> list[Json]:
    """The data sets of a JSON array, or the one of a JSON object. Raises CannotUnderstand, TooLarge."""
    # Every list, object and value has a mark before it, so this bounds what the parser will make.
    if sum(map(document.count, _MARKS)) > limits.elements * _VALUES_PER_ELEMENT:
        raise TooLarge(f"The metadata has more than {limits.elements} elements (limits.elements)")
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError as exc:
        raise CannotUnderstand("The metadata is not JSON") from exc
    datasets = found if isinstance(found, list) else [found]
    if not datasets or not all(isinstance(dataset, dict) for dataset in datasets):
        raise CannotUnderstand("The metadata is no array of data sets in the DICOM JSON model")
    return datasets


def checked(dataset: Json, limits: Limits) -> Json:
    """The data set without what does not belong into one. Raises CannotUnderstand, TooLarge."""
    return {
        tag: element
        for tag, element in _checked(dataset, limits.sequence_depth, "").items()
        if tag >= _FIRST_TAG and tag not in _TRANSIENT
    }


def _checked(dataset: Json, levels: int, prefix: str) -> Json:
    if levels < 0:
        raise TooLarge("Sequences are nested deeper than limits.sequence_depth")
    found: Json = {}
    for name, element in dataset.items():
        if not _TAG.fullmatch(name):
            raise CannotUnderstand("A data set has a name that is no tag of eight hexadecimal digits")
        tag = name.upper()
        if tag in found:
            raise CannotUnderstand(f"{prefix}{tag} stands twice in a data set", attributes=(prefix + tag,))
        if not tag.endswith("0000"):  # Group lengths are not part of the model (F.2.2).
            found[tag] = _element(element, tag, levels, prefix + tag)
    return found


def _element(element: Any, tag: str, levels: int, path: str) -> Json:
    if not isinstance(element, dict):
        raise CannotUnderstand(f"{path} is no element of the DICOM JSON model", attributes=(path,))
    vr = element.get("vr") or (public_vr(int(tag, 16)) or UNKNOWN)[:2]
    contents = [name for name in _CONTENTS if element.get(name) not in (None, "", [])]
    if not isinstance(vr, str) or vr not in _VRS or len(contents) > 1:
        raise CannotUnderstand(f"{path} has no valid VR, or more than one kind of value", attributes=(path,))
    if not contents:
        return {"vr": vr}
    name, content = contents[0], element[contents[0]]
    if not isinstance(content, list if name == "Value" else str):
        raise CannotUnderstand(f"{path} has a {name} of the wrong kind", attributes=(path,))
    if vr != "SQ":
        return {"vr": vr, name: content}
    if name != "Value" or not all(item is None or isinstance(item, dict) for item in content):
        raise CannotUnderstand(f"{path} is a sequence and has something else than items", attributes=(path,))
    items = [_checked(item or {}, levels - 1, f"{path}/{number}/") for number, item in enumerate(content, 1)]
    return {"vr": vr, "Value": items}
