"""Presentation states for tests, written by pydicom alone, and DCMTK's opinion about them."""

import io
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from index.records import RenderOptions
from storage.pixels.description import StoredFrame
from storage.pixels.render import render_frame
from tests.pixel_objects import LIMIT_BYTES, StoredObject, scanned, written

GREY, COLOUR, PSEUDO_COLOUR, BLENDING = (f"1.2.840.10008.5.1.4.1.1.11.{n}" for n in (1, 2, 3, 4))
PNG = RenderOptions(media_type="image/png")


def item(**attributes: object) -> Dataset:
    """An item of a sequence."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(
            ds,
            keyword,
            Sequence(value) if isinstance(value, list) and value and isinstance(value[0], Dataset) else value,
        )
    return ds


def reference(ds: Dataset, **attributes: object) -> Dataset:
    """An item that refers to an image."""
    return item(ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=ds.SOPInstanceUID, **attributes)


def state(*images: Dataset, sop_class_uid: str = GREY, **attributes: object) -> Dataset:
    """A presentation state for images of one series; the whole image is shown unless `attributes` say otherwise."""
    first = images[0]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    area = item(
        DisplayedAreaTopLeftHandCorner=[1, 1],
        DisplayedAreaBottomRightHandCorner=[first.Columns, first.Rows],
        PresentationSizeMode="SCALE TO FIT",
        PresentationPixelAspectRatio=[1, 1],
    )
    series = item(SeriesInstanceUID=first.SeriesInstanceUID, ReferencedImageSequence=[reference(ds) for ds in images])
    made = item(
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID=first.StudyInstanceUID,
        SeriesInstanceUID=generate_uid(),
        Modality="PR",
        PatientID=first.PatientID,
        PatientName="Test^State",
        PatientBirthDate="",
        PatientSex="",
        StudyDate="",
        StudyTime="",
        StudyID="",
        AccessionNumber="",
        ReferringPhysicianName="",
        SeriesNumber=1,
        Manufacturer="",
        ContentDescription="",
        ContentCreatorName="",
        ContentLabel="TEST",
        PresentationCreationDate="20240101",
        PresentationCreationTime="1200",
        InstanceNumber=1,
        ReferencedSeriesSequence=[series],
        DisplayedAreaSelectionSequence=[area],
    )
    if sop_class_uid == GREY:
        made.PresentationLUTShape = "IDENTITY"
    made.file_meta = meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    for keyword, value in item(**attributes).items():
        made[keyword] = value
    return made


def shown(stored: StoredObject, ds: Dataset | None, options: RenderOptions = PNG, *, number: int = 1) -> np.ndarray:
    """A frame as a presentation state shows it, or as it is."""
    held = None
    if ds is not None:
        made = scanned(written(ds))
        bulk = made.scanned.layout.bulk
        held = StoredFrame(
            b"", made.scanned.dataset, made.transfer_syntax_uid, bulk=lambda path: made._bytes(*bulk[path])
        )
    data = render_frame(stored.frame(number), options, limit_bytes=LIMIT_BYTES, state=held)
    return np.asarray(Image.open(io.BytesIO(data)))


def by_dcmtk(image: Path, ds: Dataset, folder: Path) -> np.ndarray:
    """The same by `dcmp2pgm`."""
    (folder / "state.dcm").write_bytes(written(ds))
    command = ["/usr/bin/dcmp2pgm", "-q", "-p", str(folder / "state.dcm"), str(image), str(folder / "out.pgm")]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(Image.open(folder / "out.pgm"))
