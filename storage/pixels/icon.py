"""A small neutral picture for what has no pixels of its own: reports, documents, waveforms, video."""

from index.records import RenderOptions


def draw(label: str, options: RenderOptions) -> bytes:
    """A square JPEG or PNG with `label` (the Modality: `SR`, `KO`, `ECG`) on it, within `options.viewport`."""
    raise NotImplementedError
