"""Rejection notes as another archive or a workstation sends them: made with pydicom and nothing of ours."""

from collections.abc import Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
QUALITY, SAFETY, WORKLIST, RETENTION = "113001", "113037", "113038", "113039"
CODES = (QUALITY, SAFETY, WORKLIST, RETENTION)


def a_note(code: str, rejected: Sequence[Dataset], scheme: str = "DCM", *, by_content: bool = False) -> Dataset:
    """A Key Object Selection document that names instances of one study, in its evidence or only in its content."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = KEY_OBJECTS
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = rejected[0].StudyInstanceUID, generate_uid()
    ds.PatientID, ds.PatientName = rejected[0].PatientID, rejected[0].PatientName
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "KO", 99, 1
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = code, scheme, "Rejected"
    ds.ConceptNameCodeSequence = [title]
    items = [(one.SeriesInstanceUID, _reference(one)) for one in rejected]
    if by_content:
        ds.ContentSequence = [_content(reference) for _, reference in items]
        return ds
    evidence = Dataset()
    evidence.StudyInstanceUID = ds.StudyInstanceUID
    evidence.ReferencedSeriesSequence = []
    for uid in dict.fromkeys(uid for uid, _ in items):
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedSOPSequence = [reference for of, reference in items if of == uid]
        evidence.ReferencedSeriesSequence.append(series)
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence]
    return ds


def _reference(one: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = one.SOPClassUID
    reference.ReferencedSOPInstanceUID = one.SOPInstanceUID
    return reference


def _content(reference: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = [reference]
    return item
