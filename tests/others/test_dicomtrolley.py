"""dicomtrolley, which researchers fetch studies with: each of its ways to search with each of its ways to fetch."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
import requests
from pydicom.uid import generate_uid

from tests.conftest import Server, start
from tests.protocol.web import stow, write
from tests.samples import sample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from dicomtrolley.core import QueryLevels
    from dicomtrolley.dicom_qr import DICOMQR, DICOMQuery
    from dicomtrolley.qido_rs import QidoRS, RelationalQuery
    from dicomtrolley.trolley import Trolley
    from dicomtrolley.wado_rs import WadoRS
    from dicomtrolley.wado_uri import WadoURI

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It asks for instances of a patient without negotiating relational queries, which only a setting allows."""
    running = start(tmp_path_factory.mktemp("ours"), dimse={"relational_queries": "always"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def study(ours: Server) -> tuple[str, str, set[str]]:
    """A new study of two series with two images each: its UID, its patient's ID and its instances."""
    study_uid, patient = generate_uid(), "trolley"
    uids = set()
    with httpx.Client(base_url=ours.dicomweb_url) as client:
        for series_uid in (generate_uid(), generate_uid()):
            for name in ("I100", "I110"):
                ds = pydicom.dcmread(sample(f"ct_head_phantom_54/{name}.dcm"))
                ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = study_uid, series_uid, patient
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
                uids.add(str(ds.SOPInstanceUID))
                assert stow(client, write(ds)).status_code == 200
    return study_uid, patient, uids


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


def web(server: Server, session: requests.Session) -> tuple[Any, Callable[..., Any]]:
    return QidoRS(session=session, url=server.dicomweb_url), RelationalQuery


def dimse(server: Server, _session: requests.Session) -> tuple[Any, Callable[..., Any]]:
    return DICOMQR(host="127.0.0.1", port=server.dimse_port, aec=server.ae_title), DICOMQuery


@pytest.mark.parametrize("search", [web, dimse])
@pytest.mark.parametrize("fetch", ["rs", "uri"])
def test_find_and_download(
    ours: Server, session: requests.Session, study: tuple[str, str, set[str]], search: Any, fetch: str, tmp_path: Path
) -> None:
    searcher, query = search(ours, session)
    downloader = (
        WadoRS(session=session, url=ours.dicomweb_url)
        if fetch == "rs"
        else WadoURI(session=session, url=f"{ours.dicomweb_url}/wado")
    )
    trolley = Trolley(searcher=searcher, downloader=downloader)
    (found,) = trolley.find_studies(query(PatientID=study[1], query_level=QueryLevels.INSTANCE))
    assert found.uid == study[0]
    assert {instance.uid for series in found.series for instance in series.instances} == study[2]
    trolley.download([found], str(tmp_path))
    fetched = [pydicom.dcmread(path) for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(ds.SOPInstanceUID) for ds in fetched} == study[2]
    assert all(ds.pixel_array.shape == (512, 512) for ds in fetched)
