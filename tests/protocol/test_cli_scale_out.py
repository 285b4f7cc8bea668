"""The whole server on PostgreSQL and a real S3 protocol server, several processes of each kind."""

import hashlib
import subprocess
from dataclasses import asdict
from pathlib import Path

import httpx
import pydicom

from tests import s3
from tests.command import run
from tests.conftest import StartServer
from tests.samples import shipped_files
from tests.servers import postgresql_url

WITHOUT_UIDS = ("chrSQEncoding.dcm", "chrSQEncoding1.dcm")


def data_set_digest(content: bytes) -> str:
    """SHA-256 of the bytes after the meta group of a Part 10 file."""
    stream = pydicom.filebase.DicomBytesIO(content)
    stream.seek(132)
    pydicom.filereader._read_file_meta_info(stream)
    return hashlib.sha256(stream.read()).hexdigest()


def test_what_goes_in_by_dimse_comes_out_of_all_processes(start_server: StartServer, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    server = start_server(
        database={"url": postgresql_url()},
        storage=asdict(s3.storage(spool)),
        web={"workers": 2},
        dimse={"processes": 2},
    )
    files = [file for file in shipped_files() if file.parent.name == "ct_head_phantom_54"]
    assert files
    address = ["-aec", server.ae_title, "127.0.0.1", str(server.dimse_port)]
    subprocess.run(["storescu", "-R", *address, *map(str, files)], check=True)
    for file in files:
        ds = pydicom.dcmread(file, stop_before_pixels=True)
        path = f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        answer = httpx.get(f"{server.dicomweb_url}/{path}", headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert data_set_digest(answer.content) == data_set_digest(file.read_bytes())
    assert run(server.folder, "--config", "pacs.toml", "verify").stdout == f"{len(files)} checked, 0 damaged\n"
    assert run(server.folder, "--config", "pacs.toml", "doctor").returncode == 0
    assert not (server.folder / "data" / "objects").exists()
