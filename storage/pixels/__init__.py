"""All decoding, encoding and rendering of pixels; the only importer of numpy and codecs."""
