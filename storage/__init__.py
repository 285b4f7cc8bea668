"""The archive: bytes, pixels, ingest and retrieve, behind one door (`storage.archive`)."""
