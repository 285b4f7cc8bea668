"""The sample files: the small ones that ship with the repository, and a larger folder beside it when there is one."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
SHIPPED = _HERE / "data"
"""Small copies of every kind of object; see LICENSES.md there."""
SHARED = _HERE.parents[1] / "shared" / "testdata"
"""A larger collection that a developer may have beside the repository."""

_WITHOUT_UIDS = frozenset({"chrSQEncoding.dcm", "chrSQEncoding1.dcm"})
"""Samples of character sets that are no instances: they have neither SOP Class UID nor any other UID."""


def shipped_files() -> list[Path]:
    """The DICOM files in tests/data, sorted."""
    return sorted(SHIPPED.rglob("*.dcm"))


def sample_files() -> list[Path]:
    """All DICOM files of both folders, sorted within each."""
    return shipped_files() + (sorted(SHARED.rglob("*.dcm")) if SHARED.is_dir() else [])


def instance_files() -> list[Path]:
    """The sample files that can be stored."""
    return [path for path in sample_files() if path.name not in _WITHOUT_UIDS]


def sample(name: str) -> Path:
    """One shipped file by its path below tests/data."""
    return SHIPPED / name


def sample_id(path: Path) -> str:
    """A short name of a sample file for parametrised tests."""
    return f"{path.parent.name}/{path.name}"
