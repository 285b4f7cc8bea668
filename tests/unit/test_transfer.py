"""Plans: as stored when the peer takes it, else the cheapest thing that satisfies it, else a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import NotAcceptable
from index.records import Wanted
from storage import syntaxes, transfer
from storage.transfer import NEVER_ON_THE_WEB, Plan, media_type, plan, plan_frames, syntaxes_of

IMPLICIT, EXPLICIT, DEFLATED, BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)
BASELINE, LOSSLESS, JPEG_LS, J2K, J2K_ANY, RLE = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)
MPEG4 = "1.2.840.10008.1.2.4.102"
PROGRESSIVE, JPEG_XL = "1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.110"
PRIVATE = "1.2.3.4"
WEB = Wanted((EXPLICIT,), as_stored_ok=True, never=NEVER_ON_THE_WEB)
VIEWER = Wanted(never=NEVER_ON_THE_WEB, viewable=True)


def only(*uids: str, **more: bool) -> Wanted:
    return Wanted(uids, as_stored_ok=False, **more)


@pytest.mark.parametrize(
    ("stored", "wanted", "is_image", "expected"),
    [
        (J2K, Wanted(), True, Plan("as_stored", J2K)),
        (PRIVATE, Wanted(), True, Plan("as_stored", PRIVATE)),
        (J2K, only(EXPLICIT, J2K), True, Plan("as_stored", J2K)),
        (IMPLICIT, only(EXPLICIT), True, Plan("rewrite", EXPLICIT)),
        (EXPLICIT, only(IMPLICIT), True, Plan("rewrite", IMPLICIT)),
        (BIG, only(IMPLICIT), True, Plan("rewrite", IMPLICIT)),
        (DEFLATED, only(IMPLICIT), False, Plan("rewrite", IMPLICIT)),
        (EXPLICIT, only(JPEG_LS, IMPLICIT), True, Plan("rewrite", IMPLICIT)),
        (EXPLICIT, only(RLE, JPEG_LS), True, Plan("transcode", RLE)),
        (BASELINE, only(IMPLICIT), True, Plan("decode", IMPLICIT)),
        (LOSSLESS, only(EXPLICIT, IMPLICIT), True, Plan("decode", EXPLICIT)),
        (LOSSLESS, only(J2K), True, Plan("transcode", J2K)),
        (J2K, only(J2K_ANY), True, Plan("rewrite", J2K_ANY)),
        (BASELINE, only(IMPLICIT), False, Plan("rewrite", IMPLICIT)),
        (IMPLICIT, WEB, True, Plan("rewrite", EXPLICIT)),
        (BIG, WEB, True, Plan("rewrite", EXPLICIT)),
        (J2K, WEB, True, Plan("as_stored", J2K)),
        (MPEG4, WEB, True, Plan("as_stored", MPEG4)),
        (BASELINE, Wanted((EXPLICIT,), lossy_ok=False), True, Plan("decode", EXPLICIT)),
        (J2K, Wanted((EXPLICIT,), lossy_ok=False), True, Plan("as_stored", J2K)),
        (BASELINE, only(BASELINE, lossy_ok=False), True, Plan("as_stored", BASELINE)),
    ],
)
def test_whole_objects(stored: str, wanted: Wanted, is_image: bool, expected: Plan) -> None:
    assert plan(stored, wanted, is_image=is_image) == expected


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (MPEG4, only(EXPLICIT)),
        (PRIVATE, only(EXPLICIT)),
        (EXPLICIT, only(BASELINE)),
        (EXPLICIT, only(J2K_ANY)),
        (J2K, only("1.2.840.10008.1.2.4.92")),
        ("1.2.840.10008.1.2.4.94", only(EXPLICIT)),
        (J2K, only()),
        (IMPLICIT, Wanted((IMPLICIT,), as_stored_ok=False, never=NEVER_ON_THE_WEB)),
    ],
)
def test_what_cannot_be_made_is_refused(stored: str, wanted: Wanted) -> None:
    with pytest.raises(NotAcceptable):
        plan(stored, wanted, is_image=True)
    with pytest.raises(NotAcceptable):
        plan_frames(stored, wanted)


@pytest.mark.parametrize(
    ("stored", "wanted", "expected"),
    [
        (IMPLICIT, WEB, Plan("as_stored", EXPLICIT)),
        (DEFLATED, WEB, Plan("as_stored", EXPLICIT)),
        (EXPLICIT, only(EXPLICIT), Plan("as_stored", EXPLICIT)),
        (BIG, WEB, Plan("decode", EXPLICIT)),
        (J2K, WEB, Plan("as_stored", J2K)),
        (J2K, only(EXPLICIT), Plan("decode", EXPLICIT)),
        (J2K, only(J2K_ANY), Plan("as_stored", J2K_ANY)),
        (J2K, only(JPEG_LS), Plan("transcode", JPEG_LS)),
        (EXPLICIT, only(JPEG_LS), Plan("transcode", JPEG_LS)),
        (MPEG4, WEB, Plan("as_stored", MPEG4)),
        (PROGRESSIVE, VIEWER, Plan("decode", EXPLICIT)),
        (PROGRESSIVE, Wanted(), Plan("as_stored", PROGRESSIVE)),
        (J2K, VIEWER, Plan("as_stored", J2K)),
        (PROGRESSIVE, only(J2K, PROGRESSIVE), Plan("as_stored", PROGRESSIVE)),
        (JPEG_XL, VIEWER, Plan("decode", EXPLICIT)),
    ],
)
def test_frames(stored: str, wanted: Wanted, expected: Plan) -> None:
    assert plan_frames(stored, wanted) == expected


def test_native_frames_with_half_the_colour() -> None:
    for stored in (IMPLICIT, EXPLICIT, DEFLATED):
        assert plan_frames(stored, VIEWER, half_colour=True) == Plan("transcode", JPEG_LS)
        assert plan_frames(stored, Wanted(), half_colour=True) == Plan("as_stored", EXPLICIT)
        assert plan_frames(stored, WEB, half_colour=True) == Plan("as_stored", EXPLICIT)
        assert plan_frames(stored, only(EXPLICIT), half_colour=True) == Plan("as_stored", EXPLICIT)


known = st.sampled_from(sorted(syntaxes.KNOWN))


@given(known, st.lists(known, max_size=6), st.booleans(), st.booleans())
def test_a_plan_gives_what_is_wanted_and_never_what_must_not_leave(
    stored: str, uids: list[str], as_stored_ok: bool, is_image: bool
) -> None:
    wanted = Wanted(tuple(uids), as_stored_ok=as_stored_ok, never=NEVER_ON_THE_WEB)
    try:
        made = plan(stored, wanted, is_image=is_image)
    except NotAcceptable:
        assert stored not in uids or stored in NEVER_ON_THE_WEB
        return
    assert made.target not in NEVER_ON_THE_WEB
    assert made.target in uids or as_stored_ok
    assert (made.how == "as_stored") == (made.target == stored)


@given(known)
def test_every_lossless_object_that_can_be_decoded_becomes_explicit_little_endian(stored: str) -> None:
    if stored in transfer.NATIVE | transfer.DECODABLE:
        assert plan(stored, only(EXPLICIT), is_image=True).target == EXPLICIT


def test_media_types_of_frames() -> None:
    assert media_type(J2K) == "image/jp2"
    assert media_type(JPEG_LS) == "image/jls"
    assert media_type(RLE) == "image/dicom-rle"
    assert media_type("1.2.840.10008.1.2.4.202") == "image/jphc"
    assert media_type(MPEG4) == "video/mp4"
    assert media_type(EXPLICIT) == media_type(PRIVATE) == "application/octet-stream"
    assert syntaxes_of("application/octet-stream") == (EXPLICIT,)
    for name in ("image/jpeg", "image/jls", "image/jp2", "image/jphc", "image/dicom-rle", "video/mp4"):
        assert all(media_type(uid) == name for uid in syntaxes_of(name))
    assert syntaxes_of("image/tiff") == ()


def test_a_refusal_names_what_there_is() -> None:
    with pytest.raises(NotAcceptable) as refusal:
        plan_frames("1.2.840.10008.1.2.1", Wanted(("1.2.840.10008.1.2.4.50",), as_stored_ok=False))
    assert "Stored as Explicit VR Little Endian (transfer-syntax=*)" in refusal.value.detail
    assert "1.2.840.10008.1.2.4.90" in refusal.value.detail
