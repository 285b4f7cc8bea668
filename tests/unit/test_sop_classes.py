"""What counts as a storage class."""

import subprocess
import sys

import pytest

from storage.sop_classes import KNOWN, is_storage

SHOWN = "from storage import sop_classes; print(sorted(sop_classes.KNOWN), sop_classes.is_storage(N))"


@pytest.mark.parametrize("first", ["import pynetdicom.sop_class", "import dimse.server", "import pydicom.uid"])
def test_the_table_does_not_depend_on_who_imports_first(first):
    """pynetdicom adds to pydicom's dictionary of UIDs, which the table is made from."""
    program = f"N = '1.2.840.10008.5.1.4.1.1.999.1'; {first}; {SHOWN}"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"{sorted(KNOWN)} True"


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", True),
        ("1.2.840.10008.5.1.4.1.1.6", True),
        ("1.2.840.10008.5.1.4.1.1.999.1", True),
        ("1.2.840.10008.5.1.4.1.1.200.1", False),
        ("1.2.840.10008.5.1.4.38.1", False),
        ("1.2.840.10008.1.20.1", False),
        ("1.2.840.10008.1.3.10", False),
        ("1.2.840.10008.5.1.4.1.2.2.1", False),
        ("1.2.3", False),
        ("", False),
    ],
)
def test_storage_classes(uid, expected):
    assert is_storage(uid) is expected
