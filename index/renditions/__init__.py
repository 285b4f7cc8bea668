"""Renditions: which images get one, and where they are."""
