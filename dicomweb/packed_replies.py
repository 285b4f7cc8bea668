"""Answers that were packed once: a study that is opened again, by whomever, costs no unpacking and no packing.

They are found by their entity tag, which is made of the state of the archive. Who asks has been told that state by the
archive, within what he may see, so nothing is handed out here that he could not have had anyway.
"""

from threading import Lock
from typing import Final

from cachetools import LRUCache

from dicomweb.replies import Reply

_MOST_BYTES: Final = 32 * 1024**2
"""A process of the web server keeps so much: packed metadata of some thousand series."""
_FRAME_BYTES: Final = 1024
"""What an answer takes besides its body: headers, tag and place."""


class PackedReplies:
    """The answers that were asked for last, of all threads."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Empty."""
        self._replies: LRUCache[str, Reply] = LRUCache(most_bytes, _size_bytes)
        self._lock = Lock()

    def get(self, tag: str) -> Reply | None:
        """The answer with this entity tag, if it is still there."""
        with self._lock:
            return self._replies.get(tag)

    def keep(self, tag: str, reply: Reply) -> None:
        """Remember an answer, unless it is larger than all of them may be."""
        with self._lock:
            if _size_bytes(reply) <= self._replies.maxsize:
                self._replies[tag] = reply


def _size_bytes(reply: Reply) -> int:
    return _FRAME_BYTES + sum(map(len, reply.pieces))
