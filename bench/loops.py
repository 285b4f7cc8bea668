"""A loop of ultrasound: one instance of many frames in colour, as large as real ones."""

from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage

from bench.datasets import FileSet, Study

_ROWS, _COLUMNS = 480, 640
_FRAME_MS: Final = 40


def write_loop(into: Path, of: Study, frames: int) -> FileSet:
    """One multi-frame instance, JPEG baseline, 25 frames a second."""
    ds = Dataset()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = of.study_instance_uid, of.series_instance_uid
    ds.SOPClassUID, ds.SOPInstanceUID = UltrasoundMultiFrameImageStorage, of.instance_uid(1)
    ds.PatientName, ds.PatientID = of.patient_name, of.patient_id
    ds.StudyDate, ds.AccessionNumber, ds.Modality = of.study_date, of.accession_number, of.modality
    ds.SeriesNumber, ds.InstanceNumber = of.series_number, 1
    ds.Rows, ds.Columns, ds.NumberOfFrames = _ROWS, _COLUMNS, frames
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL_422", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.FrameTime, ds.CineRate, ds.FrameIncrementPointer = _FRAME_MS, 1000 // _FRAME_MS, 0x00181063
    ds.LossyImageCompression = "01"
    ds.PixelData = encapsulate([_frame(number) for number in range(frames)])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    folder = into / "client0"
    folder.mkdir(parents=True)
    path = folder / "loop.dcm"
    ds.save_as(path, enforce_file_format=True)
    return FileSet((folder,), of, 1, path.stat().st_size)


def _frame(number: int) -> bytes:
    """A sector that turns, with the speckle that makes real ones large."""
    rows, columns = np.mgrid[0:_ROWS, 0:_COLUMNS]
    depth, angle = np.hypot(rows, columns - _COLUMNS / 2), np.arctan2(columns - _COLUMNS / 2, rows + 1)
    inside = (depth < _ROWS) & (abs(angle) < 0.7)
    tissue = inside * (90 + 60 * np.sin(depth / 25 + number / 8) * np.cos(angle * 6 + number / 20))
    speckle = np.roll(np.random.default_rng(1).integers(0, 60, (_ROWS, _COLUMNS)), number * 7, axis=1) * inside
    grey = np.clip(tissue + speckle, 0, 255)
    coloured = np.stack([grey, grey * (1 - 0.3 * (angle > 0)), grey * 0.8], axis=-1).astype(np.uint8)
    encoded: bytes = imagecodecs.jpeg8_encode(coloured, level=80, subsampling="422")
    return encoded
