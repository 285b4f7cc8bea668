"""Values that are not as the standard wants them, and the character sets beyond those of the sample files."""

import math
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Limits
from storage import part10, syntaxes
from storage.charsets import charset_of
from storage.metadata import compress, decompress, to_json
from tests.unit.test_part10_damage import UIDS, explicit


def element(tag: int, vr: bytes, value: bytes, *, before: bytes = b"") -> dict[str, Any]:
    """Our JSON of one element in an explicit VR data set."""
    scanned = part10.scan(
        before + UIDS + explicit(tag, vr, value),
        dataset_offset=0,
        transfer_syntax_uid=syntaxes.EXPLICIT_LITTLE,
        limits=Limits(),
        bulk_threshold_bytes=1024,
    )
    assert orjson.loads(decompress(compress(to_json(scanned.dataset)))) == scanned.dataset
    found: dict[str, Any] = scanned.dataset[f"{tag:08X}"]
    return found


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        (b"DS", b"1.5\\\\-2 ", [1.5, None, -2.0]),
        (b"DS", b" 1e3 \\+.5", [1000.0, 0.5]),
        (b"DS", b"1,5\\x\\2 ", ["1,5", "x", 2.0]),
        (b"DS", b"NaN\\inf\\1e999 ", ["NaN", "inf", "1e999"]),
        (b"DS", b"nan ", ["nan"]),
        (b"DS", b"1e308\\1e308", [1e308, 1e308]),
        (b"IS", b"1\\\\3 ", [1, None, 3]),
        (b"IS", b"3.0 ", [3]),
        (b"IS", b"3.7 ", [3.7]),
        (b"IS", b"+7\\-08", [7, -8]),
        (b"IS", b"99999999999999999999\\1 ", ["99999999999999999999", 1]),
        (b"IS", b"twelve", ["twelve"]),
        (b"IS", b"1" * 5000, ["1" * 5000]),
        (b"CS", b"A\\\\B ", ["A", "", "B"]),
        (b"AE", b" PACS \\ X", ["PACS", "X"]),
        (b"UI", b"1.2 \\1.3\0", ["1.2", "1.3"]),
        (
            b"PN",
            b"A^B\\\\C=D=E ",
            [{"Alphabetic": "A^B"}, None, {"Alphabetic": "C", "Ideographic": "D", "Phonetic": "E"}],
        ),
        (b"PN", b"=X", [{"Alphabetic": "", "Ideographic": "X"}]),
        (b"AT", b"\x10\x00\x20\x00\x01", ["00100020"]),
        (b"FL", struct.pack("<3f", math.nan, math.inf, -math.inf), ["NaN", "Infinity", "-Infinity"]),
        (b"FD", struct.pack("<2d", 1.5, math.nan), [1.5, "NaN"]),
        (b"FD", struct.pack("<2d", 1.7e308, 1.7e308), [1.7e308, 1.7e308]),
    ],
)
def test_values(vr: bytes, value: bytes, expected: list[Any]) -> None:
    assert element(0x00091001, vr, value) == {"vr": vr.decode(), "Value": expected}


@pytest.mark.parametrize(
    "vr", [b"DS", b"IS", b"LO", b"PN", b"UI", b"CS", b"DA", b"LT", b"US", b"FL", b"AT", b"UT", b"OB"]
)
def test_empty_values(vr: bytes) -> None:
    assert element(0x00091001, vr, b"") == {"vr": vr.decode()}
    if vr not in (b"US", b"FL", b"AT", b"OB"):
        assert element(0x00091001, vr, b" \0") == {"vr": vr.decode()}


def test_names_of_nothing() -> None:
    assert element(0x00100010, b"PN", b"== ") == {"vr": "PN"}


@pytest.mark.parametrize("vr", [b"US", b"SL", b"FD"])
def test_length_that_does_not_fit(vr: bytes) -> None:
    assert element(0x00091001, vr, b"abc") == {"vr": "UN", "InlineBinary": "YWJj"}


def test_unknown_vr() -> None:
    assert element(0x00091001, b"ZZ", b"abcd") == {"vr": "UN", "InlineBinary": "YWJjZA=="}


def test_known_element_stated_as_unknown() -> None:
    assert element(0x00100020, b"UN", b"ID42") == {"vr": "LO", "Value": ["ID42"]}


def test_private_element_of_a_known_creator() -> None:
    creator = explicit(0x00190010, b"LO", b"SIEMENS MR HEADER ")
    assert element(0x0019100C, b"UN", b"1000", before=creator) == {"vr": "IS", "Value": [1000]}
    assert element(0x0019100C, b"UN", b"1000") == {"vr": "UN", "InlineBinary": "MTAwMA=="}


def test_lut_descriptor_counts_unsigned() -> None:
    found = element(0x00283002, b"SS", struct.pack("<3h", -32768, -5, 16))
    assert found == {"vr": "SS", "Value": [32768, -5, 16]}


@pytest.mark.parametrize(
    ("term", "encoded", "text"),
    [
        ("", b"abc", "abc"),
        ("ISO_IR 100", "Büc^Jérôme".encode("latin-1"), "Büc^Jérôme"),
        ("ISO_IR 101", "Wałęsa".encode("iso8859_2"), "Wałęsa"),
        ("ISO_IR 144", "Люксембург".encode("iso8859_5"), "Люксембург"),
        ("ISO_IR 166", "ไทย".encode("tis_620"), "ไทย"),
        ("ISO_IR 192", "王^小东".encode(), "王^小东"),
        ("ISO_IR 203", "€uro Šž".encode("iso8859_15"), "€uro Šž"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        ("GBK", "王^小东".encode("gbk"), "王^小东"),
        ("ISO-IR 100", b"\xfc", "ü"),
        ("ISO IR 192", "ü".encode(), "ü"),
        ("utf-8", "ü".encode(), "ü"),
        ("nonsense", b"\xfc", "ü"),
        ("ISO_IR 99999999999999999999", b"\xfc", "ü"),
        ("ISO_IR 192", b"a\xff\xfeb", "a��b"),
    ],
)
def test_character_sets(term: str, encoded: bytes, text: str) -> None:
    assert charset_of([term]).decode(encoded) == text


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        # PS3.5 K.3: Chinese in GB 2312 by escape, which is designated anew in every component.
        (b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="),
        # PS3.5 I.2: Korean.
        (b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
        # PS3.5 H.3.1: Japanese.
        (b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        (b"\x1b-F\xc4\xe9\\\x1b-L\xbb\xee", "Δι\\Лю"),
        (b"\x1b%Gx", "\x1b%Gx"),
    ],
)
def test_escapes(encoded: bytes, text: str) -> None:
    assert charset_of(["", "ISO 2022 IR 58"]).decode(encoded) == text


@given(
    st.binary(max_size=60), st.sampled_from(["", "ISO_IR 192", "ISO_IR 13", "GB18030", "ISO 2022 IR 87", "ISO_IR 109"])
)
def test_any_bytes_become_text(data: bytes, term: str) -> None:
    charset_of([term]).decode(data).encode("utf-8")


def test_character_set_of_an_item() -> None:
    item = explicit(0x00080005, b"CS", b"ISO_IR 144") + explicit(0x00081150, b"LO", b"\xbb\xee")
    content = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    plain = explicit(0x00081150, b"LO", b"\xfc ")
    content += struct.pack("<HHI", 0xFFFE, 0xE000, len(plain)) + plain
    before = explicit(0x00080005, b"CS", b"ISO_IR 100")
    items = element(0x00081140, b"SQ", content, before=before)["Value"]
    assert items[0]["00081150"]["Value"] == ["Лю"]
    assert items[1]["00081150"]["Value"] == ["ü"]


@pytest.mark.parametrize("term", [b"GB18030", b"GBK", b"ISO_IR 13"])
def test_a_backslash_in_a_second_byte_separates_no_values(term: bytes) -> None:
    codec = {b"GB18030": "gb18030", b"GBK": "gbk", b"ISO_IR 13": "cp932"}[term]
    before = explicit(0x00080005, b"CS", term + b" " * (len(term) % 2))
    found = element(0x00081030, b"LO", b"\x95\x5c\x95\x5c\\abcd ", before=before)
    assert found["Value"] == [b"\x95\x5c\x95\x5c".decode(codec), "abcd"]
    name = element(0x00100010, b"PN", b"\x95\x5c^\x95\x5e\\A^B ", before=before)
    family, given = b"\x95\x5c".decode(codec), b"\x95\x5e".decode(codec)
    assert name["Value"] == [{"Alphabetic": f"{family}^{given}"}, {"Alphabetic": "A^B"}]
