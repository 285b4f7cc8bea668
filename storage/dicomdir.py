"""DICOMDIR: the directory of a file-set (PS3.3 F, PS3.10 8.6), made of the metadata that ingest kept.

The records form a tree, patient, study, series and instance, whose links are byte offsets from the start of the
file. Each record is encoded when its instance is added; the offsets are put in when all records are known. The links
of a record stand at the same place in every record, because they are its first elements and have a fixed length.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from index.errors import CannotUnderstand, PacsError
from index.records import DicomJson, Element
from storage.composing import Content, encode, in_unicode
from storage.directory_records import AT_TOP, KEYS, first, record_type, value_of
from storage.meta_group import build_meta
from storage.syntaxes import EXPLICIT_LITTLE

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"

FileId = tuple[str, ...]
"""The components of a path within the file-set: at most 8, each at most 8 of A-Z, 0-9 and _ (PS3.10 8.2)."""

_ITEM: Final = struct.Struct("<HHI")
_LINK: Final = struct.Struct("<I")
_NEXT_AT: Final = 16
"""Item header (8 bytes), then tag, VR and length of Offset of the Next Directory Record (8 bytes)."""
_LOWER_AT: Final = 38
"""Behind that element (12), Record In-use Flag (10) and the head of the offset of the lower-level directory entity."""
_SEQUENCE: Final = struct.Struct("<HH2sHI")
_SEQUENCE_TAG: Final = (0x0004, 0x1220)


@dataclass(slots=True)
class _Record:
    """A node of the tree. `offset` is known when all records are."""

    item: bytearray
    children: "dict[str, _Record]" = field(default_factory=dict)
    offset: int = 0


class Directory:
    """Takes in the instances of a file-set, then is written once."""

    def __init__(self, uid: str) -> None:
        """`uid` names the directory, as SOP Instance UID of its file."""
        self._uid = uid
        self._root: dict[str, _Record] = {}

    def add(self, dataset: DicomJson, file_id: FileId, transfer_syntax_uid: str) -> None:
        """An instance and the file it is in."""
        instance_uid = first(dataset, "00080018")
        kind = record_type(dataset)
        leaf = _Record(_item(kind, dataset, _reference(dataset, file_id, transfer_syntax_uid)))
        branch = self._root
        if kind not in AT_TOP:
            for level, tag in (("PATIENT", "00100020"), ("STUDY", "0020000D"), ("SERIES", "0020000E")):
                name = f"{level} {first(dataset, tag)}"
                if name not in branch:
                    branch[name] = _Record(_item(level, dataset, {}))
                branch = branch[name].children
        branch[f"{kind} {instance_uid}"] = leaf

    def write(self) -> bytes:
        """The DICOMDIR file."""
        records = list(_depth_first(self._root))
        meta = build_meta(
            sop_class_uid=MEDIA_STORAGE_DIRECTORY, sop_instance_uid=self._uid, transfer_syntax_uid=EXPLICIT_LITTLE
        )
        size = sum(len(record.item) for record in records)
        head = len(meta) + len(self._head()) + _SEQUENCE.size
        for record in records:
            record.offset = head
            head += len(record.item)
        _link(self._root)
        sequence = _SEQUENCE.pack(*_SEQUENCE_TAG, b"SQ", 0, size)
        return b"".join((meta, self._head(), sequence, *(record.item for record in records)))

    def _head(self) -> bytes:
        """The data set before the records (PS3.3 F.3.2.1, F.3.2.2)."""
        records = list(self._root.values())
        first_offset, last_offset = (records[0].offset, records[-1].offset) if records else (0, 0)
        return _encoded(
            {
                "00041130": {"vr": "CS"},
                "00041200": {"vr": "UL", "Value": [first_offset]},
                "00041202": {"vr": "UL", "Value": [last_offset]},
                "00041212": {"vr": "US", "Value": [0]},
            }
        )


def _reference(dataset: DicomJson, file_id: FileId, transfer_syntax_uid: str) -> dict[str, Element]:
    """Which file the record stands for."""
    return {
        "00041500": {"vr": "CS", "Value": list(file_id)},
        "00041510": {"vr": "UI", "Value": [first(dataset, "00080016")]},
        "00041511": {"vr": "UI", "Value": [first(dataset, "00080018")]},
        "00041512": {"vr": "UI", "Value": [transfer_syntax_uid]},
    }


def _item(kind: str, dataset: DicomJson, reference: dict[str, Element]) -> bytearray:
    """A record as an item, its links still 0."""
    head: dict[str, Element] = {
        "00041400": {"vr": "UL", "Value": [0]},
        "00041410": {"vr": "US", "Value": [0xFFFF]},
        "00041420": {"vr": "UL", "Value": [0]},
        "00041430": {"vr": "CS", "Value": [kind]},
        **reference,
    }
    keys: dict[str, Element] = {}
    for key in KEYS[kind]:
        found = value_of(key, dataset)
        if found is not None:
            keys[key.tag] = found
        elif key.required:
            keys[key.tag] = {"vr": key.vr}
    body = _encoded(head) + _keys_encoded(keys)
    return bytearray(_ITEM.pack(0xFFFE, 0xE000, len(body)) + body)


def _keys_encoded(keys: dict[str, Element]) -> bytes:
    """The keys; those whose values cannot be written, or are bulk data, are left empty."""
    written = in_unicode(keys)
    try:
        return _encoded(dict(sorted(written.items())))
    except PacsError:
        return b"".join(_one_encoded(tag, written[tag]) for tag in sorted(written))


def _one_encoded(tag: str, element: Element) -> bytes:
    try:
        return _encoded({tag: element})
    except PacsError:
        return _encoded({tag: {"vr": element["vr"]}})


def _encoded(dataset: DicomJson) -> bytes:
    return b"".join(piece for piece in encode(dataset, _no_bulk) if isinstance(piece, bytes))


def _no_bulk(_path: str, _uri: str) -> Content:
    raise CannotUnderstand("A directory holds no bulk data")


def _depth_first(branch: dict[str, _Record]) -> Iterator[_Record]:
    for record in branch.values():
        yield record
        yield from _depth_first(record.children)


def _link(branch: dict[str, _Record]) -> None:
    """Put in the offsets of the next record and of the first one below."""
    records = list(branch.values())
    for record, following in zip(records, [*records[1:], None], strict=True):
        _LINK.pack_into(record.item, _NEXT_AT, following.offset if following else 0)
        if record.children:
            _LINK.pack_into(record.item, _LOWER_AT, next(iter(record.children.values())).offset)
            _link(record.children)
