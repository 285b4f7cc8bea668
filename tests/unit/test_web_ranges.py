"""Range headers: what they mean, compared with slices of the whole."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb.errors import RangeNotSatisfiable
from dicomweb.ranges import spans
from storage.outgoing import held

LENGTH = st.integers(0, 50)
SPEC = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 60).map(lambda first: f"{first}-"),
    st.integers(0, 60).map(lambda last: f"-{last}"),
)


def slice_of(spec: str, whole: bytes) -> bytes | None:
    """What one range means, said with Python's slices; None when it is no range."""
    first, _, last = spec.partition("-")
    if not first:
        return whole[len(whole) - int(last) :] if 0 < int(last) <= len(whole) else (whole if int(last) else b"")
    if not last:
        return whole[int(first) :]
    return whole[int(first) : int(last) + 1] if int(first) <= int(last) else None


@given(SPEC, LENGTH)
def test_one_range_is_a_slice(spec: str, length: int) -> None:
    whole = bytes(range(length))
    expected = slice_of(spec, whole)
    if expected is None:
        assert spans(f"bytes={spec}", length) == []
    elif not expected:
        with pytest.raises(RangeNotSatisfiable):
            spans(f"bytes={spec}", length)
    else:
        ((start, stop),) = spans(f" Bytes = {spec} ", length)
        assert whole[start:stop] == expected
        assert 0 <= start < stop <= length


@given(st.lists(SPEC, min_size=2, max_size=20), LENGTH)
def test_several_ranges_are_slices_or_the_whole(specs: list[str], length: int) -> None:
    whole = bytes(range(length))
    expected = [slice_of(spec, whole) for spec in specs]
    if None in expected or len(specs) > 16:
        assert spans("bytes=" + ", ".join(specs), length) == []
    elif not any(expected):
        with pytest.raises(RangeNotSatisfiable):
            spans("bytes=" + ",".join(specs), length)
    else:
        found = spans("bytes=" + ",".join(specs), length)
        bytes_asked = sum(len(part) for part in expected if part)
        distinct = len({byte for part in expected if part for byte in part})
        if bytes_asked == distinct:
            assert [whole[start:stop] for start, stop in found] == [part for part in expected if part]
        else:
            assert found == []  # Overlapping ranges cost the server more than they spare the client.


@given(st.text(max_size=30), LENGTH)
def test_rubbish_is_the_whole_or_refused(text: str, length: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            found = spans(header, length)
        except RangeNotSatisfiable:
            continue
        assert all(0 <= start < stop <= length for start, stop in found)


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=", "bytes=-", "bytes=,", "lines=0-1", "bytes=1-2-3", "bytes=a-b"]
)
def test_what_is_no_range_is_ignored(header: str) -> None:
    assert spans(header, 100) == []


@given(st.lists(st.binary(max_size=9)), st.integers(0, 60), st.integers(0, 60))
def test_parts_in_memory_are_cut_as_one(parts: list[bytes], start: int, stop: int) -> None:
    whole = b"".join(parts)
    stop = min(max(start, stop), len(whole))
    assert b"".join(held(*parts)(start, stop)) == whole[start:stop]


def test_memory_leaves_in_blocks() -> None:
    blocks: Iterator[bytes] = held(bytes(3 * 1024**2))(5, 3 * 1024**2)
    assert max(map(len, blocks)) == 1024**2
