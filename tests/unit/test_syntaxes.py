"""The table of transfer syntaxes against pydicom's copy of PS3.6."""

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID

from storage.syntaxes import KNOWN, lookup

ADDED_BY_OTHERS = {"1.2.840.10008.1.2.8.1"}
"""Newer than pydicom's dictionary; other libraries of a whole run add it there when they are imported."""

NOT_DATA_SETS = {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"}


def test_every_transfer_syntax_of_the_standard_is_known() -> None:
    standard = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert standard - KNOWN.keys() == NOT_DATA_SETS


WITHOUT_PIXELS = {f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205)} | {
    f"1.2.840.10008.1.2.7.{number}" for number in (1, 2, 3)
}
"""pydicom takes JPIP and real-time syntaxes for encapsulated ones; objects in them hold no pixels."""
PAPYRUS = "1.2.840.10008.1.20"


def test_flags_are_those_of_pydicom() -> None:
    for uid in (KNOWN.keys() & UID_dictionary.keys()) - {PAPYRUS} - ADDED_BY_OTHERS:
        syntax, known = KNOWN[uid], UID(uid)
        assert syntax.little_endian == known.is_little_endian
        assert syntax.explicit_vr != known.is_implicit_VR
        assert syntax.encapsulated == (known.is_encapsulated and uid not in WITHOUT_PIXELS)
        assert syntax.deflated == ("Deflate" in known.name)


def test_lossless_is_in_the_names() -> None:
    for uid in (KNOWN.keys() & UID_dictionary.keys()) - ADDED_BY_OTHERS:
        name = UID(uid).name
        if KNOWN[uid].encapsulated:
            stated = "Lossless" in name.replace("Near-Lossless", "") or "Uncompressed" in name
            assert KNOWN[uid].lossless == stated


def test_unknown_syntax() -> None:
    assert lookup("1.2.840.113619.5.2") is None
