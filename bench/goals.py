"""How many times better than the peer we want to be, and what the machine allows.

Floors leave room for validation, access checks and audit; goals are what we want. They were set against the best
peer of each row (for reads that was Orthanc 1.13, which reads faster than Debian's 1.10.1).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """Ratios to the peer, and the limit of the machine that the figure is held against."""

    floor: float
    goal: float
    limit: str = ""
    share: float = 0.0
    """Share of the limit that we want to reach."""


_SINK = "C-STORE CT into storescp --ignore"
_EMPTY = "empty request, uvicorn, 1 connection, /s"
_SENDFILE = "512 KiB by sendfile"

GOALS: dict[tuple[str, str], Goal] = {
    ("C-STORE CT p=1", "/s"): Goal(1.7, 2.0, f"{_SINK}, p=1, /s", 0.45),
    ("C-STORE CT p=4", "/s"): Goal(1.6, 2.0, f"{_SINK}, p=4, /s", 0.40),
    ("C-STORE CT p=4", "CPU ms"): Goal(2.5, 3.0),
    ("C-STORE MR p=4", "/s"): Goal(1.5, 2.0),
    ("C-STORE tiny p=4", "/s"): Goal(1.6, 2.0),
    ("C-STORE JPEG-LS p=4", "/s"): Goal(1.4, 1.7),
    ("C-STORE CT p=1, sender's Nagle on", "/s"): Goal(6.0, 10.0),
    ("STOW CT p=1", "/s"): Goal(2.2, 2.7),
    ("STOW CT p=4", "/s"): Goal(1.6, 2.0),
    ("STOW MR p=4", "/s"): Goal(1.6, 2.0),
    ("QIDO PatientID=", "p50 ms"): Goal(4.0, 6.0, _EMPTY, 0.20),
    ("QIDO StudyInstanceUID=", "p50 ms"): Goal(4.0, 6.0, _EMPTY, 0.20),
    ("QIDO PatientName=X*, 100", "p50 ms"): Goal(40.0, 80.0),
    ("QIDO StudyDate month, 100", "p50 ms"): Goal(40.0, 80.0),
    ("QIDO ModalitiesInStudy, 100", "p50 ms"): Goal(40.0, 80.0),
    ("QIDO all, 100", "p50 ms"): Goal(40.0, 80.0),
    ("series metadata of 500, cold", "ms"): Goal(30.0, 60.0),
    ("series metadata of 500, warm", "p50 ms"): Goal(3.0, 5.0),
    ("instance metadata", "p50 ms"): Goal(6.0, 8.0),
    ("frame, 1 connection", "/s"): Goal(3.0, 3.5, f"{_SENDFILE}, 1 connection, /s", 0.60),
    ("frame, 8 connections", "/s"): Goal(2.5, 3.5, f"{_SENDFILE}, 8 connections, /s", 0.60),
    ("whole study", "MB/s"): Goal(2.5, 3.2),
    ("rendered", "CPU ms"): Goal(3.0, 5.0),
    ("C-GET", "/s"): Goal(1.3, 1.8),
    ("C-MOVE", "/s"): Goal(1.3, 1.8),
    ("C-FIND, 1 match", "ms"): Goal(2.0, 3.0),
    ("C-FIND, month (60 matches at 10 k)", "ms"): Goal(2.0, 3.0),
    ("C-STORE MR p=4, grown index", "/s"): Goal(1.5, 2.0),
    ("frame, 1 connection, grown index", "p50 ms"): Goal(5.0, 10.0),
    ("memory, peak in ingest", "MiB"): Goal(1.67, 2.0),
}

ABSOLUTE: dict[tuple[str, str], tuple[float, float]] = {
    ("100 idle associations", "% of a core"): (1.0, 0.5),
    ("start to ready", "s"): (3.0, 1.5),
    ("QIDO PatientName=X*, 100", "p50 ms"): (3.0, 1.5),
    ("QIDO StudyDate month, 100", "p50 ms"): (3.0, 1.5),
    ("QIDO ModalitiesInStudy, 100", "p50 ms"): (3.0, 1.5),
    ("QIDO all, 100", "p50 ms"): (3.0, 1.5),
    ("series metadata of 500, cold", "ms"): (20.0, 10.0),
    ("series metadata of 500, warm", "p50 ms"): (20.0, 10.0),
    ("first image, CT of 500 slices, cold", "share ms"): (600.0, 300.0),
    ("first image, CT of 500 slices, warm", "share ms"): (200.0, 100.0),
    ("first image, CT of 500 slices, reloaded", "share ms"): (200.0, 100.0),
    ("first image, 15 series of 40 slices, cold", "share ms"): (600.0, 300.0),
    ("first image, 15 series of 40 slices, warm", "share ms"): (200.0, 100.0),
    ("first image, 15 series of 40 slices, reloaded", "share ms"): (200.0, 100.0),
}
"""Values of our own that must not be exceeded: floor and goal."""
