"""Structured reports (PS3.3 C.17) from their metadata: the content tree, and pages and text made of it."""
