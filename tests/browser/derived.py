"""Objects that refer to images or hold no image, made for the tests of the viewer; each of a study of its own."""

from collections.abc import Sequence

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import pack_bits
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.samples import sample

SLICES = ("I100", "I110", "I120")
TABLE_SQUARE = (slice(150, 350), slice(150, 350))
"""Rows and columns of what is marked in the pictures of a phantom of 512 x 512 pixels."""


def head() -> list[Dataset]:
    """Three neighbouring CT slices as a study of their own, the lowest first."""
    study, series, frame_of_reference = generate_uid(), generate_uid(), generate_uid()
    images = [pydicom.dcmread(sample(f"ct_head_phantom_54/{name}.dcm")) for name in SLICES]
    for ds in images:
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame_of_reference
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.PatientName, ds.PatientID = "Mixed^Bag", study[-12:]
    return images


def again(name: str, study: str = "") -> Dataset:
    """A sample as a new object, of a new study unless one is named."""
    ds = pydicom.dcmread(sample(name))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study or generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID = "Mixed^Bag", ds.StudyInstanceUID[-12:]
    return ds


def beside(source: Dataset, sop_class_uid: str, modality: str, number: int) -> Dataset:
    """A new object of another series of the same study."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class_uid
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime"):
        setattr(ds, keyword, source.get(keyword))
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.InstanceNumber, ds.Modality = generate_uid(), number, 1, modality
    return ds


def items(*rows: dict[str, object]) -> list[Dataset]:
    """Items of a sequence."""
    made = []
    for row in rows:
        item = Dataset()
        for keyword, value in row.items():
            setattr(item, keyword, value)
        made.append(item)
    return made


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """One code as an item of a sequence."""
    return items({"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning})


def references(images: Sequence[Dataset]) -> list[Dataset]:
    """Items that name images."""
    return items(
        *({"ReferencedSOPClassUID": ds.SOPClassUID, "ReferencedSOPInstanceUID": ds.SOPInstanceUID} for ds in images)
    )


def segmentation(images: Sequence[Dataset]) -> Dataset:
    """A square in every slice (PS3.3 A.51)."""
    first = images[0]
    ds = beside(first, "1.2.840.10008.5.1.4.1.1.66.4", "SEG", 902)
    ds.SeriesDescription, ds.ContentLabel, ds.FrameOfReferenceUID = "Square", "SQUARE", first.FrameOfReferenceUID
    ds.ImageType, ds.SegmentationType = ["DERIVED", "PRIMARY"], "BINARY"
    ds.Rows, ds.Columns, ds.NumberOfFrames = first.Rows, first.Columns, len(images)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.LossyImageCompression = 1, 1, 0, "00"
    tissue = code("85756007", "SCT", "Tissue")
    ds.SegmentSequence = items(
        {
            "SegmentNumber": 1,
            "SegmentLabel": "Test square",
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": tissue,
            "SegmentedPropertyTypeCodeSequence": tissue,
        }
    )
    ds.ReferencedSeriesSequence = items(
        {"SeriesInstanceUID": first.SeriesInstanceUID, "ReferencedInstanceSequence": references(images)}
    )
    dimension = generate_uid()
    ds.DimensionOrganizationSequence = items({"DimensionOrganizationUID": dimension})
    ds.DimensionIndexSequence = items(
        {
            "DimensionOrganizationUID": dimension,
            "DimensionIndexPointer": 0x0062000B,
            "FunctionalGroupPointer": 0x0062000A,
        },
        {
            "DimensionOrganizationUID": dimension,
            "DimensionIndexPointer": 0x00200032,
            "FunctionalGroupPointer": 0x00209113,
        },
    )
    measures = {"PixelSpacing": first.PixelSpacing, "SliceThickness": first.SliceThickness}
    ds.SharedFunctionalGroupsSequence = items(
        {
            "PixelMeasuresSequence": items(measures),
            "PlaneOrientationSequence": items({"ImageOrientationPatient": first.ImageOrientationPatient}),
        }
    )
    ds.PerFrameFunctionalGroupsSequence = items(
        *(
            {
                "FrameContentSequence": items({"DimensionIndexValues": [1, number]}),
                "PlanePositionSequence": items({"ImagePositionPatient": image.ImagePositionPatient}),
                "SegmentIdentificationSequence": items({"ReferencedSegmentNumber": 1}),
                "DerivationImageSequence": items(
                    {
                        "DerivationCodeSequence": code("113076", "DCM", "Segmentation"),
                        "SourceImageSequence": references([image]),
                    }
                ),
            }
            for number, image in enumerate(images, 1)
        )
    )
    mask = np.zeros((len(images), first.Rows, first.Columns), np.uint8)
    mask[:, *TABLE_SQUARE] = 1
    ds.PixelData = pack_bits(mask)
    ds["PixelData"].VR = "OB"
    return ds


def structure_set(images: Sequence[Dataset]) -> Dataset:
    """A square contour in every slice, in its plane (PS3.3 A.19)."""
    first = images[0]
    ds = pydicom.dcmread(sample("generated/rtstruct.dcm"))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID = first.PatientName, first.PatientID
    ds.FrameOfReferenceUID = first.FrameOfReferenceUID
    frame = ds.ReferencedFrameOfReferenceSequence[0]
    frame.FrameOfReferenceUID = ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = first.FrameOfReferenceUID
    study = frame.RTReferencedStudySequence[0]
    study.ReferencedSOPInstanceUID = first.StudyInstanceUID
    study.RTReferencedSeriesSequence[0].SeriesInstanceUID = first.SeriesInstanceUID
    study.RTReferencedSeriesSequence[0].ContourImageSequence = references(images)
    ds.ROIContourSequence[0].ContourSequence = items(
        *(
            {
                "ContourImageSequence": references([image]),
                "ContourGeometricType": "CLOSED_PLANAR",
                "NumberOfContourPoints": 4,
                "ContourData": [round(value, 4) for corner in _corners() for value in _position(image, *corner)],
            }
            for image in images
        )
    )
    return ds


def _corners() -> list[tuple[int, int]]:
    rows, columns = TABLE_SQUARE
    return [
        (rows.start, columns.start),
        (rows.start, columns.stop),
        (rows.stop, columns.stop),
        (rows.stop, columns.start),
    ]


def _position(image: Dataset, row: int, column: int) -> list[float]:
    """Where a pixel is in the patient, in mm (PS3.3 C.7.6.2.1.1)."""
    orientation = np.array(image.ImageOrientationPatient, float)
    spacing = [float(value) for value in image.PixelSpacing]
    along = orientation[:3] * spacing[1] * column + orientation[3:] * spacing[0] * row
    return list(np.array(image.ImagePositionPatient, float) + along)


def report(source: Dataset, sop_class_uid: str, findings: str) -> Dataset:
    """A structured report of a heading, a text, a number and a name (PS3.3 A.35)."""
    ds = beside(source, sop_class_uid, "SR", 910)
    ds.ContentDate, ds.ContentTime, ds.CompletionFlag, ds.VerificationFlag = (
        "20240101",
        "120000",
        "COMPLETE",
        "UNVERIFIED",
    )
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = code("18782-3", "LN", "Radiology Study observation")
    contains = {"RelationshipType": "CONTAINS"}
    inside = [
        {
            **contains,
            "ValueType": "TEXT",
            "ConceptNameCodeSequence": _concept("121071", "Finding"),
            "TextValue": findings,
        },
    ]
    if sop_class_uid != "1.2.840.10008.5.1.4.1.1.88.11":  # Basic Text knows no numbers.
        value = {"NumericValue": "24", "MeasurementUnitsCodeSequence": code("mm", "UCUM", "mm")}
        inside.append(
            {
                **contains,
                "ValueType": "NUM",
                "ConceptNameCodeSequence": code("410668003", "SCT", "Length"),
                "MeasuredValueSequence": items(value),
            }
        )
    ds.ContentSequence = items(
        {
            "RelationshipType": "HAS OBS CONTEXT",
            "ValueType": "PNAME",
            "ConceptNameCodeSequence": _concept("121008", "Person Observer Name"),
            "PersonName": "Reader^Rita",
        },
        {
            **contains,
            "ValueType": "CONTAINER",
            "ContinuityOfContent": "SEPARATE",
            "ConceptNameCodeSequence": _concept("121070", "Findings"),
            "ContentSequence": items(*inside),
        },
    )
    return ds


def _concept(value: str, meaning: str) -> list[Dataset]:
    return code(*Code(value, "DCM", meaning)[:3])


def video(sop_class_uid: str, modality: str, transfer_syntax_uid: str, file: str) -> Dataset:
    """A video of 64 x 64 pixels."""
    stream = sample(f"video/{file}").read_bytes()
    ds = beside(again("generated/encapsulated_pdf.dcm"), sop_class_uid, modality, 1)
    ds.PatientName, ds.SeriesDescription = "Moving^Picture", "Film"
    ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.CineRate, ds.FrameTime = 64, 64, 10, 10, "100"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_PARTIAL_420", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = encapsulate([stream + b"\0" * (len(stream) % 2)], has_bot=False)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds
