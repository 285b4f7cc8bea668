"""Operational logs: one line a record, whatever a peer sends."""

import logging
from collections.abc import Iterator

import pytest

from config.settings import Log
from pacs.logs import configure


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_fields_follow_the_message_and_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log())
    logging.getLogger("dimse").warning("rejected", extra={"calling": 'X"\n2026 ERROR forged', "count": 3})
    logging.getLogger("dimse").info("a\nb")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(r'dimse: rejected calling="X\"\n2026 ERROR forged" count=3')
    assert second.endswith(r"a\nb")


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(level="error"))
    logging.getLogger("index").warning("quiet")
    logging.getLogger("index").error("loud")
    assert [line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()] == ["loud"]


def test_an_exception_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log())
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("index").exception("failed")
    assert "Traceback" in capsys.readouterr().err
