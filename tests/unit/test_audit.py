"""The audit trail: whole lines from many writers, private, and nothing in it twice."""

import json
import os
import threading
from pathlib import Path

from index.access import AuditEvent
from pacs.audit import AuditLog


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_of_threads_and_processes_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "trail" / "audit.jsonl"
    first, second = AuditLog(path), AuditLog(path)

    def write(log: AuditLog, name: str) -> None:
        for number in range(200):
            log(AuditEvent("Query", name, "default", count=number, detail="x" * 500))

    threads = [
        threading.Thread(target=write, args=(log, f"w{n}")) for n, log in enumerate((first, first, second, second))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first.close()
    second.close()
    written = [(line["principal"], line["count"]) for line in lines(path)]
    assert sorted(written) == sorted((f"w{n}", count) for n in range(4) for count in range(200))


def test_an_event_is_there_as_soon_as_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log(AuditEvent("Export", "local", "default", detail="line\nbreak"))
    (line,) = lines(path)
    assert line["detail"] == "line\nbreak"
    assert "address" not in line
    assert str(line["time"]).endswith("+00:00")
    log.close()


def test_the_file_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        log = AuditLog(path)
        log(AuditEvent("Query", "local", "default"))
        log.close()
    assert len(lines(path)) == 2
    assert os.stat(path).st_mode & 0o077 == 0
