"""Radiology reports and their DICOM SR documents (the report panel arrives with its own issue)."""
