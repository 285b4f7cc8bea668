"""Values of arriving objects that are changed by rule (`archive.coercions`), and the record of it (PS3.3 C.12.1.1.9).

The stored object is the changed one. What was received is still known: its digest stays the instance's own, so the
same object sent again is recognised, and both digests stand in the meta group of the stored file, from where
verifying and rebuilding take them.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from config.settings import Coercion, Limits
from index.reasons import Code, Reason
from index.records import DicomJson, Element, Origin
from storage import composing, syntaxes
from storage.inflate import inflate
from storage.part10 import Scanned
from storage.pixels import rewrite
from storage.spool import Held

MODIFYING_SYSTEM: Final = "OPEN_PACS"

_ORIGINALS: Final = "04000561"
_MODIFIED: Final = "04000550"
_DIGEST_BYTES: Final = 32
_LONGEST_LO: Final = 64


@dataclass(frozen=True, slots=True)
class Changes:
    """What the rules make of one object."""

    elements: Mapping[str, Element]
    """Tag -> new element, in the DICOM JSON model."""
    source: str
    """Who sent the object, for Source of Previous Values (0400,0564)."""

    def reason(self) -> Reason:
        """The warning for the sender."""
        keywords = ", ".join(keyword_for_tag(int(tag, 16)) for tag in self.elements)
        return Reason(Code.COERCION, f"Changed by rule: {keywords}", tuple(self.elements))


def changes_for(rules: Sequence[Coercion], origin: Origin, dataset: DicomJson) -> Changes | None:
    """What the rules change in this object, None when that is nothing. Later rules see what earlier ones made."""
    found: dict[str, Element] = {}
    for rule in rules:
        if rule.source and rule.source != origin.peer:
            continue
        number = tag_for_keyword(rule.keyword) or 0
        tag, vr = f"{number:08X}", dictionary_VR(number)
        old = found.get(tag) or dataset.get(tag) or {"vr": vr}
        new = _element(vr, rule.value)
        is_empty = not any(old.get("Value") or ())
        if (rule.when == "always" or is_empty) and old.get("Value") != new.get("Value"):
            found[tag] = new
    return Changes(dict(sorted(found.items())), origin.peer) if found else None


def _element(vr: str, text: str) -> Element:
    values: list[object] = [*text.split("\\")] if text else []
    if vr == "PN":
        values = [{"Alphabetic": value} if value else None for value in values]
    elif vr in ("DS", "IS"):
        values = [_number(str(value)) for value in values]
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _number(text: str) -> object:
    """A number as the scan would read it, so that equal values compare equal."""
    try:
        return float(text)
    except ValueError:
        return text


def pieces(
    view: memoryview, scanned: Scanned, transfer_syntax_uid: str, changes: Changes, *, limits: Limits
) -> list[bytes | memoryview]:
    """The data set of the object in `view` with its changes: views wherever nothing changes. Raises CannotUnderstand.

    The views keep the object's memory in use.
    """
    syntax = syntaxes.lookup(transfer_syntax_uid)
    explicit, little = (syntax.explicit_vr, syntax.little_endian) if syntax else (True, True)
    layout, target = scanned.layout, composing.Encoding(explicit, little)
    # Offsets of the layout count in the inflated data set, or else in the whole object.
    whole = memoryview(inflate(view, layout.dataset_offset_bytes, limits)) if layout.deflated else view
    data = whole if layout.deflated else whole[layout.dataset_offset_bytes :]

    def bulk(path: str, _uri: str) -> composing.Content:
        start, length = layout.bulk[path]
        return Held(bytes(whole[start : start + length]))

    elements = {**changes.elements, _ORIGINALS: _originals(scanned.dataset, changes)}
    written = {
        int(tag, 16): rewrite.Element(element["vr"], composing.encode_value(tag, element, bulk, target))
        for tag, element in elements.items()
    }
    encoding = rewrite.Encoding(explicit, little)
    is_signed = (scanned.dataset.get("00280103", {}).get("Value") or (0,))[0] == 1
    rewritten = rewrite.rewritten(data, encoding, encoding, changes=written, signed=is_signed)
    return [_deflate(rewritten)] if layout.deflated else rewritten


def _originals(dataset: DicomJson, changes: Changes) -> Element:
    """Original Attributes Sequence with one item more.

    Items are written in Unicode and say so, because the object's own character set need not be known to an encoder.
    """
    items = [composing.in_unicode(item) for item in dataset.get(_ORIGINALS, {}).get("Value") or ()]
    previous = {tag: dataset.get(tag) or {"vr": element["vr"]} for tag, element in changes.elements.items()}
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S.%f%z")
    item: dict[str, Element] = {
        _MODIFIED: {"vr": "SQ", "Value": [previous]},
        "04000562": {"vr": "DT", "Value": [now]},
        "04000563": {"vr": "LO", "Value": [MODIFYING_SYSTEM]},
        "04000564": {"vr": "LO", "Value": [changes.source[:_LONGEST_LO]]} if changes.source else {"vr": "LO"},
        "04000565": {"vr": "CS", "Value": ["COERCE"]},
    }
    return {"vr": "SQ", "Value": [*items, composing.in_unicode(item)]}


def _deflate(parts: Iterable[bytes | memoryview]) -> bytes:
    """PS3.5 A.5: one raw stream of an even length."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    stream = b"".join([*(compressor.compress(part) for part in parts), compressor.flush()])
    return stream + b"\0" * (len(stream) % 2)


def mark(received: bytes, stored: bytes) -> bytes:
    """What the meta group of a changed object holds: digests of what was received and of what is stored."""
    return received + stored


def digests(private: bytes) -> tuple[bytes, bytes] | None:
    """Digests of what was received and of what is stored, from `FileMeta.private`; None for unchanged objects."""
    if len(private) != 2 * _DIGEST_BYTES:
        return None
    return private[:_DIGEST_BYTES], private[_DIGEST_BYTES:]


def digest(parts: Iterable[bytes | memoryview]) -> bytes:
    """SHA-256 of all pieces."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.digest()
