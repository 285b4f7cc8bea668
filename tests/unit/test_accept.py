"""Accept negotiation: what the clients we know send, the rules of RFC 9110, and rubbish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb.accept import BULK, FRAMES, JSON, OBJECT, OBJECTS, Choice, accept_of, choose, parse_parameters
from dicomweb.rendered_types import PICTURES
from index.errors import NotAcceptable
from storage.syntaxes import EXPLICIT_LITTLE, JPEG_2000_LOSSLESS, RLE_LOSSLESS

OCTETS = "application/octet-stream"
IMAGE = PICTURES[:2]


def first(header: str, offers: tuple) -> tuple[str, str, tuple[str, ...]]:
    """The best choice as (media type, packaging, transfer syntaxes)."""
    choice = choose(header, offers)[0]
    return choice.media_type, choice.packaging, choice.transfer_syntax_uids


@pytest.mark.parametrize(
    ("header", "offers", "expected"),
    [
        ("", JSON, ("application/dicom+json", "single", ())),
        ("*/*", JSON, ("application/dicom+json", "single", ())),
        ("application/json", JSON, ("application/json", "single", ())),
        # dicomweb-client
        ("application/dicom+json, application/json", JSON, ("application/dicom+json", "single", ())),
        (
            'multipart/related; type="application/dicom"',
            OBJECTS,
            ("application/dicom", "multipart", (EXPLICIT_LITTLE,)),
        ),
        ('multipart/related; type="*/*"', FRAMES, (OCTETS, "multipart", (EXPLICIT_LITTLE,))),
        ('multipart/related; type="*/*"', BULK, (OCTETS, "multipart", ())),
        # OHIF, with and without omitQuotationForMultipartRequest
        (f"multipart/related; type={OCTETS}; transfer-syntax=*", FRAMES, (OCTETS, "multipart", ())),
        (f'multipart/related; type="{OCTETS}"; transfer-syntax="*"', FRAMES, (OCTETS, "multipart", ())),
        (f"{OCTETS}; transfer-syntax=*", FRAMES, (OCTETS, "single", ())),
        ("*/*", BULK, (OCTETS, "single", ())),
        ("image/jpeg", IMAGE, ("image/jpeg", "single", ())),
        # A browser's image element and address line
        ("image/avif,image/webp,image/*,*/*;q=0.8", IMAGE, ("image/jpeg", "single", ())),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", IMAGE, ("image/jpeg", "single", ())),
        # One part for one instance
        ("application/dicom", OBJECT, ("application/dicom", "single", (EXPLICIT_LITTLE,))),
        ("application/dicom; transfer-syntax=*", OBJECT, ("application/dicom", "single", ())),
        (
            f"application/dicom;transfer-syntax={JPEG_2000_LOSSLESS}",
            OBJECT,
            ("application/dicom", "single", (JPEG_2000_LOSSLESS,)),
        ),
        ("*/*", OBJECT, ("application/dicom", "multipart", (EXPLICIT_LITTLE,))),
        # Spelling
        (
            "MULTIPART/Related ; Type=APPLICATION/dicom ;Transfer-Syntax=*",
            OBJECTS,
            ("application/dicom", "multipart", ()),
        ),
        ("multipart/related", OBJECTS, ("application/dicom", "multipart", (EXPLICIT_LITTLE,))),
        ("multipart/*", OBJECTS, ("application/dicom", "multipart", (EXPLICIT_LITTLE,))),
        ("*", OBJECTS, ("application/dicom", "multipart", (EXPLICIT_LITTLE,))),
        ('multipart/related; type="image/x-dicom-rle"', FRAMES, ("image/dicom-rle", "multipart", (RLE_LOSSLESS,))),
    ],
)
def test_choice(header: str, offers: tuple, expected: tuple) -> None:
    assert first(header, offers) == expected


def test_quality_decides_before_order() -> None:
    assert first("image/jpeg;q=0.5, image/png;q=0.9", IMAGE)[0] == "image/png"
    assert first("image/png, image/jpeg", IMAGE)[0] == "image/png"


def test_more_exact_range_decides_over_wildcard() -> None:
    assert first("image/*, image/jpeg;q=0.1", IMAGE)[0] == "image/png"
    assert first("*/*, image/jpeg;q=0", IMAGE)[0] == "image/png"


def test_several_syntaxes_keep_the_order_of_the_client() -> None:
    header = (
        'multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90, '
        'multipart/related; type="image/dicom-rle", '
        'multipart/related; type="application/octet-stream"; q=0.5'
    )
    uids = [choice.transfer_syntax_uids for choice in choose(header, FRAMES)]
    assert uids == [(JPEG_2000_LOSSLESS,), (RLE_LOSSLESS,), (EXPLICIT_LITTLE,)]


@pytest.mark.parametrize(
    ("header", "offers"),
    [
        ("text/html", JSON),
        ("application/dicom+xml", JSON),
        ("application/dicom+json;q=0", JSON),
        ("application/dicom", OBJECTS),
        ('multipart/related; type="application/dicom+json"', OBJECTS),
        # PS3.18 8.7.3: implicit VR and big endian shall not be used.
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2", OBJECT),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.2", OBJECT),
        (f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2", FRAMES),
        ("application/dicom; transfer-syntax=1.2.3.4.5", OBJECT),
        (f"image/jp2; transfer-syntax={RLE_LOSSLESS}", FRAMES),
        (";;;", JSON),
        ("a", JSON),
        ("application/dicom+json;q=nan", JSON),
    ],
)
def test_refusal_names_what_exists(header: str, offers: tuple) -> None:
    with pytest.raises(NotAcceptable) as refusal:
        choose(header, offers)
    assert offers[0].media_type in refusal.value.detail


def test_stored_form_may_replace_only_what_was_not_insisted_on() -> None:
    assert choose("application/dicom", OBJECT)[0].fallback
    assert choose("*/*", FRAMES)[0].fallback
    assert not choose(f"multipart/related; type={OCTETS}", FRAMES)[0].fallback
    assert not choose(f"application/dicom; transfer-syntax={EXPLICIT_LITTLE}", OBJECT)[0].fallback


def test_query_parameter_goes_before_the_header() -> None:
    assert accept_of("image/png", "image/jpeg") == "image/jpeg"
    assert accept_of("image/png", None) == "image/png"
    assert choose(accept_of("*/*", "application/dicom json"), JSON)[0].media_type == "application/dicom+json"


def test_parameters_quoted_bare_and_escaped() -> None:
    text = r'; type="a;b,c"; Boundary=xyz ;charset="say \"hi\"";flag; type=second'
    assert parse_parameters(text) == {"type": "a;b,c", "boundary": "xyz", "charset": 'say "hi"', "flag": ""}


def test_header_of_absurd_length_is_refused() -> None:
    with pytest.raises(NotAcceptable):
        choose("application/json," * 1000, JSON)


TOKENS = st.sampled_from(
    ["*/*", "image/*", "image/jpeg", "multipart/related", ";", ",", "q=", "0.5", "type=", '"', "\\", "transfer-syntax="]
)


@given(st.lists(st.one_of(TOKENS, st.text(max_size=6)), max_size=20).map("".join))
def test_anything_gives_a_choice_or_a_refusal(header: str) -> None:
    for offers in (JSON, OBJECT, FRAMES, BULK, IMAGE):
        try:
            found = choose(header, offers)
        except NotAcceptable:
            continue
        assert found
        assert all(isinstance(choice, Choice) for choice in found)


@given(st.permutations(["image/png;q=0.3", "image/jpeg;q=0.7", "text/html", "*/*;q=0.1"]))
def test_order_does_not_matter_when_qualities_differ(items: list[str]) -> None:
    assert [choice.media_type for choice in choose(", ".join(items), IMAGE)] == ["image/jpeg", "image/png"]


def test_a_refused_transfer_syntax_is_answered_with_those_that_exist() -> None:
    with pytest.raises(NotAcceptable) as refusal:
        choose("application/dicom; transfer-syntax=1.2.840.10008.1.2", OBJECT)
    assert "application/dicom; transfer-syntax=1.2.840.10008.1.2.1|*" in refusal.value.detail
