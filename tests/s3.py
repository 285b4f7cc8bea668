"""A real S3 protocol server (moto, over HTTP, in a process of its own), one for the whole run."""

import atexit
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from uuid import uuid4

from config import settings
from tests.conftest import free_port

START_SECONDS = 60


@cache
def endpoint() -> str:
    """Address of the server; it is started by the first who asks and ends with the run."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(process.wait)
    atexit.register(process.terminate)
    address = f"http://127.0.0.1:{port}"
    for _ in range(START_SECONDS * 10):
        assert process.poll() is None, "moto did not start"
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
            return address
        except urllib.error.HTTPError:
            return address
        except OSError:
            time.sleep(0.1)
    raise AssertionError("moto does not answer")


def storage(spool_folder: Path, **changes: object) -> settings.Storage:
    """Settings for a new, empty bucket."""
    bucket = f"test-{uuid4().hex}"
    request = urllib.request.Request(f"{endpoint()}/{bucket}", method="PUT")
    request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request")
    urllib.request.urlopen(request, timeout=30).close()
    values: dict[str, object] = {
        "url": f"s3://{bucket}/objects",
        "endpoint": endpoint(),
        "access_key_id": "test",
        "secret_access_key": "test",
        "allow_http": True,
        "spool_folder": str(spool_folder),
    }
    return settings.Storage(**{**values, **changes})  # type: ignore[arg-type]
