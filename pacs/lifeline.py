"""What ties a child process to its supervisor: it says when it is ready and ends when the supervisor is gone."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable


class Lifeline:
    """The child's ends of two pipes. The supervisor never writes: the end of its pipe is the end of its life."""

    def __init__(self, *, alive: int, ready: int) -> None:
        self._alive = alive
        self._ready = ready

    def ready(self) -> None:
        """Tell the supervisor, once, that requests are answered from now on."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready, b"1")
        os.close(self._ready)

    def on_stop(self, stop: Callable[[], None], *, grace_seconds: float) -> None:
        """Call `stop` in the main thread at SIGTERM or when the supervisor dies; a child that lingers is ended."""
        signal.signal(signal.SIGTERM, lambda _number, _frame: stop())
        # Control-C reaches the whole process group; the supervisor turns it into SIGTERM in its own order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=self._watch, args=(grace_seconds,), name="lifeline", daemon=True).start()

    def _watch(self, grace_seconds: float) -> None:
        while os.read(self._alive, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os._exit(1)
