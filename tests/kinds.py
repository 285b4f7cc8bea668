"""Images of the kinds that hospitals have, made by rule: conforming to PS3.3 (a test asks dciodvfy), with a picture
that is nowhere symmetric, so that a turned or mirrored one is noticed."""

import io
from datetime import date
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

_CLASS = "1.2.840.10008.5.1.4.1.1."


def phantom(rows: int, columns: int, turn: float = 0.0) -> np.ndarray:
    """A picture from 0 to 1: a body, two unequal organs, a ramp, a bright spot that goes round with `turn`."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    picture = np.where((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1, 0.35 + 0.15 * x, 0.0)
    picture[((x + 0.35) / 0.2) ** 2 + ((y + 0.2) / 0.35) ** 2 < 1] = 0.75
    picture[((x - 0.3) / 0.15) ** 2 + ((y - 0.35) / 0.15) ** 2 < 1] = 0.1
    angle = 2 * np.pi * turn
    picture[(x - 0.55 * np.cos(angle)) ** 2 + (y - 0.55 * np.sin(angle)) ** 2 < 0.02] = 1.0
    return picture


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def study(kind: str, modality: str, sop_class: str, *, number: int = 1, **attributes: Any) -> Dataset:
    """The patient, study, series and equipment modules; `kind` makes the UIDs, `number` the instance of one series."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = _CLASS + sop_class
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["kinds", kind, "instance", str(number)])
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["kinds", kind, "study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["kinds", kind, "series"])
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = f"Kinds^{kind}", f"K-{kind}", "19600101", "O"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = date(2024, 5, 17).strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = "101500"
    ds.AccessionNumber, ds.StudyID, ds.ReferringPhysicianName = "", "1", ""
    ds.StudyDescription = ds.SeriesDescription = kind
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = modality, 1, number, 1
    ds.Manufacturer, ds.PatientOrientation, ds.Laterality = "Made by rule", "", ""
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def grey(ds: Dataset, pixels: np.ndarray, bits: int, **attributes: Any) -> Dataset:
    """Pixels of (rows, columns) or (frames, rows, columns), unsigned or signed, with so many bits stored."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.add_new(0x7FE00010, "OW" if bits > 8 else "OB", pixels.tobytes())
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def compressed(ds: Dataset, frames: list[bytes], photometric: str) -> Dataset:
    """Frames that are JPEG baseline."""
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PhotometricInterpretation, ds.NumberOfFrames = photometric, len(frames)
    ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", "10"
    ds.LossyImageCompressionMethod = "ISO_10918_1"
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    return ds


def written(ds: Dataset) -> bytes:
    """A Part 10 file."""
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _grid(ds: Dataset, position: tuple[float, float, float], *, slope: float = 0.0) -> None:
    """Axial, or leaning back by `slope` as a tilted gantry does (PS3.3 C.7.6.2)."""
    down = np.array([0.0, 1.0, -slope]) / np.hypot(1.0, slope)
    ds.ImagePositionPatient = [round(float(value), 4) for value in position]
    ds.ImageOrientationPatient = [1, 0, 0, *(round(float(value), 6) for value in down)]
    ds.PixelSpacing, ds.SliceThickness = [1.5, 1.5], 2
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["kinds", str(ds.PatientID), "frame of reference"])
    ds.PositionReferenceIndicator, ds.PatientPosition = "", "HFS"


def ct(kind: str, heights: list[float], *, slope: float = 0.0) -> list[Dataset]:
    """A stack of axial slices at these heights in mm, 160 x 160, in which the spot goes round from slice to slice."""
    found = []
    for index, height in enumerate(heights):
        ds = study(kind, "CT", "2", number=index + 1, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
        ds.KVP, ds.RescaleIntercept, ds.RescaleSlope = 120, -1024, 1
        ds.WindowCenter, ds.WindowWidth = 100, 1200
        ds.GantryDetectorTilt = round(float(np.degrees(np.arctan(slope))), 2)
        _grid(ds, (-120, -120, height), slope=slope)
        values = phantom(160, 160, index / len(heights)) * 1400 + 400
        found.append(grey(ds, values.astype("<u2"), 12))
    return found


def scout() -> Dataset:
    """A localizer: one large image that is no slice of anything."""
    ds = study("scout", "CT", "2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ds.KVP, ds.RescaleIntercept, ds.RescaleSlope, ds.WindowCenter, ds.WindowWidth = 120, -1024, 1, 0, 1500
    _grid(ds, (-200, 0, 300))
    ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return grey(ds, (phantom(400, 256) * 1500 + 300).astype("<u2"), 12)


def mr() -> Dataset:
    """An MR image without a window of its own."""
    ds = study("mr", "MR", "4", ImageType=["ORIGINAL", "PRIMARY", "M"], ScanningSequence="SE", SequenceVariant="NONE")
    ds.ScanOptions, ds.MRAcquisitionType, ds.EchoTime, ds.RepetitionTime, ds.EchoTrainLength = "", "2D", 20, 500, 1
    _grid(ds, (-120, -120, 0))
    return grey(ds, (phantom(192, 160) * 900).astype("<u2"), 12)


def cr() -> Dataset:
    """A computed radiograph whose high values are dark."""
    ds = study("cr", "CR", "1", BodyPartExamined="HAND", ViewPosition="PA")
    ds.WindowCenter, ds.WindowWidth = 512, 1024
    return grey(ds, (phantom(500, 400) * 1023).astype("<u2"), 10, PhotometricInterpretation="MONOCHROME1")


def _x_ray(ds: Dataset) -> None:
    """The DX modules that mammograms have too (PS3.3 C.8.11)."""
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PatientOrientation, ds.BurnedInAnnotation, ds.LossyImageCompression = ["A", "F"], "NO", "00"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape, ds.DetectorType, ds.ImagerPixelSpacing = "IDENTITY", "DIRECT", [0.1, 0.1]
    ds.AcquisitionContextSequence = Sequence()
    ds.ImageLaterality = "L"
    del ds.Laterality


def mg() -> Dataset:
    """A mammogram that names its VOI LUT Function, with several windows."""
    ds = study("mg", "MG", "1.2", ImageType=["ORIGINAL", "PRIMARY", ""])
    _x_ray(ds)
    ds.PositionerType, ds.OrganExposed, ds.PositionerPrimaryAngle = "MAMMOGRAPHIC", "BREAST", 0
    ds.AnatomicRegionSequence = [_code("76752008", "SCT", "Breast")]
    view = _code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = Sequence()
    ds.ViewCodeSequence = [view]
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = [1800, 2400], [2400, 1500], "SIGMOID"
    ds.WindowCenterWidthExplanation = ["NORMAL", "HARDER"]
    return grey(ds, (phantom(1024, 768) * 3600).astype("<u2"), 12)


def xa() -> Dataset:
    """An angiogram: ten frames in which the spot goes round, JPEG baseline."""
    ds = study("xa", "XA", "12.1", ImageType=["ORIGINAL", "PRIMARY", "SINGLE PLANE"], BitsStored=8)
    ds.RadiationSetting, ds.KVP, ds.PixelIntensityRelationship = "GR", 80, "LIN"
    ds.XRayTubeCurrent, ds.ExposureTime = 100, 10
    ds.FrameTime, ds.FrameIncrementPointer = 100, 0x00181063
    ds.PositionerMotion, ds.PositionerPrimaryAngle, ds.PositionerSecondaryAngle = "STATIC", 0, 0
    pictures = [(phantom(256, 256, turn / 10) * 255).astype(np.uint8) for turn in range(10)]
    grey(ds, np.stack(pictures), 8)
    return compressed(ds, [imagecodecs.jpeg8_encode(picture, level=90) for picture in pictures], "MONOCHROME2")


def nm() -> Dataset:
    """A static acquisition of four frames: one detector, four energy windows (PS3.3 C.8.4.8)."""
    ds = study("nm", "NM", "20", ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"])
    ds.FrameIncrementPointer = [0x00540010, 0x00540020]
    ds.EnergyWindowVector, ds.NumberOfEnergyWindows = [1, 2, 3, 4], 4
    ds.DetectorVector, ds.NumberOfDetectors = [1, 1, 1, 1], 1
    ds.PixelSpacing, ds.CountsAccumulated, ds.ActualFrameDuration = [4, 4], 100_000, 60_000
    ds.EnergyWindowInformationSequence = [
        _item(EnergyWindowRangeSequence=[_item(EnergyWindowLowerLimit=126, EnergyWindowUpperLimit=154)])
        for _ in range(4)
    ]
    ds.RadiopharmaceuticalInformationSequence = [
        _item(RadionuclideCodeSequence=[_code("C-163A8", "SRT", "^99m^Technetium")], EnergyWindowNumber=number)
        for number in range(1, 5)
    ]
    ds.DetectorInformationSequence = [
        _item(
            CollimatorType="PARA",
            FocalDistance="",
            ImagePositionPatient=[-126, -126, 0],
            ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
            ViewCodeSequence=[_code("R-10206", "SRT", "Anterior")],
        )
    ]
    ds.PatientOrientationCodeSequence = [_code("F-10450", "SRT", "recumbent")]
    ds.PatientGantryRelationshipCodeSequence = [_code("F-10470", "SRT", "headfirst")]
    ds.WindowCenter, ds.WindowWidth = 100, 200
    frames = np.stack([phantom(64, 64, turn / 4) * 200 for turn in range(4)])
    return grey(ds, frames.astype("<u2"), 16)


def _ultrasound(kind: str, sop_class: str) -> Dataset:
    ds = study(kind, "US", sop_class, ImageType=["ORIGINAL", "PRIMARY", "", "0001"], LossyImageCompression="00")
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    return ds


def coloured(rows: int, columns: int, turn: float = 0.0) -> np.ndarray:
    """(rows, columns, 3) of RGB: the phantom with red where it is to the left and blue where it is low."""
    picture = phantom(rows, columns, turn)[..., None] * np.ones(3)
    picture[:, : columns // 4, 1:] *= 0.4
    picture[rows * 3 // 4 :, :, :2] *= 0.4
    return (picture * 255).astype(np.uint8)


def us_half_colour() -> Dataset:
    """Uncompressed YBR_FULL_422."""
    ds = _ultrasound("us half colour", "6.1")
    rgb = coloured(240, 320).astype(float)
    luma = rgb @ [0.299, 0.587, 0.114]
    blue, red = (0.5 * (rgb[..., 2] - luma) / 0.886 + 128, 0.5 * (rgb[..., 0] - luma) / 0.701 + 128)
    packed = np.stack([luma[:, ::2], luma[:, 1::2], blue[:, ::2], red[:, ::2]], axis=2).clip(0, 255).astype(np.uint8)
    ds.PhotometricInterpretation, ds.Rows, ds.Columns = "YBR_FULL_422", *rgb.shape[:2]
    ds.PixelData = packed.tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def us_retired() -> Dataset:
    """The ultrasound class of 1993, RGB."""
    ds = _ultrasound("us retired", "6")
    rgb = coloured(240, 320)
    ds.PhotometricInterpretation, ds.Rows, ds.Columns = "RGB", *rgb.shape[:2]
    ds.PixelData = rgb.tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def us_cine(frames: int, *, rows: int = 480, columns: int = 640) -> Dataset:
    """A loop in colour, JPEG baseline, with the speckle that makes real ones large; 25 frames a second."""
    ds = _ultrasound("us cine", "3.1")
    speckle = np.random.default_rng(1).integers(0, 60, (rows, columns, 1))
    encoded = []
    for index in range(frames):
        noisy = coloured(rows, columns, index / 50) * 0.75 + np.roll(speckle, index * 7, axis=1)
        encoded.append(imagecodecs.jpeg8_encode(noisy.astype(np.uint8), level=80, subsampling="422"))
    ds.Rows, ds.Columns = rows, columns
    ds.FrameTime, ds.FrameIncrementPointer, ds.CineRate = 40, 0x00181063, 25
    return compressed(ds, encoded, "YBR_FULL_422")
