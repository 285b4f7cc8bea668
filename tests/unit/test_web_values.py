"""Small parts of the web edge: ranges of streams, frame lists, picture options, threads."""

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomweb.errors import BadRequest
from dicomweb.frames import frame_numbers
from dicomweb.rendering import (
    PARAMETERS,
    parse_quality,
    parse_viewport,
    parse_window,
    render_options,
    warnings_of,
)
from dicomweb.threads import Threads
from index.records import Region


@given(st.lists(st.integers(1, 10**8), min_size=1))
def test_frame_numbers(numbers: list[int]) -> None:
    assert frame_numbers(",".join(map(str, numbers))) == numbers


@pytest.mark.parametrize("text", ["", "0", "1,", ",1", " 1", "1,-2", "+1", "1_0", "1.0", "١", "1" * 11])
def test_unreadable_frame_numbers(text: str) -> None:
    with pytest.raises(BadRequest):
        frame_numbers(text)


def test_picture_options() -> None:
    assert parse_viewport("256,128.5") == ((256, 128), None)
    assert parse_window("40,400") == (40, 400, "LINEAR")
    assert parse_window("-0.5,1e2,Linear-Exact") == (-0.5, 100, "LINEAR_EXACT")
    assert parse_window("1,0.5,sigmoid") == (1, 0.5, "SIGMOID")
    assert parse_quality("100") == 100


def test_regions_of_a_viewport() -> None:
    assert parse_viewport("8,9,1,2,3,4") == ((8, 9), Region(1, 2, 3, 4))
    assert parse_viewport("8,9,,,-3,") == ((8, 9), Region(0, 0, 3, None, mirrored=True))
    assert parse_viewport("8,9,0.5,,,-4") == ((8, 9), Region(0.5, 0, None, 4, upside_down=True))


texts = st.text(alphabet="0123456789.,-+eE naifptcz_", max_size=24) | st.text(max_size=8)


@given(st.dictionaries(st.sampled_from(PARAMETERS), texts), st.booleans())
@settings(deadline=None)
def test_whatever_is_asked_for_is_an_option_or_refused(parameters: dict[str, str], thumbnail: bool) -> None:
    try:
        options = render_options(parameters, "image/png", thumbnail=thumbnail)
        warnings_of(parameters)
    except BadRequest:
        return
    width, height = options.viewport or (1, 1)
    assert 1 <= width <= 16384 and 1 <= height <= 16384 and 1 <= options.quality <= 100


def test_annotations_that_are_unknown_are_named_and_harmless() -> None:
    assert warnings_of({"annotation": "patient,technique"}) == ()
    ((name, value),) = warnings_of({"annotation": 'mood",x\r\nSet-Cookie: a=b,patient'})
    assert name == b"warning" and b"mood" in value and b"\r" not in value and value.count(b'"') == 2


def test_threads_return_raise_and_survive() -> None:
    async def scenario() -> None:
        threads = Threads(2, "test")
        assert await threads.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 1, 0)
        assert await asyncio.gather(*(threads.run(pow, 2, n) for n in range(50))) == [2**n for n in range(50)]
        assert await threads.run(threading.get_ident) != threading.get_ident()

    asyncio.run(scenario())


def test_threads_work_beside_each_other_and_outlive_their_caller() -> None:
    threads = Threads(2, "test")
    meet = threading.Barrier(3, timeout=10)

    async def walk_away() -> None:
        waiting = [threads.run(meet.wait), threads.run(meet.wait)]
        waiting[0].cancel()

    asyncio.run(walk_away())
    meet.wait()

    async def next_caller() -> int:
        return await threads.run(int, "5")

    assert asyncio.run(next_caller()) == 5
