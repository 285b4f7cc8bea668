"""Operational logs: a constant message and fields, one line each, never patient data.

Fields are given as `logger.info("message", extra={"StudyInstanceUID": uid})`. Text values are quoted
as JSON, so that no peer can forge a line of the log with a newline in its AE title.
"""

import json
import logging
import sys
import time
from typing import Any

from config.settings import Log

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname:<7} {record.name}: {_one_line(record.getMessage())}"
        for key, value in record.__dict__.items():
            if key not in _STANDARD and not key.startswith("_"):
                line += f" {key}={_quote(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _quote(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else _one_line(str(value))


def configure(settings: Log) -> None:
    """Write records of `log.level` and above to standard error. Libraries speak only when something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for library in ("pynetdicom", "pydicom", "uvicorn", "uvicorn.error", "alembic", "sqlalchemy", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It warns of each transaction that lost a race; that one is run again, and an error that stays is raised.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    logging.captureWarnings(True)
