"""Names of stored objects.

A key is `tenant/20261121/23/` + milliseconds + randomness + `.dcm`. It says nothing about the patient, never
occurs twice, and sorts by time of arrival: what has to be looked at after a crash is the end of the list, and
rebuilding an index in key order meets the instances in the order in which they came.
"""

import functools
import os
import time
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote

MISSING = "The object is not in the store"
SHORTER = "The stored object is shorter than the index says"

_HOUR_SECONDS = 3600


class StoredBlob(NamedTuple):
    """One object as a walk of the store meets it."""

    key: str
    size_bytes: int
    modified: float
    """When it was last written, in seconds since 1970."""


def new_key(tenant: str) -> str:
    """A key that was never used before and that nobody can guess."""
    now = time.time()
    return f"{hour_prefix(tenant, now)}{int(now * 1000):011x}{os.urandom(8).hex()}.dcm"


def hour_prefix(tenant: str, moment: float) -> str:
    """What the keys of one tenant and hour begin with; `moment` is in seconds since 1970."""
    return _hour_prefix(tenant, int(moment // _HOUR_SECONDS))


@functools.lru_cache(maxsize=64)
def _hour_prefix(tenant: str, hour: int) -> str:
    return f"{tenant_prefix(tenant)}{datetime.fromtimestamp(hour * _HOUR_SECONDS, UTC):%Y%m%d/%H}/"


def tenant_prefix(tenant: str) -> str:
    """What the keys of one tenant begin with. Quoted: a tenant's name must not be able to name another folder."""
    return quote(tenant, safe="").replace(".", "%2E") + "/"


def tenant_of(key: str) -> str:
    """The tenant that an object belongs to."""
    return unquote(key.partition("/")[0])
