"""What a browser's resource timings say about our answers. All times are milliseconds of the page."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.workload import Figures

_SERIES = re.compile(r"/studies/[\d.]+/series(\?|$)")
_METADATA = re.compile(r"/metadata(\?|$)")
_STUDIES = re.compile(r"/studies\?")
_THUMBNAIL = re.compile(r"/thumbnail(\?|$)")
_FRAME = re.compile(r"/frames/\d+(\?|$)")

Times = Mapping[str, Any]


def first_image_figures(entries: Iterable[Times], picture_ms: float) -> Figures:
    """Seconds to the picture; the server's share and its three parts; and what of it the server itself took.

    `server ms` ends with the first byte of each answer. What the share has beyond that is the browser's own: requests
    wait for one of its six connections, and answers until it reads them while it builds its pages.
    """
    by_start = sorted(entries, key=lambda entry: float(entry["startTime"]))
    series = _named(by_start, _SERIES)[:1]
    metadata = _named(by_start, _METADATA)
    frame = _named(by_start, _FRAME)[:1]
    if not (series and metadata and frame):
        raise RuntimeError("the page shows a picture without having asked for series, metadata and a frame")
    parts = [_span(requests) for requests in (series, metadata, frame)]
    return {
        "s": picture_ms / 1000,
        "share ms": sum(parts),
        "series ms": parts[0],
        "metadata ms": parts[1],
        "frame ms": parts[2],
        "server ms": sum(_busy(requests) for requests in (series, metadata, frame)),
        "metadata KiB": sum(float(entry["encodedBodySize"]) for entry in metadata) / 1024,
    }


def list_figures(entries: Iterable[Times], rows_ms: float) -> Figures:
    """Seconds to the first rows, what was loaded for them, and what the server took for the list itself.

    The page of the document is not among the entries.
    """
    loaded = list(entries)
    return {
        "s": rows_ms / 1000,
        "KiB": sum(float(entry["transferSize"]) for entry in loaded) / 1024,
        "requests": float(len(loaded)),
        "server ms": _busy(_named(loaded, _STUDIES)),
    }


def picture_figures(entries: Iterable[Times]) -> Figures:
    """From asking for the first thumbnail to the end of the last one, and what of it the server took."""
    pictures = _named(list(entries), _THUMBNAIL)
    return {"ms": _span(pictures), "server ms": _busy(pictures)}


def _named(entries: Sequence[Times], pattern: re.Pattern[str]) -> list[Times]:
    return [entry for entry in entries if "/dicomweb/" in entry["name"] and pattern.search(entry["name"])]


def _span(requests: Sequence[Times]) -> float:
    """From the first start to the last end."""
    return max(float(r["responseEnd"]) for r in requests) - min(float(r["startTime"]) for r in requests)


def _busy(requests: Sequence[Times]) -> float:
    """How long at least one of the requests waited for the first byte of its answer."""
    busy, until = 0.0, 0.0
    for begin, end in sorted((float(r["requestStart"]), float(r["responseStart"])) for r in requests):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy
