"""The child side of `isolation`: decode frames from standard input until it closes. Not to be started by hand."""

import resource
import sys
from pathlib import Path
from typing import Final

from index.errors import CannotUnderstand
from storage.pixels import codecs, isolation
from storage.pixels.description import ImageDescription

_SPARE_BYTES: Final = 512 * 1024**2
_COPIES: Final = 12
"""Decoded images that a codec may hold at a time: some work with 32 bits a sample and tiles beside the result."""


def main() -> None:
    """Answer every request with samples or with the reason why there are none."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    while True:
        try:
            head, data = isolation.receive(sys.stdin.buffer)
        except EOFError:
            return
        description = ImageDescription(**head["description"])
        _bound_memory(description)
        try:
            samples, photometric = codecs.decode(data, description, head["transfer_syntax_uid"])
        except CannotUnderstand as exc:
            isolation.send(answers, {"error": exc.detail}, b"")
            continue
        answer = {"type": samples.dtype.str, "shape": samples.shape, "photometric_interpretation": photometric}
        isolation.send(answers, answer, samples.tobytes())


def _bound_memory(description: ImageDescription) -> None:
    """A stream may ask for far more inside (tiles, resolutions, tables) than its size says."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return
    used = int(pages.read_text().split()[0]) * resource.getpagesize()
    bound = used + _COPIES * description.decoded_bytes + _SPARE_BYTES
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


if __name__ == "__main__":
    main()
