"""Compressed JSON: what leaves for clients that take a content coding, told apart from what leaves as it is."""

import gzip
import json

import brotli
import httpx
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import datasets
from dicomweb.codings import coding_of, packed
from dicomweb.packed_replies import PackedReplies
from dicomweb.replies import Reply
from tests.conftest import Server
from tests.protocol.web import stow

JSON = "application/dicom+json"
SLICES = 40
UNPACKED = {
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


@pytest.fixture(scope="module")
def study(server: Server) -> str:
    """The address of a CT study of several slices."""
    made = datasets.study("codings", 1, "CT")
    with httpx.Client(base_url=server.dicomweb_url) as client:
        for number in range(1, SLICES + 1):
            assert stow(client, datasets.encode("tiny", made, number)).status_code == 200
    return f"{server.dicomweb_url}/studies/{made.study_instance_uid}"


def fetch(url: str, coding: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer, and its body as it came over the wire."""
    asked = {"Accept": JSON, "Accept-Encoding": coding, **{name.replace("_", "-"): v for name, v in headers.items()}}
    with httpx.stream("GET", url, headers=asked) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("coding", UNPACKED)
def test_metadata_leave_compressed_for_who_takes_it(study: str, coding: str) -> None:
    plain, text = fetch(f"{study}/metadata", "identity")
    assert plain.status_code == 200 and "content-encoding" not in plain.headers
    answer, body = fetch(f"{study}/metadata", f"deflate, {coding}")
    assert answer.headers["content-encoding"] == coding and answer.headers["content-type"] == JSON
    assert len(body) == int(answer.headers["content-length"]) < len(text) / 5
    assert UNPACKED[coding](body) == text
    assert len(json.loads(text)) == SLICES


@pytest.mark.parametrize("coding", UNPACKED)
def test_what_is_asked_for_again_has_come_up_to_date(server: Server, coding: str) -> None:
    made = datasets.study("codings, growing", [*UNPACKED].index(coding), "CT")
    url = f"{server.dicomweb_url}/studies/{made.study_instance_uid}"
    with httpx.Client(base_url=server.dicomweb_url) as client:
        assert stow(client, *(datasets.encode("tiny", made, number) for number in range(1, 11))).status_code == 200
        first, body = fetch(f"{url}/metadata", coding)
        again, same = fetch(f"{url}/metadata", coding)
        assert first.headers["content-encoding"] == coding and same == body
        volatile = ("date", "server")
        assert {k: v for k, v in again.headers.items() if k not in volatile} == {
            k: v for k, v in first.headers.items() if k not in volatile
        }
        assert stow(client, datasets.encode("tiny", made, 11)).status_code == 200
        grown = json.loads(UNPACKED[coding](fetch(f"{url}/metadata", coding)[1]))
        assert {row["00080018"]["Value"][0] for row in grown} == {made.instance_uid(n) for n in range(1, 12)}
        assert client.delete(url).is_success
    assert fetch(f"{url}/metadata", coding)[0].status_code == 404


def test_packed_answers_are_kept_within_bounds() -> None:
    kept = PackedReplies(most_bytes=10_000)
    for number in range(10):
        kept.keep(f'"{number}"', Reply(200, (), (b"x" * 1500, b"y" * 500)))
    assert [number for number in range(10) if kept.get(f'"{number}"')] == [7, 8, 9]
    kept.keep('"large"', Reply(200, (), (b"x" * 10_001,)))
    assert kept.get('"large"') is None and kept.get('"9"') is not None


def test_each_form_has_a_tag_of_its_own(study: str) -> None:
    forms = {coding: fetch(f"{study}/metadata", coding)[0] for coding in (*UNPACKED, "identity")}
    tags = {coding: form.headers["etag"] for coding, form in forms.items()}
    assert len(set(tags.values())) == 4
    for coding, form in forms.items():
        assert "accept-encoding" in form.headers["vary"].lower().replace(" ", "").split(",")
        again, body = fetch(f"{study}/metadata", coding, If_None_Match=tags[coding])
        assert (again.status_code, body) == (304, b"")
        assert "content-encoding" not in again.headers
    assert fetch(f"{study}/metadata", "gzip", If_None_Match=tags["br"])[0].status_code == 200


def test_what_is_short_or_no_json_leaves_as_it_is(study: str) -> None:
    assert "content-encoding" not in fetch(f"{study}/series", "gzip")[0].headers
    xml = httpx.get(f"{study}/metadata", headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
    assert xml.status_code == 200 and "content-encoding" not in xml.headers
    instance = json.loads(fetch(f"{study}/instances", "identity")[1])[0]
    frame = f"{study}/series/{instance['0020000E']['Value'][0]}/instances/{instance['00080018']['Value'][0]}/frames/1"
    assert "content-encoding" not in httpx.get(frame, headers={"Accept-Encoding": "gzip, br, zstd"}).headers


def test_long_answers_of_searches_too(study: str) -> None:
    text = fetch(f"{study}/instances?includefield=all", "identity")[1]
    answer, body = fetch(f"{study}/instances?includefield=all", "gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == text and len(json.loads(text)) == SLICES


def test_heads_say_the_same(study: str) -> None:
    got, _ = fetch(f"{study}/metadata", "zstd")
    head = httpx.head(f"{study}/metadata", headers={"Accept": JSON, "Accept-Encoding": "zstd"})
    assert {name: head.headers[name] for name in ("content-encoding", "etag", "content-length")} == {
        name: got.headers[name] for name in ("content-encoding", "etag", "content-length")
    }


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_files_of_pages_leave_compressed(server: Server, coding: str) -> None:
    text = httpx.get(server.web_url).text
    program = next(item for item in text.split('"') if item.startswith("/ui/") and item.endswith(".js"))
    plain, whole = fetch(f"{server.web_url}{program}", "identity")
    answer, body = fetch(f"{server.web_url}{program}", f"zstd, {coding}")
    assert "content-encoding" not in plain.headers and answer.headers["content-encoding"] == coding
    assert UNPACKED[coding](body) == whole and len(body) < len(whole) / 2
    assert len({plain.headers["etag"], answer.headers["etag"]}) == 2
    assert "accept-encoding" in answer.headers["vary"].lower()
    again, nothing = fetch(f"{server.web_url}{program}", coding, If_None_Match=answer.headers["etag"])
    assert (again.status_code, nothing) == (304, b"")


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", ""),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("br; q=0.000", ""),
        ("identity", ""),
        ("identity;q=1, gzip;q=0.5", ""),
        ("identity;q=1, *;q=0", ""),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "br"),
        ("gzip;q=high", ""),
        (";q=1,,", ""),
        ("compress, deflate", ""),
    ],
)
def test_headers_are_read_as_the_rfc_says(header: str, coding: str) -> None:
    assert coding_of(header) == coding


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_header_is_too_odd(header: str) -> None:
    assert coding_of(header) in ("", *UNPACKED)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=5000)), st.sampled_from(list(UNPACKED)))
def test_blocks_come_back_whole(blocks: list[bytes], coding: str) -> None:
    assert UNPACKED[coding](b"".join(packed(blocks, coding))) == b"".join(blocks)
