"""Specific Character Set both ways: examples of the standard, pydicom as the oracle, and what devices do wrong."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PN_DELIMS

from dimse.texts import encoder
from storage.charsets import DEFINED_TERMS, LINE_DELIMITERS, NAME_DELIMITERS, charset_of

EXAMPLES = {
    "H.3.1": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    "H.3.2": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    ),
    "I.2": (
        ["", "ISO 2022 IR 149"],
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    "J.1": (["ISO_IR 192"], "Wang^XiaoDong=王^小东=", b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe4\xb8\x9c="),
    "J.3": (["GB18030"], "Wang^XiaoDong=王^小东=", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab="),
    "K.2": (
        ["", "ISO 2022 IR 58"],
        "Zhang^XiaoDong=张^小东=",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
    ),
}

WORDS = {
    "100": "Äneas^Rüdiger",
    "101": "Wałęsa^Čeněk",
    "109": "Ĉapelo^Ġużeppi",
    "110": "Ķēniņš^Ģirts",
    "144": "Люкceмбypг^Иван",
    "127": "قباني^لنزار",
    "126": "Διονυσιος^Σωκράτης",
    "138": "שרון^דבורה",
    "148": "Çavuşoğlu^İnci",
    "203": "Cœur^€uro",
    "13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "166": "นามสกุล^ชื่อ",
    "87": "山田^太郎",
    "159": "丂丄^丅",
    "149": "홍^길동",
    "58": "张^小东",
    "192": "Ünïcødé^王^홍",
    "GB18030": "镕基^朱㐂",
    "GBK": "镕基^朱",
}

PYDICOM_LACKS = ("58", "203")


def spelled(name: str) -> list[list[str]]:
    """The ways to name a set: alone, as code extension of nothing, and behind another set."""
    ways = [[term] for term in DEFINED_TERMS if term == name or term.split()[-1] == name]
    if f"ISO 2022 IR {name}" in DEFINED_TERMS:
        ways += [["", f"ISO 2022 IR {name}"], ["ISO 2022 IR 126", f"ISO 2022 IR {name}"]]
    return ways


WAYS = [(name, way) for name in WORDS for way in spelled(name)]


def by_pydicom(data: bytes, terms: list[str]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It remarks on a set with escapes that stands alone.
        encodings = convert_encodings(terms)
    parts = [decode_bytes(part, encodings, PN_DELIMS) for part in data.split(b"=")]
    return "=".join(parts)


def test_every_set_has_a_word():
    named = {term.split()[-1] for term in DEFINED_TERMS} - {"6"}
    assert named == set(WORDS)
    assert len(DEFINED_TERMS) == 33


@pytest.mark.parametrize(("terms", "text", "encoded"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_standard(terms, text, encoded):
    assert charset_of(terms).decode(encoded, NAME_DELIMITERS) == text
    assert encoder(terms)(text) == encoded


@pytest.mark.parametrize(("name", "terms"), WAYS, ids=lambda value: "+".join(value) if isinstance(value, list) else "")
def test_every_set_there_and_back(name, terms):
    text = f"Latin^Name={WORDS[name]}={WORDS[name]}"
    encoded = encoder(terms)(text)
    assert charset_of(terms).decode(encoded, NAME_DELIMITERS) == text
    if name not in PYDICOM_LACKS:
        assert by_pydicom(encoded, terms) == text


@given(st.data())
def test_any_text_there_and_back(data):
    name, terms = data.draw(st.sampled_from(WAYS))
    alphabet = sorted(set(WORDS[name] + "abcZ09 ~^=\n"))
    text = data.draw(st.text(alphabet, max_size=30))
    assert charset_of(terms).decode(encoder(terms)(text), NAME_DELIMITERS) == text


@given(st.data())
def test_several_sets_in_one_value(data):
    names = data.draw(st.lists(st.sampled_from(["100", "126", "144", "166", "87", "159", "149", "58"]), min_size=1))
    terms = ["", *(f"ISO 2022 IR {name}" for name in dict.fromkeys(names))]
    alphabet = sorted(set("".join(WORDS[name] for name in names) + "ab=^ \n"))
    text = data.draw(st.text(alphabet, max_size=30))
    assert charset_of(terms).decode(encoder(terms)(text), NAME_DELIMITERS) == text


@given(st.sampled_from(sorted(DEFINED_TERMS)), st.text(max_size=10))
def test_what_a_set_lacks_is_refused_or_read_back(term, text):
    try:
        encoded = encoder([term])(text)
    except UnicodeEncodeError:
        return
    assert charset_of([term]).decode(encoded, NAME_DELIMITERS) == text


@pytest.mark.parametrize("text", ["¥", "ＡＢ", "똠", "\u203e"])
@pytest.mark.parametrize("term", ["ISO_IR 13", "ISO_IR 100", "ISO 2022 IR 149"])
def test_no_character_becomes_a_delimiter(term, text):
    """Python's codecs write a yen sign as the byte of a backslash, and rare Hangul in eight bytes."""
    try:
        encoded = encoder([term])(text)
    except UnicodeEncodeError:
        return
    assert b"\\" not in encoded
    assert len(encoded) <= 2 * len(text)


def test_delimiters_in_second_bytes_are_halves_of_characters():
    # 5CH and 5EH stand behind lead bytes of GBK and GB 18030, and of the Shift JIS that devices call IR 13.
    for term, codec in (("GB18030", "gb18030"), ("GBK", "gbk"), ("ISO_IR 13", "cp932")):
        data = b"\x95\x5c^\x95\x5e\\"
        text = charset_of([term]).decode(data, NAME_DELIMITERS)
        assert text == data.decode(codec)
        assert [text.count(one) for one in "^\\"] == [1, 1]
    # In JIS X 0208 the bytes of a backslash, a caret and an equals sign are halves of ordinary kanji.
    pairs = b"=\\5=M^"
    expected = bytes(byte | 0x80 for byte in pairs).decode("euc_jp") + "\\x"
    assert charset_of(["", "ISO 2022 IR 87"]).decode(b"\x1b$B" + pairs + b"\x1b(B\\x", NAME_DELIMITERS) == expected


def test_a_designation_ends_at_its_delimiter():
    charset = charset_of(["ISO 2022 IR 100", "ISO 2022 IR 126"])
    assert charset.decode(b"\x1b-F\xc4^\xe9", NAME_DELIMITERS) == "Δ^é"
    assert charset.decode(b"\x1b-F\xc4^\xe9") == "Δ^ι"
    assert charset.decode(b"\x1b-F\xc4\\\xe9") == "Δ\\é"
    assert charset.decode(b"\x1b-F\xc4\\\xe9", LINE_DELIMITERS) == "Δ\\ι"
    assert charset.decode(b"\x1b-F\xc4\r\n\xe9", LINE_DELIMITERS) == "Δ\r\né"


def test_upper_half_stays_while_the_lower_one_changes():
    kana_then_kanji_then_kana = b"\x1b)I\xd4\xcf\x1b$B;3\x1b(B \xc0"
    assert charset_of(["", "ISO 2022 IR 13", "ISO 2022 IR 87"]).decode(kana_then_kanji_then_kana) == "ﾔﾏ山 ﾀ"


@pytest.mark.parametrize(
    ("terms", "data", "text"),
    [
        (["", "ISO 2022 IR 149"], b"\xc8\xab^\xb1\xe6\xb5\xbf", "홍^길동"),
        (["ISO_IR 149"], b"\xc8\xab", "홍"),
        (["ISO 2022 IR 149"], "똠".encode("cp949"), "똠"),
        (["", "ISO 2022 IR 58"], b"\x1b$)A" + "镕".encode("gbk"), "镕"),
        (["", "ISO 2022 IR 87"], b"\x1b$B|b;3\x1b(B", "髙山"),
        (["", "ISO 2022 IR 87"], b"\x1b$@;3\x1b(J", "山"),
        (["ISO_IR 13"], "髙①".encode("cp932"), "髙①"),
        (["ISO_IR 192"], b"\xe5\xb1", "�"),
        (["ISO_IR 192"], b"a\x1b-F\xc3\xa9", "a\x1b-Fé"),
        (["", "ISO 2022 IR 87"], b"\x1b$B;3E", "山�"),
        (["ISO_IR 126"], b"\xd2\xc4", "�Δ"),
        ([None, "ISO 2022 IR 126"], b"\xc4", "Δ"),
        ([], b"\xfc", "ü"),
    ],
)
def test_what_devices_do(terms, data, text):
    assert charset_of(terms).decode(data, NAME_DELIMITERS) == text


ESCAPES = [b"\x1b", b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"\x1b-F", b"\x1b$(D", b"\x1b)I", b"\x1b%G", b"^", b"=", b"\\"]


@given(
    st.sampled_from(["", *sorted(DEFINED_TERMS), "nonsense"]),
    st.lists(st.sampled_from(ESCAPES) | st.binary(max_size=4), max_size=12),
)
def test_any_bytes_become_text_that_can_be_sent(term, parts):
    text = charset_of([term, "ISO 2022 IR 87"]).decode(b"".join(parts), NAME_DELIMITERS)
    assert text.encode("utf-8").decode() == text
