"""The Native DICOM Model (PS3.19 A.1), the XML of DICOMweb: data sets in the DICOM JSON model to documents and back.

Both directions keep what the JSON model keeps, with three exceptions that the XML model brings along. A private
element names its creator and not its block, so blocks are counted anew from 10 (hexadecimal). Characters that XML
1.0 cannot hold, such as a form feed, become U+FFFD. Spaces around values that are no text are not significant.

What others send is read leniently (namespace or none, VRs left to the dictionary, values in any order) but within
bounds: no document type, so no entities, and no more elements or levels than `limits` allow a data set.
"""

import binascii
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element as Node
from xml.etree.ElementTree import ParseError, TreeBuilder
from xml.sax.saxutils import escape, quoteattr

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser
from pydicom.datadict import keyword_for_tag

from config.settings import Limits
from index.errors import CannotUnderstand, TooLarge
from index.records import DicomJson, Element
from storage.dictionary import UNKNOWN, private_vr, public_vr

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_HEAD: Final = f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
_TAIL: Final = "</NativeDicomModel>\n"
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL: Final = re.compile("[^\t\n\x20-%'-;=?-\ud7ff]")
"""What cannot stand in text as it is, and the rarer characters, which are looked at one by one."""
_LINE_ENDS: Final = {"\r": "&#13;"}
"""A parser turns a bare carriage return into a line feed (XML 1.0, 2.11)."""
_UNTRIMMED: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_INTEGERS: Final = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
_REALS: Final = frozenset({"FD", "FL"})
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_VR: Final = re.compile(r"[A-Z]{2}")
_FIRST_BLOCK: Final = 0x10
_LAST_BLOCK: Final = 0xFF
_LARGEST_INTEGER: Final = 2**63 - 1
_NODES_PER_ELEMENT: Final = 4
_LEVELS_PER_ITEM: Final = 2
_LEVELS_OF_A_NAME: Final = 5

Json = dict[str, Any]


def write(dataset: DicomJson) -> bytes:
    """A data set in the DICOM JSON model as one XML document, UTF-8."""
    parts = [_HEAD]
    _write_dataset(parts, dataset)
    parts.append(_TAIL)
    return "".join(parts).encode()


def read(document: bytes, limits: Limits) -> Json:
    """The data set of one XML document in the DICOM JSON model. Raises CannotUnderstand, TooLarge."""
    if len(document) > limits.header_bytes:
        raise TooLarge(f"The XML document is longer than {limits.header_bytes} bytes (limits.header_bytes)")
    room = _Room(limits)
    parser = DefusedXMLParser(target=_BoundedTree(room), forbid_dtd=True)
    try:
        parser.feed(document)
        root = parser.close()
    except DefusedXmlException as exc:
        raise CannotUnderstand("The XML document has a document type or entities, which are not accepted") from exc
    except (ParseError, ValueError, LookupError) as exc:
        raise CannotUnderstand("The XML document is not well-formed") from exc
    if _name(root) != "NativeDicomModel":
        raise CannotUnderstand("The XML document is no NativeDicomModel")
    return _read_dataset(root, room)


# Writing


def _write_dataset(parts: list[str], dataset: DicomJson) -> None:
    creators = {tag: _creator_name(element) for tag, element in dataset.items() if _is_creator(tag)}
    used = {tag[:4] + "00" + tag[4:6] for tag in dataset if _is_private(tag) and tag[4:6] != "00"}
    for tag, element in sorted(dataset.items()):
        if tag in used and creators.get(tag):
            continue  # The elements of the block name their creator; the block itself is not sent.
        creator = creators.get(f"{tag[:4]}00{tag[4:6]}", "") if _is_private(tag) else ""
        vr = element["vr"]
        parts.append(_start(tag, vr, creator))
        _write_content(parts, vr, element)
        parts.append("</DicomAttribute>")


@functools.lru_cache(maxsize=16384)
def _start(tag: str, vr: str, creator: str) -> str:
    if creator:
        return f'<DicomAttribute tag="{tag[:4]}00{tag[6:]}" vr="{vr}" privateCreator={_attribute(creator)}>'
    keyword = keyword_for_tag(int(tag, 16))
    named = f' keyword="{keyword}"' if keyword else ""
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{named}>'


def _write_content(parts: list[str], vr: str, element: Element) -> None:
    if "BulkDataURI" in element:
        parts.append(f"<BulkData uri={_attribute(element['BulkDataURI'])}/>")
    elif "InlineBinary" in element:
        parts.append(f"<InlineBinary>{element['InlineBinary']}</InlineBinary>")
    values: Sequence[Any] = element.get("Value", ())
    for number, value in enumerate(values, 1):
        if vr == "SQ":
            parts.append(f'<Item number="{number}">')
            _write_dataset(parts, value or {})
            parts.append("</Item>")
        elif vr == "PN":
            parts.append(f'<PersonName number="{number}">')
            _write_name(parts, value or {})
            parts.append("</PersonName>")
        else:
            parts.append(f'<Value number="{number}">{_text(value)}</Value>')


def _write_name(parts: list[str], name: Mapping[str, str]) -> None:
    """The groups and components of a person name; what a name has beyond five components stays in the fifth."""
    for group in _GROUPS:
        text = name.get(group)
        if text:
            parts.append(f"<{group}>")
            for component, part in zip(_COMPONENTS, text.split("^", len(_COMPONENTS) - 1), strict=False):
                parts.append(f"<{component}>{_text(part)}</{component}>")
            parts.append(f"</{group}>")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    return escape(_legal(value), _LINE_ENDS) if _SPECIAL.search(value) else value


def _attribute(text: str) -> str:
    return quoteattr(_legal(text))


def _legal(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _ILLEGAL.sub("\ufffd", text)


def _is_private(tag: str) -> bool:
    return int(tag[3], 16) % 2 == 1


def _is_creator(tag: str) -> bool:
    return _is_private(tag) and tag[4:6] == "00" and tag[6] != "0"


def _creator_name(element: Element) -> str:
    values = element.get("Value") or ("",)
    return str(values[0] or "").strip()


# Reading


class _Room:
    """How much more one document may hold."""

    def __init__(self, limits: Limits) -> None:
        self.nodes = limits.elements * _NODES_PER_ELEMENT
        self.levels = limits.sequence_depth * _LEVELS_PER_ITEM + _LEVELS_OF_A_NAME
        self._limits = limits

    def take(self, nodes: int) -> None:
        """Use some of it up. Raises TooLarge."""
        self.nodes -= nodes
        if self.nodes < 0:
            raise TooLarge(f"The XML document has more than {self._limits.elements} elements (limits.elements)")

    def check_level(self, level: int) -> None:
        """Refuse what is nested too deep. Raises TooLarge."""
        if level > self.levels:
            raise TooLarge(f"Sequences are nested deeper than {self._limits.sequence_depth} (limits.sequence_depth)")


class _BoundedTree(TreeBuilder):
    """A tree builder that stops before a document costs more than its bounds allow."""

    def __init__(self, room: _Room) -> None:
        super().__init__()
        self._room = room
        self._level = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Node:
        """An element begins."""
        self._level += 1
        self._room.check_level(self._level)
        self._room.take(1)
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Node:
        """An element ends."""
        self._level -= 1
        return super().end(tag)


def _name(node: Node) -> str:
    return node.tag.rpartition("}")[2]


def _children(node: Node, name: str) -> Iterator[Node]:
    return (child for child in node if _name(child) == name)


def _read_dataset(parent: Node, room: _Room) -> Json:
    dataset: Json = {}
    private: list[tuple[str, str, Json]] = []
    for node in _children(parent, "DicomAttribute"):
        tag, creator = _tag_of(node), node.get("privateCreator", "").strip()
        element = _read_element(node, tag, creator, room)
        if creator:
            private.append((tag, creator, element))
        elif tag in dataset:
            raise CannotUnderstand(f"{tag} stands twice in a data set")
        elif tag[4:] != "0000":  # Group lengths are not part of the model.
            dataset[tag] = element
    if private:
        _place_private(dataset, private)
    return dict(sorted(dataset.items()))


def _tag_of(node: Node) -> str:
    tag = node.get("tag", "").strip()
    if not _TAG.fullmatch(tag):
        raise CannotUnderstand("A DicomAttribute has no tag of eight hexadecimal digits")
    return tag.upper()


def _place_private(dataset: Json, private: Sequence[tuple[str, str, Json]]) -> None:
    """Give private elements the block of their creator, a new one where it has none yet (PS3.5 7.8.1)."""
    blocks: dict[tuple[str, str], list[str]] = {}
    for tag, element in dataset.items():
        if _is_creator(tag):
            blocks.setdefault((tag[:4], _creator_name(element)), []).append(tag[6:])
    for tag, creator, element in private:
        if not _is_private(tag):
            raise CannotUnderstand(f"{tag} has a private creator and is not private")
        own = blocks.setdefault((tag[:4], creator), [])
        free = next((block for block in own if tag[:4] + block + tag[6:] not in dataset), None)
        if free is None:
            free = _new_block(dataset, tag[:4], creator)
            own.append(free)
        dataset[tag[:4] + free + tag[6:]] = element


def _new_block(dataset: Json, group: str, creator: str) -> str:
    for number in range(_FIRST_BLOCK, _LAST_BLOCK + 1):
        tag = f"{group}00{number:02X}"
        if tag not in dataset:
            dataset[tag] = {"vr": "LO", "Value": [creator]}
            return tag[6:]
    raise CannotUnderstand(f"Group {group} has no room for another private creator")


def _read_element(node: Node, tag: str, creator: str, room: _Room) -> Json:
    vr = node.get("vr", "").strip() or _implied_vr(tag, creator)
    if not _VR.fullmatch(vr):
        raise CannotUnderstand(f"{tag} has no valid VR")
    element: Json = {"vr": vr}
    for child in node:
        name = _name(child)
        if name == "BulkData":
            element["BulkDataURI"] = _reference(child, tag)
        elif name == "InlineBinary":
            inline = "".join((child.text or "").split())
            _check_base64(inline, tag)
            if inline:
                element["InlineBinary"] = inline
    values = _read_values(node, tag, vr, room)
    if values and len(element) > 1:
        raise CannotUnderstand(f"{tag} has values and binary data")
    if values and values != [None]:
        element["Value"] = values
    return element


def _implied_vr(tag: str, creator: str) -> str:
    vr = private_vr(int(tag, 16), creator) if _is_private(tag) else public_vr(int(tag, 16))
    return "OW" if vr == "OB or OW" else (vr or UNKNOWN)[:2]


def _reference(node: Node, tag: str) -> str:
    uri, uuid = node.get("uri", "").strip(), node.get("uuid", "").strip()
    if not uri and not uuid:
        raise CannotUnderstand(f"{tag} has BulkData without uri and uuid")
    return uri or f"urn:uuid:{uuid.removeprefix('urn:uuid:')}"


def _check_base64(text: str, tag: str) -> None:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError as exc:
        raise CannotUnderstand(f"{tag} has InlineBinary that is not base64") from exc


def _read_values(node: Node, tag: str, vr: str, room: _Room) -> list[Any]:
    wanted = {"SQ": "Item", "PN": "PersonName"}.get(vr, "Value")
    found: dict[int, Any] = {}
    for child in _children(node, wanted):
        number = _number_of(child, len(found) + 1, tag)
        if number in found:
            raise CannotUnderstand(f"{tag} has two values with the same number")
        if vr == "SQ":
            found[number] = _read_dataset(child, room)
        elif vr == "PN":
            found[number] = _read_name(child)
        else:
            found[number] = _read_value(child.text or "", vr, tag)
    if not found:
        return []
    # Some writers leave empty values out, so that numbers are missing.
    last = max(found)
    room.take(last - len(found))
    return [found.get(number, {} if vr == "SQ" else None) for number in range(1, last + 1)]


def _number_of(node: Node, default: int, tag: str) -> int:
    text = node.get("number", "").strip() or str(default)
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text)):
        raise CannotUnderstand(f"{tag} has a value whose number is none")
    return int(text)


def _read_name(node: Node) -> Json | None:
    name: Json = {}
    for group in _GROUPS:
        for child in _children(node, group):
            parts = {_name(part): part.text or "" for part in child}
            last = max((at for at, component in enumerate(_COMPONENTS) if component in parts), default=-1)
            text = "^".join(parts.get(component, "") for component in _COMPONENTS[: last + 1])
            if text:
                name[group] = text
    return name or None


def _read_value(text: str, vr: str, tag: str) -> Any:
    if vr in _UNTRIMMED:
        return text or None
    text = text.strip()
    if not text:
        return None
    try:
        if vr in _INTEGERS:
            return int(text)
        if vr in _REALS:
            return text if text in _NOT_FINITE else _finite(text)
    except ValueError as exc:
        raise CannotUnderstand(f"{tag} has a value that is no number") from exc
    return _number_string(text, vr) if vr in ("DS", "IS") else text


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _number_string(text: str, vr: str) -> int | float | str:
    """DS and IS as numbers; what is none stays text, as the JSON model allows (PS3.18 F.2.3)."""
    try:
        number: int | float = int(text) if vr == "IS" else _finite(text)
    except ValueError:
        try:
            number = _finite(text)
        except ValueError:
            return text
    return number if abs(number) <= _LARGEST_INTEGER or vr == "DS" else text
