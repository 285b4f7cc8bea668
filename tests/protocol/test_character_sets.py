"""Names in every character set: sent by storescu, found by findscu in the same and in other sets, read by QIDO-RS."""

import struct
from pathlib import Path

import pytest
import requests
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.associations import dcmtk
from tests.conftest import Server

SPECIFIC_CHARACTER_SET, PATIENT_NAME, PATIENT_ID = 0x00080005, 0x00100010, 0x00100020
SECONDARY_CAPTURE = b"1.2.840.10008.5.1.4.1.1.7"

NAMES = {
    "ISO_IR 100": ("Äneas^Rüdiger", "latin-1"),
    "ISO_IR 101": ("Wałęsa^Čeněk", "iso8859_2"),
    "ISO_IR 109": ("Ĉapelo^Ġużeppi", "iso8859_3"),
    "ISO_IR 110": ("Ķēniņš^Ģirts", "iso8859_4"),
    "ISO_IR 144": ("Люкceмбypг^Иван", "iso8859_5"),
    "ISO_IR 127": ("قباني^لنزار", "iso8859_6"),
    "ISO_IR 126": ("Διονυσιος^Σωκράτης", "iso8859_7"),
    "ISO_IR 138": ("שרון^דבורה", "iso8859_8"),
    "ISO_IR 148": ("Çavuşoğlu^İnci", "iso8859_9"),
    "ISO_IR 203": ("Cœur^Žofie", "iso8859_15"),
    "ISO_IR 13": ("ﾔﾏﾀﾞ^ﾀﾛｳ", "shift_jis"),
    "ISO_IR 166": ("นามสกุล^ชื่อ", "tis_620"),
    "ISO_IR 192": ("Łukasz^王^홍", "utf-8"),
    "GB18030": ("镕基^朱㐂", "gb18030"),
    "GBK": ("誠實^王", "gbk"),
}
"""Sets without escape sequences: a name, and Python's codec of it as the oracle."""

EXTENDED = {
    ("", "ISO 2022 IR 87"): b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ("ISO 2022 IR 13", "ISO 2022 IR 87"): b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=",
    ("", "ISO 2022 IR 159"): b'Maru=\x1b$(D0!0"\x1b(B^\x1b$(D0#\x1b(B=',
    (
        "",
        "ISO 2022 IR 149",
    ): b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ("", "ISO 2022 IR 58"): b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
    ("ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 126"): b"Dion\xe9 \x1b-L\xbb\xee^\x1b-F\xc4\xe9\xef",
}
"""Names with escape sequences, byte for byte; those of PS3.5 annexes H, I and K among them."""
EXTENDED_TEXTS = (
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    "Maru=丂丄^丅",
    "Hong^Gildong=洪^吉洞=홍^길동",
    "Zhang^XiaoDong=张^小东",
    "Dioné Лю^Διο",
)

CASES = [((term,), name.encode(codec), name) for term, (name, codec) in NAMES.items()] + [
    (terms, data, text) for (terms, data), text in zip(EXTENDED.items(), EXTENDED_TEXTS, strict=True)
]
IDS = ["+".join(terms) for terms, _, _ in CASES]
UTF_8 = ("ISO_IR 192",)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One short element in Explicit VR Little Endian."""
    value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def written(path: Path, *elements: tuple[int, str, bytes]) -> Path:
    """A file, written byte for byte: pydicom knows not every set."""
    uids = {tag: value for tag, vr, value in elements if vr == "UI"}
    meta = element(0x00020002, "UI", uids.get(0x00080016, SECONDARY_CAPTURE))
    meta += element(0x00020003, "UI", uids.get(0x00080018, b"1.2.3"))
    meta += element(0x00020010, "UI", ExplicitVRLittleEndian.encode())
    head = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    path.write_bytes(head + b"".join(element(*one) for one in sorted(elements)))
    return path


@pytest.fixture(scope="module")
def stored(server: Server, tmp_path_factory) -> dict[str, str]:
    """One study for each case, sent by storescu; Patient ID -> Study Instance UID."""
    folder = tmp_path_factory.mktemp("names")
    studies = {}
    for number, (terms, name, _) in enumerate(CASES):
        study = studies[f"NAMES-{number}"] = generate_uid()
        written(
            folder / f"{number}.dcm",
            (SPECIFIC_CHARACTER_SET, "CS", "\\".join(terms).encode()),
            (0x00080016, "UI", SECONDARY_CAPTURE),
            (0x00080018, "UI", generate_uid().encode()),
            (0x00080060, "CS", b"OT"),
            (PATIENT_NAME, "PN", name),
            (PATIENT_ID, "LO", f"NAMES-{number}".encode()),
            (0x0020000D, "UI", study.encode()),
            (0x0020000E, "UI", generate_uid().encode()),
        )
    dcmtk("storescu", "-aec", server.ae_title, "127.0.0.1", server.dimse_port, "+sd", folder)
    return studies


def findscu(server: Server, folder: Path, terms: tuple[str, ...], name: bytes) -> list[dict[int, bytes]]:
    """The answers to a name in these sets, which findscu writes to files: tag -> value without padding."""
    folder.mkdir()
    file = written(
        folder / "query.dcm",
        (SPECIFIC_CHARACTER_SET, "CS", "\\".join(terms).encode()),
        (0x00080052, "CS", b"STUDY"),
        (PATIENT_NAME, "PN", name),
        (PATIENT_ID, "LO", b""),
        (0x0020000D, "UI", b""),
    )
    dcmtk("findscu", "-S", "-X", "-od", folder, "-aec", server.ae_title, "127.0.0.1", server.dimse_port, file)
    return [elements(path.read_bytes()) for path in sorted(folder.glob("rsp*.dcm"))]


def elements(data: bytes) -> dict[int, bytes]:
    """The values of a file of short elements in Explicit VR Little Endian, behind its meta group."""
    offset, found = 132, {}
    while offset < len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, offset)
        offset += 8
        if vr == b"OB":
            length = struct.unpack_from("<I", data, offset)[0]
            offset += 4
        found[group << 16 | number] = data[offset : offset + length].rstrip(b" \0")
        offset += length
    return found


@pytest.mark.parametrize(("terms", "name", "text"), CASES, ids=IDS)
def test_a_name_is_found_in_its_own_set(server, stored, tmp_path, terms, name, text):
    [patient] = [f"NAMES-{number}" for number, case in enumerate(CASES) if case[0] == terms]
    answers = findscu(server, tmp_path / "a", terms, name)
    [answer] = [one for one in answers if one[PATIENT_ID].decode() == patient]
    assert answer[SPECIFIC_CHARACTER_SET].decode() == "\\".join(terms)
    assert answer[PATIENT_NAME] == name.rstrip(b"=")
    assert answer[0x0020000D].decode() == stored[patient]


@pytest.mark.parametrize(("terms", "name", "text"), CASES, ids=IDS)
def test_a_name_is_found_in_utf_8_and_read_as_json(server, stored, tmp_path, terms, name, text):
    [patient] = [f"NAMES-{number}" for number, case in enumerate(CASES) if case[0] == terms]
    answers = findscu(server, tmp_path / "a", UTF_8, text.encode())
    assert [one[PATIENT_NAME].decode() for one in answers if one[PATIENT_ID].decode() == patient] == [text]
    for asked in {text, text.partition("=")[2].partition("=")[0] or text}:
        found = requests.get(f"{server.dicomweb_url}/studies", params={"PatientName": asked}, timeout=60).json()
        groups = [one["00100010"]["Value"][0] for one in found if one["00100020"]["Value"] == [patient]]
        assert ["=".join(one.values()) for one in groups] == [text]


def test_a_name_is_found_in_the_set_of_another_country(server, stored, tmp_path):
    """山田^太郎, stored with JIS X 0208, asked for in GB 18030: the answer keeps to GB 18030, which holds all of it."""
    patient = f"NAMES-{IDS.index('+ISO 2022 IR 87')}"
    answers = findscu(server, tmp_path / "a", ("GB18030",), "山田^太郎".encode("gb18030"))
    [answer] = [one for one in answers if one[PATIENT_ID].decode() == patient]
    assert answer[PATIENT_NAME].decode("gb18030") == EXTENDED_TEXTS[0]


def test_an_answer_that_the_set_cannot_hold_is_utf_8(server, stored, tmp_path):
    patient = f"NAMES-{IDS.index('ISO_IR 144')}"
    answers = findscu(server, tmp_path / "a", ("ISO_IR 100",), b"*")
    [answer] = [one for one in answers if one[PATIENT_ID].decode() == patient]
    assert answer[SPECIFIC_CHARACTER_SET] == b"ISO_IR 192"
    assert answer[PATIENT_NAME].decode() == NAMES["ISO_IR 144"][0]


def test_bytes_that_are_no_text_are_kept_and_shown_as_such(server, tmp_path):
    study, broken = generate_uid(), b"M\xfcller^Hans"
    written(
        tmp_path / "broken.dcm",
        (SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 192"),
        (0x00080016, "UI", SECONDARY_CAPTURE),
        (0x00080018, "UI", generate_uid().encode()),
        (PATIENT_NAME, "PN", broken),
        (PATIENT_ID, "LO", b"NAMES-BROKEN"),
        (0x0020000D, "UI", study.encode()),
        (0x0020000E, "UI", generate_uid().encode()),
    )
    dcmtk("storescu", "-aec", server.ae_title, "127.0.0.1", server.dimse_port, tmp_path / "broken.dcm")
    [found] = requests.get(f"{server.dicomweb_url}/studies", params={"StudyInstanceUID": study}, timeout=60).json()
    assert found["00100010"]["Value"] == [{"Alphabetic": "M\ufffdller^Hans"}]
    got = requests.get(f"{server.dicomweb_url}/studies/{study}", timeout=60).content
    assert broken in got
    assert "Text cannot be decoded" in server.log()
