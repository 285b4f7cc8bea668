"""Is the archive whole? Asked over HTTP, as any client would, and compared with what was sent.

Three promises: every acknowledged instance comes back byte for byte; whatever is listed can be retrieved whole; the
counters of studies equal a count of the instances that are listed.
"""

import http.client
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from tests.flows.senders import Ledger, Sent, without_meta

_PAGE = 1000


class Archive:
    """A DICOMweb client of one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _get(self, path: str, accept: str) -> tuple[int, bytes, str]:
        self._connection.request("GET", f"/dicomweb{path}", headers={"Accept": accept})
        response = self._connection.getresponse()
        return response.status, response.read(), response.headers.get("Content-Type", "")

    def listed(self, path: str, include: str = "") -> list[dict[str, Any]]:
        """All matches of a QIDO-RS query, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            query = f"{path}?limit={_PAGE}&offset={len(found)}{include}"
            status, body, _ = self._get(query, "application/dicom+json")
            assert status in (200, 204), f"{query}: {status} {body[:300]!r}"
            page = json.loads(body) if body else []
            found += page
            if len(page) < _PAGE:
                return found

    def file(self, study: str, series: str, instance: str) -> bytes:
        """One instance by WADO-RS."""
        path = f"/studies/{study}/series/{series}/instances/{instance}"
        status, body, kind = self._get(path, 'multipart/related; type="application/dicom"; transfer-syntax=*')
        assert status == 200, f"{path}: {status} {body[:300]!r}"
        boundary = kind.partition("boundary=")[2].split(";")[0].strip('" ')
        part = body.partition(b"\r\n\r\n")[2]
        return part[: part.rindex(f"\r\n--{boundary}".encode())]


def check(port: int, ledger: Ledger, *, retrieve: list[Sent]) -> int:
    """Check the promises; `retrieve` are the instances whose bytes are compared. Returns how many are listed."""
    archive = Archive(port)
    listed = archive.listed("/instances")
    places = {_first(item, "00080018"): (_first(item, "0020000D"), _first(item, "0020000E")) for item in listed}
    assert len(places) == len(listed), "an instance is listed twice"
    missing = set(ledger.acknowledged) - set(places)
    assert not missing, f"{len(missing)} acknowledged instances are not listed: {sorted(missing)[:3]}"
    strangers = set(places) - set(ledger.attempted)
    assert not strangers, f"instances that nobody sent: {sorted(strangers)[:3]}"
    in_doubt = [ledger.attempted[uid] for uid in places if uid not in ledger.acknowledged]
    for sent in (*retrieve, *in_doubt):
        assert places[sent.instance] == (sent.study, sent.series)
        stored = archive.file(sent.study, sent.series, sent.instance)
        assert without_meta(stored) == sent.dataset, f"{sent.instance} differs from what was sent"
    _check_counters(archive, list(places.values()))
    archive.close()
    return len(listed)


def _check_counters(archive: Archive, places: list[tuple[str, str]]) -> None:
    instances = Counter(study for study, _ in places)
    series = Counter(study for study, _ in set(places))
    studies = archive.listed("/studies", "&includefield=00201206,00201208")
    counted = {_first(item, "0020000D"): (_first(item, "00201206"), _first(item, "00201208")) for item in studies}
    assert len(counted) == len(studies), "a study is listed twice"
    expected = {study: (series[study], instances[study]) for study in instances}
    assert {study: tuple(map(int, counts)) for study, counts in counted.items()} == expected
    by_series = Counter(places)
    for item in archive.listed("/series", "&includefield=00201209,0020000D"):
        place = (_first(item, "0020000D"), _first(item, "0020000E"))
        assert int(_first(item, "00201209")) == by_series.pop(place), f"series {place} counts wrongly"
    assert not by_series, f"series that are not listed: {list(by_series)[:3]}"


def check_database(index: Path) -> None:
    """SQLite's own opinion of the index."""
    connection = sqlite3.connect(index)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def _first(item: dict[str, Any], tag: str) -> Any:
    return item[tag]["Value"][0]
