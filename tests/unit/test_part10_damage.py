"""Bad input: a clear refusal or a warning, in protocol terms; never another exception, never without bounds."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Limits
from index.errors import CannotUnderstand, DataSetMismatch, PacsError, TooLarge
from index.layout import pack
from index.reasons import Code
from storage import part10, syntaxes
from storage.metadata import to_json
from tests.samples import sample

STUDY = b"\x20\x00\x0d\x00UI\x06\x001.2.3\0"
SERIES = b"\x20\x00\x0e\x00UI\x06\x001.2.4\0"
CLASS = b"\x08\x00\x16\x00UI\x06\x001.2.5\0"
INSTANCE = b"\x08\x00\x18\x00UI\x06\x001.2.6\0"
UIDS = CLASS + INSTANCE + STUDY + SERIES


def scan(data: bytes, uid: str = syntaxes.EXPLICIT_LITTLE, **limits: Any) -> part10.Scanned:
    return part10.scan(
        data, dataset_offset=0, transfer_syntax_uid=uid, limits=Limits(**limits), bulk_threshold_bytes=1024
    )


def explicit(tag: int, vr: bytes, value: bytes) -> bytes:
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def item(content: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


SEQUENCE = 0x00081140
UNDEFINED = 0xFFFFFFFF
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
OPEN_SEQUENCE = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)


def test_the_smallest_object() -> None:
    scanned = scan(UIDS)
    assert scanned.key.study_instance_uid == "1.2.3"
    assert scanned.layout.pixels is None
    assert scanned.warnings == ()


@pytest.mark.parametrize("missing", [CLASS, INSTANCE, STUDY, SERIES])
def test_missing_uid(missing: bytes) -> None:
    with pytest.raises(DataSetMismatch, match="is missing"):
        scan(UIDS.replace(missing, b""))


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize(
    "uid",
    [b"", b" \0", b"1.2\\1.3", b"../../etc/passwd", b"..", b".", b"1..2", b"1.2.", b"1" * 66, b"a.b.c\0", b"1.2/3 "],
)
def test_uid_that_is_none(position: int, uid: bytes) -> None:
    elements = [CLASS, INSTANCE, STUDY, SERIES]
    tag = int.from_bytes(elements[position][:2], "little") << 16 | int.from_bytes(elements[position][2:4], "little")
    elements[position] = explicit(tag, b"UI", uid)
    with pytest.raises(DataSetMismatch) as refusal:
        scan(b"".join(elements))
    assert refusal.value.dimse_status == 0xA900
    assert len(refusal.value.reason().comment()) <= 64


def test_leading_zeros_in_a_uid_are_tolerated() -> None:
    assert scan(UIDS.replace(b"1.2.3\0", b"1.02.3")).key.study_instance_uid == "1.02.3"


@pytest.mark.parametrize("uid", [syntaxes.EXPLICIT_LITTLE, syntaxes.DEFLATED_LITTLE])
@pytest.mark.parametrize("name", ["sr/reportsi.dcm", "seg/label.dcm", "generated/rtstruct.dcm"])
def test_truncated_anywhere(name: str, uid: str) -> None:
    data = sample(name).read_bytes()
    meta = part10.MetaReader().feed(data)
    assert meta is not None
    body = data[meta.length_bytes :]
    deflated = uid == syntaxes.DEFLATED_LITTLE
    if deflated:
        body = zlib.compress(body, wbits=-15)
    else:
        uid = meta.transfer_syntax_uid
    complete = scan(body, uid)
    for length in range(0, len(body), 3):
        try:
            scanned = scan(body[:length], uid)
        except PacsError:
            continue
        # Only a cut between two elements can go unnoticed, and a deflated stream has none.
        assert not deflated
        assert scanned.dataset.items() <= complete.dataset.items()


@pytest.mark.parametrize(
    "damaged",
    [
        explicit(0x00100020, b"LO", b"ID")[:-1],
        struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFF0),
        struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 100),
        explicit(SEQUENCE, b"SQ", item(b"", 100)),
        explicit(SEQUENCE, b"SQ", item(explicit(0x00100020, b"LO", b"ID")[:-1])),
        explicit(SEQUENCE, b"SQ", item(CLASS[:5])),
        explicit(SEQUENCE, b"SQ", b"\xfe\xff\x00"),
        explicit(SEQUENCE, b"SQ", CLASS),
        OPEN_SEQUENCE,
        OPEN_SEQUENCE + ITEM_END,
        OPEN_SEQUENCE + b"\x08\x00",
        struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, UNDEFINED) + item(b"", 8),
        struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, UNDEFINED) + item(b"", UNDEFINED),
        struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, UNDEFINED) + b"abcdefgh",
        struct.pack("<HH2sHI", 0x0008, 0x0119, b"UC", 0, UNDEFINED) + b"abcdefgh",
        item(b""),
        b"\x08\x00\x05",
        b"\x08\x00\x05\x00UT\0\0\x01",
    ],
)
def test_structure_that_is_broken(damaged: bytes) -> None:
    with pytest.raises(CannotUnderstand) as refusal:
        scan(UIDS + damaged)
    assert 0xC000 <= refusal.value.dimse_status <= 0xCFFF or refusal.value.dimse_status == 0xA900
    assert len(refusal.value.detail) <= 64


@pytest.mark.parametrize("uid", [syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_BIG])
@pytest.mark.parametrize("data", [b"", b"garbage", b"GIF89a" * 200, bytes(1000), b"\xff" * 1000])
def test_garbage(data: bytes, uid: str) -> None:
    with pytest.raises(CannotUnderstand):
        scan(data, uid)


@pytest.mark.parametrize("depth", [65, 3000, 100_000])
def test_nested_too_deep(depth: int) -> None:
    with pytest.raises(TooLarge, match="nested deeper than 64"):
        scan(UIDS + OPEN_SEQUENCE * depth)
    nested = b""
    for _ in range(min(depth, 3000)):
        nested = explicit(SEQUENCE, b"SQ", item(nested))
    with pytest.raises(TooLarge, match="nested deeper than 64"):
        scan(UIDS + nested)


def test_nested_as_deep_as_allowed_can_be_kept() -> None:
    scanned = scan(UIDS + OPEN_SEQUENCE * 64 + (ITEM_END + SEQUENCE_END) * 64)
    assert to_json(scanned.dataset)
    with pytest.raises(TooLarge, match="nested deeper than 80"):
        scan(UIDS + OPEN_SEQUENCE * 500, sequence_depth=10_000)
    assert to_json(scan(UIDS + OPEN_SEQUENCE * 80 + (ITEM_END + SEQUENCE_END) * 80, sequence_depth=10_000).dataset)


def test_nested_in_unknown_elements() -> None:
    unknown = struct.pack("<HH2sHI", 9, 0x1001, b"UN", 0, UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    with pytest.raises(TooLarge):
        scan(UIDS + unknown * 3000)


def many_elements(count: int) -> bytes:
    return b"".join(explicit(0x00110000 | number, b"LO", b"") for number in range(1, count + 1))


@pytest.mark.parametrize(
    ("content", "limits"),
    [
        (many_elements(30_000), {"elements": 10_000}),
        (explicit(SEQUENCE, b"SQ", item(b"") * 20_000), {"elements": 10_000}),
        (explicit(0x00081140, b"SQ", item(many_elements(20_000))), {"elements": 10_000}),
        (explicit(0x0040A160, b"UT", b"x" * 100_000), {"element_bytes": 99_999}),
        (explicit(0x0040A160, b"UT", b"x" * 100_000) * 3, {"header_bytes": 200_000}),
        (explicit(0x00080119, b"UC", b"\\" * 100_000), {"elements": 1000}),
        (explicit(0x00181205, b"IS", b"1\\" * 30_000) * 3, {"elements": 1000}),
        (b"".join(explicit(0x00100020, b"LO", b"1234") for _ in range(30_000)), {"header_bytes": 100_000}),
        (explicit(0x00081140, b"SQ", item(explicit(0x00000010, b"LO", b"") * 20_000)), {"elements": 10_000}),
    ],
)
def test_limits(content: bytes, limits: dict[str, int]) -> None:
    assert scan(UIDS + content, **dict.fromkeys(limits, 10**9))
    with pytest.raises(TooLarge) as refusal:
        scan(UIDS + content, **limits)
    assert refusal.value.http_status == 413


def test_long_binary_values_cost_nothing() -> None:
    data = UIDS + explicit(0x00420011, b"OB", bytes(50_000_000))
    tracemalloc.start()
    try:
        scanned = scan(data, header_bytes=1000, element_bytes=1000)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert scanned.layout.bulk["00420011"] == (len(UIDS) + 12, 50_000_000)


def test_deflate_bomb_is_refused_early() -> None:
    bomb = zlib.compress(UIDS + explicit(0x00420011, b"OB", bytes(100_000_000)), wbits=-15)
    assert len(bomb) < 150_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="inflates to more than"):
            scan(bomb, syntaxes.DEFLATED_LITTLE)
        assert tracemalloc.get_traced_memory()[1] < 50 * 1024**2
    finally:
        tracemalloc.stop()


def test_deflated_limits() -> None:
    data = UIDS + explicit(0x00420011, b"OB", bytes(range(256)) * 150_000)
    deflated = zlib.compress(data, wbits=-15)
    assert scan(deflated, syntaxes.DEFLATED_LITTLE, inflate_ratio=10_000).layout.bulk["00420011"][1] == 38_400_000
    with pytest.raises(TooLarge):
        scan(deflated, syntaxes.DEFLATED_LITTLE, inflated_bytes=10_000_000)
    with pytest.raises(TooLarge):
        scan(deflated, syntaxes.DEFLATED_LITTLE, inflate_ratio=20)
    assert scan(zlib.compress(UIDS, wbits=-15) + b"\0", syntaxes.DEFLATED_LITTLE).layout.deflated


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, zlib.compress(UIDS, wbits=-15)[:-3]])
def test_deflated_and_damaged(data: bytes) -> None:
    with pytest.raises(CannotUnderstand, match="deflated data set"):
        scan(data, syntaxes.DEFLATED_LITTLE)


@pytest.mark.parametrize("padding", [b"\0", bytes(7), bytes(8), bytes(9), bytes(200_000)])
@pytest.mark.parametrize("uid", [syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE])
def test_trailing_zeros_are_tolerated(padding: bytes, uid: str) -> None:
    data = UIDS if uid == syntaxes.EXPLICIT_LITTLE else implicit_uids()
    scanned = scan(data + padding, uid)
    assert list(scanned.dataset) == ["00080016", "00080018", "0020000D", "0020000E"]
    assert [warning.detail for warning in scanned.warnings] == ["There are zero bytes behind the data set"]
    assert all(warning.code is Code.REMARK for warning in scanned.warnings)
    with pytest.raises(CannotUnderstand):
        scan(data + padding + b"\x01", uid)


def implicit_uids() -> bytes:
    return b"".join(
        struct.pack("<HHI", group, element, 6) + value
        for group, element, value in [
            (0x08, 0x16, b"1.2.5\0"),
            (0x08, 0x18, b"1.2.6\0"),
            (0x20, 0x0D, b"1.2.3\0"),
            (0x20, 0x0E, b"1.2.4\0"),
        ]
    )


def test_trailing_padding_element() -> None:
    scanned = scan(UIDS + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 4) + bytes(4))
    assert scanned.dataset["FFFCFFFC"] == {"vr": "OB", "InlineBinary": "AAAAAA=="}
    assert scanned.warnings == ()


def test_vr_encoding_other_than_the_transfer_syntax_says() -> None:
    assert scan(UIDS, syntaxes.IMPLICIT_LITTLE).warnings
    scanned = scan(implicit_uids())
    assert scanned.key.study_instance_uid == "1.2.3"
    assert scanned.warnings


def test_unknown_transfer_syntax_is_read_as_what_it_looks_like() -> None:
    assert scan(UIDS, "1.2.840.113619.5.2").key == scan(implicit_uids(), "1.2.840.113619.5.2").key


def test_delimiters_too_many_or_too_few() -> None:
    sequence = explicit(SEQUENCE, b"SQ", item(CLASS))
    assert scan(UIDS + sequence + SEQUENCE_END).warnings
    scanned = scan(UIDS + OPEN_SEQUENCE + CLASS + SEQUENCE_END)
    assert scanned.dataset["00081140"] == scan(UIDS + sequence).dataset["00081140"]
    assert scanned.warnings


def test_order_and_repetition() -> None:
    scanned = scan(explicit(0x00100020, b"LO", b"FIRST ") + UIDS + explicit(0x00100020, b"LO", b"LAST"))
    assert list(scanned.dataset) == sorted(scanned.dataset)
    assert scanned.dataset["00100020"]["Value"] == ["LAST"]


def test_meta_and_command_elements_are_left_out() -> None:
    stray = (
        explicit(0x00000110, b"US", b"\1\0")
        + explicit(0x00020010, b"UI", b"1.2\0")
        + explicit(0x00080000, b"UL", bytes(4))
    )
    assert set(scan(stray + UIDS).dataset) == set(scan(UIDS).dataset)


MUTATED = [
    "sr/reportsi.dcm",
    "seg/seg_image_ct_binary.dcm",
    "charset/chrH32.dcm",
    "wsi/sm_image_jpegls.dcm",
    "pr/prLUTs.dcm",
]


def mutations(length: int) -> st.SearchStrategy[list[tuple[int, int, bytes]]]:
    step = st.tuples(st.integers(0, length), st.integers(0, 12), st.binary(max_size=12))
    return st.lists(step, min_size=1, max_size=6)


@pytest.mark.parametrize("name", MUTATED)
@settings(max_examples=150, deadline=None)
@given(draw=st.data())
def test_mutated_files_never_crash(name: str, draw: st.DataObject) -> None:
    data = bytearray(sample(name).read_bytes())
    for position, removed, inserted in draw.draw(mutations(min(len(data), 4000))):
        data[position : position + removed] = inserted
    survives(lambda: read_file(bytes(data)))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([*list(syntaxes.KNOWN)[:6], syntaxes.JPEG_BASELINE, "1.2.3.4"]),
    st.booleans(),
)
def test_random_bytes_never_crash(data: bytes, uid: str, start_well: bool) -> None:
    survives(lambda: scan(UIDS + data if start_well else data, uid))


def read_file(data: bytes) -> part10.Scanned:
    reader = part10.MetaReader()
    meta = reader.feed(data) or reader.finish()
    return part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=Limits(),
        bulk_threshold_bytes=64,
    )


def survives(read: Callable[[], part10.Scanned]) -> None:
    """What is accepted can be stored; what is not is refused by a PacsError."""
    try:
        scanned = read()
    except PacsError as refusal:
        assert refusal.detail
        assert len(refusal.reason().comment()) <= 64
        return
    assert to_json(scanned.dataset)
    assert pack(scanned.layout)
