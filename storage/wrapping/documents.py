"""Documents that are kept whole inside an instance (PS3.3 A.45, A.85): PDF, CDA, and models for 3D printing."""

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from index.errors import CannotUnderstand
from index.records import Element
from storage.spool import Source
from storage.syntaxes import EXPLICIT_LITTLE
from storage.wrapping.material import Material, element

DOCUMENT: Final = "00420011"
MIME_TYPE: Final = "00420012"
LENGTH: Final = "00420015"
_HL7_INSTANCE: Final = "0040E001"

_HEAD_BYTES: Final = 65536
_LONGEST_ST: Final = 1024
_CDA_ROOT: Final = "{urn:hl7-org:v3}ClinicalDocument"
_STL_HEAD_BYTES, _STL_TRIANGLE_BYTES = 84, 50
_PDF_BEGINNING: Final = 1024


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """One kind of document."""

    sop_class_uid: str
    mime_type: str
    """As MIME Type of Encapsulated Document (0042,0012) says it."""
    name: str


_PDF: Final = DocumentKind("1.2.840.10008.5.1.4.1.1.104.1", "application/pdf", "PDF")
_CDA: Final = DocumentKind("1.2.840.10008.5.1.4.1.1.104.2", "text/XML", "CDA document")
_STL: Final = DocumentKind("1.2.840.10008.5.1.4.1.1.104.3", "model/stl", "STL model")
_OBJ: Final = DocumentKind("1.2.840.10008.5.1.4.1.1.104.4", "model/obj", "OBJ model")
_MTL: Final = DocumentKind("1.2.840.10008.5.1.4.1.1.104.5", "model/mtl", "MTL material library")

KINDS: Final = {
    "application/pdf": _PDF,
    "text/xml": _CDA,
    "application/xml": _CDA,
    "application/hl7-cda+xml": _CDA,
    "model/stl": _STL,
    "model/x.stl-binary": _STL,
    "application/sla": _STL,
    "model/obj": _OBJ,
    "model/mtl": _MTL,
}
"""Media type of a part -> what it is; a few have several names."""


def read_document(media_type: str, source: Source) -> Material:
    """A document, after a look whether it is what it claims to be. Raises CannotUnderstand."""
    kind = KINDS[media_type]
    if not _looks_right(kind, source):
        raise CannotUnderstand(f"The part is no {kind.name}", attributes=(DOCUMENT,))
    attributes: dict[str, Element] = {
        MIME_TYPE: element("LO", kind.mime_type),
        LENGTH: element("UL", source.size_bytes),
    }
    if kind is _CDA:
        identifier = _cda_identifier(source.read(0, _HEAD_BYTES))
        attributes |= {_HL7_INSTANCE: element("ST", identifier)} if identifier else {}
    return Material(EXPLICIT_LITTLE, source, attributes)


class _CdaHead:
    """Notes the root element of an XML document and the identifier of a CDA document, its first child named `id`."""

    def __init__(self) -> None:
        self.root = ""
        self.identifier = ""
        self._level = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> None:
        """An element begins."""
        self._level += 1
        self.root = self.root or tag
        if self._level == 2 and tag.endswith("}id") and not self.identifier:
            parts = (attributes.get("root", ""), attributes.get("extension", ""))
            self.identifier = "^".join(part for part in parts if part)

    def end(self, _tag: str, /) -> None:
        """An element ends."""
        self._level -= 1

    def close(self) -> None:
        """The document ends; nothing is left to do."""


def _cda_head(head: bytes) -> _CdaHead:
    found = _CdaHead()
    try:
        DefusedXMLParser(target=found, forbid_dtd=True).feed(head)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as exc:
        raise CannotUnderstand("The CDA document is not well-formed", attributes=(DOCUMENT,)) from exc
    return found


def _cda_identifier(head: bytes) -> str:
    """HL7 Instance Identifier (0040,E001): root and extension of the document's id (PS3.3 C.24.2)."""
    return _cda_head(head).identifier[:_LONGEST_ST]


def _looks_right(kind: DocumentKind, source: Source) -> bool:
    head = source.read(0, _HEAD_BYTES)
    if kind is _PDF:
        return b"%PDF-" in head[:_PDF_BEGINNING]
    if kind is _CDA:
        return _cda_head(head).root == _CDA_ROOT
    if kind is _STL:
        triangles = int.from_bytes(head[80:84], "little")
        whole = source.size_bytes == _STL_HEAD_BYTES + triangles * _STL_TRIANGLE_BYTES
        return len(head) >= _STL_HEAD_BYTES and whole and triangles > 0
    words = {line.split(None, 1)[0] for line in head.splitlines() if line.strip()}
    return bool(words & ({b"v", b"f"} if kind is _OBJ else {b"newmtl"}))
