"""What the bench reads out of a browser's resource timings."""

import pytest

from bench.resource_times import first_image_figures, list_figures, picture_figures

SERIES = "http://127.0.0.1:1/dicomweb/studies/1.2/series"


def entry(name: str, start: float, request: float, first: float, end: float, **sizes: float) -> dict[str, object]:
    """One PerformanceResourceTiming as JSON."""
    times = {"startTime": start, "requestStart": request, "responseStart": first, "responseEnd": end}
    return {"name": name, **times, "encodedBodySize": 0, "transferSize": 0, **sizes}


PAGE = [
    entry("http://127.0.0.1:1/app.js", 0, 1, 2, 500),
    entry(f"{SERIES}?includefield=00080021", 1000, 1001, 1004, 1005),
    entry(f"{SERIES}/1.3/metadata", 1100, 1101, 1111, 1150, encodedBodySize=1024),
    entry(f"{SERIES}/1.4/metadata", 1100, 1105, 1121, 1160, encodedBodySize=2048),
    entry(f"{SERIES}/1.4/instances/1.5/thumbnail?viewport=256%2C256", 1170, 1171, 1190, 1200),
    entry(f"{SERIES}/1.4/instances/1.6/frames/1", 1310, 1311, 1313, 1320),
    entry(f"{SERIES}/1.3/instances/1.7/frames/1", 1300, 1301, 1305, 1308),
]


def test_the_share_is_series_and_all_metadata_and_the_first_frame() -> None:
    figures = first_image_figures(PAGE, 2500.0)
    assert figures == {
        "s": 2.5,
        "share ms": 5 + 60 + 8,
        "series ms": 5,
        "metadata ms": 60,
        "frame ms": 8,
        "server ms": 3 + 20 + 4,
        "metadata KiB": 3,
    }


def test_a_page_that_asked_for_nothing_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="without having asked"):
        first_image_figures(PAGE[:4], 2500.0)


def test_the_list_counts_what_was_loaded_and_waits_once_for_what_overlaps() -> None:
    studies = "http://127.0.0.1:1/dicomweb/studies?limit=50"
    loaded = [
        entry("http://127.0.0.1:1/ui/assets/x.js", 5, 6, 9, 20, transferSize=2048),
        entry(studies, 30, 31, 41, 42, transferSize=1024),
        entry(studies, 30, 35, 45, 46),
    ]
    assert list_figures(loaded, 800.0) == {"s": 0.8, "KiB": 3, "requests": 3, "server ms": 14}


def test_pictures_are_measured_from_the_first_question_to_the_last_answer() -> None:
    assert picture_figures(PAGE) == {"ms": 30, "server ms": 19}
