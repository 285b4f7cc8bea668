"""The multipart parser: real clients' bodies, cut anywhere, and what must be refused."""

from email import message_from_bytes
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb.multipart import (
    PART_TAIL,
    Parser,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
    closing,
    message_type,
    new_boundary,
    part_head,
)
from index.errors import CannotUnderstand, TooLarge


def parse(
    *chunks: bytes, boundary: bytes = b"b", parts: int = 100, header_bytes: int = 1000
) -> list[tuple[dict, bytes]]:
    """The complete parts of a body as (headers, data); raises what the parser raises."""
    parser = Parser(boundary, most_parts=parts, most_header_bytes=header_bytes)
    found: list[tuple[dict, bytes]] = []
    headers: dict = {}
    data = bytearray()
    for chunk in chunks:
        for event in parser.feed(chunk):
            if isinstance(event, PartBegin):
                headers, data = event.headers, bytearray()
            elif isinstance(event, PartData):
                data += event.data
            elif isinstance(event, PartEnd):
                found.append((headers, bytes(data)))
    parser.finish()
    return found


TYPE = {"content-type": "application/dicom"}
HEAD = b"Content-Type: application/dicom\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"--b\r\n" + HEAD + b"one\r\n--b--\r\n", [(TYPE, b"one")]),
        # OHIF: line break before the first boundary, zero bytes after the last
        (b"\r\n--b\r\n" + HEAD + b"one\r\n--b\r\n" + HEAD + b"two\r\n--b--\0\0\0\0", [(TYPE, b"one"), (TYPE, b"two")]),
        (b"preamble\r\nto ignore\r\n--b\r\n" + HEAD + b"x\r\n--b--\r\nepilogue\r\n--b\r\n", [(TYPE, b"x")]),
        # White space in the boundary line (RFC 2046 5.1.1)
        (b"--b \t \r\n" + HEAD + b"x\r\n--b\t\r\n" + HEAD + b"y\r\n--b--  \r\n", [(TYPE, b"x"), (TYPE, b"y")]),
        (b"--b\r\ncontent-TYPE:application/dicom\r\n\r\nx\r\n--b--", [(TYPE, b"x")]),
        (b"--b\r\nContent-Type:\r\n application/dicom\r\n\r\nx\r\n--b--", [(TYPE, b"x")]),
        (b"--b\r\n\r\nno header\r\n--b--", [({}, b"no header")]),
        (b"--b\r\n" + HEAD + b"\r\n--b--", [(TYPE, b"")]),
        # What looks like a boundary and is none
        (
            b"--b\r\n" + HEAD + b"\r\n--bc\r\n--\r\n-b--\r\r\n--b\r\r\n--b--",
            [(TYPE, b"\r\n--bc\r\n--\r\n-b--\r\r\n--b\r")],
        ),
        (b"--b\r\n" + HEAD + b"--b\r\n--b--", [(TYPE, b"--b")]),
        (b"--b\r\n" + HEAD + b"x\r\n--b-\r\n--b--", [(TYPE, b"x\r\n--b-")]),
    ],
)
def test_body_whole_and_byte_by_byte(body: bytes, expected: list) -> None:
    assert parse(body) == expected
    assert parse(*(body[i : i + 1] for i in range(len(body)))) == expected


PIECES = st.lists(
    st.sampled_from([b"\r\n--b", b"\r\n", b"--b", b"--", b"\r", b"\n", b"-", b"b", b" ", b"\0", b"\r\n\r\n", b"DICM"]),
    max_size=12,
).map(b"".join)


@given(st.lists(PIECES, min_size=1, max_size=4), st.data())
def test_any_content_comes_back_however_it_is_cut(contents: list[bytes], data: st.DataObject) -> None:
    boundary = b"b0und4ry"
    body = b"".join(b"--b0und4ry\r\n" + HEAD + content + b"\r\n" for content in contents) + b"--b0und4ry--\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    chunks = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert parse(*chunks, boundary=boundary) == [(TYPE, content) for content in contents]


@given(st.one_of(st.binary(max_size=80), PIECES), st.data())
def test_cutting_never_changes_the_events(body: bytes, data: st.DataObject) -> None:
    def outcome(*chunks: bytes) -> object:
        try:
            return parse(*chunks)
        except (CannotUnderstand, TooLarge) as error:
            return type(error), error.detail

    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    assert outcome(*(body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))) == outcome(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"nothing",
        b"--b--",
        b"--b\r\n" + HEAD + b"cut",
        b"--b\r\nContent-Type: app",
        b"--c\r\n\r\nx\r\n--c--",
    ],
)
def test_incomplete_body_is_refused(body: bytes) -> None:
    with pytest.raises(CannotUnderstand):
        parse(body)


def test_limits() -> None:
    with pytest.raises(TooLarge):
        parse(b"--b\r\n\r\n\r\n" * 3 + b"--b--", parts=2)
    with pytest.raises(TooLarge):
        parse(b"--b\r\nX: " + b"y" * 2000 + b"\r\n\r\n\r\n--b--")
    with pytest.raises(TooLarge):
        parse(b"--b\r\n", *[b"y" * 600] * 2)


def test_data_are_views_not_copies() -> None:
    parser = Parser(b"b", most_parts=1, most_header_bytes=100)
    list(parser.feed(b"--b\r\n\r\n"))
    chunk = bytes(100_000)
    (event,) = parser.feed(chunk)
    assert isinstance(event, PartData)
    assert event.data.obj is chunk


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b"', b"a b"),
        ("multipart/related;boundary=xyz;type=application/dicom", b"xyz"),
        ('multipart/related; Boundary="=_x;y"', b"=_x;y"),
    ],
)
def test_boundary(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type", ["multipart/related", 'multipart/related; boundary=""', "multipart/related; boundary=" + "x" * 300]
)
def test_unusable_boundary(content_type: str) -> None:
    with pytest.raises(CannotUnderstand):
        boundary_of(content_type)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4))
def test_what_we_write_is_read_by_others_and_by_us(contents: list[bytes]) -> None:
    boundary = new_boundary()
    body = b"".join(part_head(boundary, "application/dicom") + data + PART_TAIL for data in contents) + closing(
        boundary
    )
    assert parse(body, boundary=boundary.encode()) == [(TYPE, data) for data in contents]
    kind = message_type(boundary, "application/dicom")
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=HTTP)
    assert message.get_content_type() == "multipart/related"
    assert [part.get_content_type() for part in message.iter_parts()] == ["application/dicom"] * len(contents)


def test_part_header_is_spelled_as_ohif_needs_it() -> None:
    assert part_head("b", "image/jp2").startswith(b"--b\r\nContent-Type: image/jp2\r\n\r\n")
