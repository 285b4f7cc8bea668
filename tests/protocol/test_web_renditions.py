"""Renditions as clients see them: made by the worker, announced, and sent by transfer syntax, whole and in ranges."""

import io
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless
from pynetdicom.presentation import build_context

from tests.associations import CT, STUDY_GET, dcmtk, keys, scu
from tests.command import run, wait_until
from tests.conftest import Server, start
from tests.protocol.web import dataset_bytes, parts_of, path_of, read, stow
from tests.samples import sample

SLICE = sample("ct_head_phantom_54/I100.dcm")
COLOUR = sample("us/examples_rgb_color.dcm")
FRAMES = sample("ct_legacy_converted_enhanced/mf.dcm")
LOSSY = sample("ct_syntaxes/JPEGLSLossy.dcm")
SYNTAXES = "00083002"


@dataclass
class Archive:
    """A server with rules, and renditions of what its rules name."""

    server: Server
    client: httpx.Client

    def frame(self, path: Path, number: int, accept: str, **headers: str) -> httpx.Response:
        url = f"{path_of(read(path))}/frames/{number}"
        return self.client.get(url, headers={"Accept": accept, **headers})

    def syntaxes(self, path: Path) -> list[str]:
        """The transfer syntaxes in which the archive says that it has an instance."""
        ds = read(path)
        parameters = {"SOPInstanceUID": str(ds.SOPInstanceUID)}
        (found,) = self.client.get(f"/studies/{ds.StudyInstanceUID}/instances", params=parameters).json()
        return found[SYNTAXES]["Value"]

    def kept(self) -> dict[str, pydicom.Dataset]:
        """The renditions as they lie in the object store, by SOP Instance UID."""
        files = (self.server.folder / "data" / "objects" / "=renditions").rglob("*.dcm")
        return {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, files)}

    def kept_frame(self, path: Path, number: int) -> bytes:
        ds = self.kept()[str(read(path).SOPInstanceUID)]
        frames = pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1)))
        return list(frames)[number - 1]

    def original(self, path: Path) -> Path:
        """The file that holds what was received."""
        data = path.read_bytes()[-5000:]
        objects = self.server.folder / "data" / "objects"
        found = [
            one for one in objects.rglob("*.dcm") if "=renditions" not in one.parts and one.read_bytes()[-5000:] == data
        ]
        return found[0]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    rules = [{"modalities": ["CT"]}, {"modalities": ["US"], "minimum_bytes": 100_000}]
    server = start(tmp_path_factory.mktemp("renditions"), renditions={"rules": rules, "after_seconds": 0})
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        found = Archive(server, client)
        assert stow(client, *(path.read_bytes() for path in (SLICE, COLOUR, FRAMES, LOSSY))).status_code == 200
        for path in (SLICE, COLOUR, FRAMES):
            wait_until(lambda path=path: len(found.syntaxes(path)) == 2, 60)
        yield found
    server.stop()


def test_they_are_announced_and_found(archive: Archive) -> None:
    assert archive.syntaxes(SLICE) == [ExplicitVRLittleEndian, HTJ2KLosslessRPCL]
    assert archive.syntaxes(LOSSY) == ["1.2.840.10008.1.2.4.81"]
    for value, expected in {
        HTJ2KLosslessRPCL: {SLICE, COLOUR, FRAMES},
        f"{HTJ2KLosslessRPCL},{HTJ2KLossless}": {SLICE, COLOUR, FRAMES},
        "1.2.840.10008.1.2.4.81": {LOSSY},
        HTJ2KLossless: set(),
    }.items():
        answer = archive.client.get("/instances", params={"AvailableTransferSyntaxUID": value})
        found = {one["00080018"]["Value"][0] for one in answer.json()} if answer.status_code == 200 else set()
        assert found == {str(read(path).SOPInstanceUID) for path in expected}, value
    study, series = (str(read(SLICE)[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID"))
    identifier = keys("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, AvailableTransferSyntaxUID="")
    found = dcmtk_find(archive.server, identifier)
    assert list(found.AvailableTransferSyntaxUID) == [ExplicitVRLittleEndian, HTJ2KLosslessRPCL]


def dcmtk_find(server: Server, identifier: pydicom.Dataset) -> pydicom.Dataset:
    model = "1.2.840.10008.5.1.4.1.2.2.1"
    with scu(server, [build_context(model)]) as association:
        return next(found for _, found in association.send_c_find(identifier, model) if found is not None)


@pytest.mark.parametrize(("path", "number"), [(SLICE, 1), (COLOUR, 1), (FRAMES, 2)], ids=["ct", "colour", "frames"])
def test_a_frame_is_the_rendition(archive: Archive, path: Path, number: int) -> None:
    expected = archive.kept_frame(path, number)
    for syntax in (HTJ2KLosslessRPCL, HTJ2KLossless):
        kind = f"image/jphc;transfer-syntax={syntax}"
        single = archive.frame(path, number, kind)
        assert (single.status_code, single.headers["content-type"], single.content) == (200, kind, expected)
        several = archive.frame(path, number, f'multipart/related; type="image/jphc"; transfer-syntax={syntax}')
        assert parts_of(several) == [(kind, expected)]
        octets = archive.frame(
            path, number, f"multipart/related; type=application/octet-stream; transfer-syntax={syntax}"
        )
        assert parts_of(octets)[0][1] == expected
    original = read(path).pixel_array
    assert np.array_equal(imagecodecs.htj2k_decode(expected), original[number - 1] if path == FRAMES else original)
    uri = f"{path_of(read(path))}/bulkdata/7FE00010"
    bulk = archive.client.get(
        uri, headers={"Accept": f'multipart/related; type="image/jphc"; transfer-syntax={HTJ2KLosslessRPCL}'}
    )
    assert parts_of(bulk)[number - 1][1] == expected


def test_ranges_and_tags(archive: Archive) -> None:
    kind = f"image/jphc;transfer-syntax={HTJ2KLosslessRPCL}"
    whole = archive.frame(SLICE, 1, kind)
    part = archive.frame(SLICE, 1, kind, Range="bytes=0-4095", **{"If-Range": whole.headers["etag"]})
    assert part.status_code == 206 and part.content == whole.content[:4096]
    assert part.headers["content-range"] == f"bytes 0-4095/{len(whole.content)}"
    rest = archive.frame(SLICE, 1, kind, Range="bytes=4096-")
    assert part.content + rest.content == whole.content
    assert archive.frame(SLICE, 1, kind, Range=f"bytes={len(whole.content)}-").status_code == 416
    assert archive.frame(SLICE, 1, kind, **{"If-None-Match": whole.headers["etag"]}).status_code == 304
    stored = archive.frame(SLICE, 1, "application/octet-stream;transfer-syntax=*")
    renamed = archive.frame(SLICE, 1, f"image/jphc;transfer-syntax={HTJ2KLossless}")
    assert len({answer.headers["etag"] for answer in (whole, stored, renamed)}) == 3
    assert archive.frame(SLICE, 1, kind, **{"If-None-Match": stored.headers["etag"]}).status_code == 200


def test_the_beginning_of_a_frame_is_a_small_picture(archive: Archive) -> None:
    """Resolution by resolution, smallest first, is what RPCL is for: an eighth of each side is in the first 16 KB."""
    kind = f"image/jphc;transfer-syntax={HTJ2KLosslessRPCL}"
    beginning = archive.frame(SLICE, 1, kind, Range="bytes=0-16383").content
    small = imagecodecs.htj2k_decode(beginning, skipres=3, resilient=True)
    assert np.array_equal(small, imagecodecs.htj2k_decode(archive.frame(SLICE, 1, kind).content, skipres=3))
    coarse = read(SLICE).pixel_array.reshape(64, 8, 64, 8).mean(axis=(1, 3))
    # Below black, where a wavelet may swing to, the library's numbers come round at the other end.
    assert np.corrcoef(small.astype("i2").ravel(), coarse.ravel())[0, 1] > 0.8


def test_who_takes_anything_gets_what_was_stored(archive: Archive) -> None:
    answer = archive.frame(SLICE, 1, "multipart/related; type=application/octet-stream; transfer-syntax=*")
    assert parts_of(answer)[0] == (
        f"application/octet-stream;transfer-syntax={ExplicitVRLittleEndian}",
        read(SLICE).PixelData,
    )
    whole = archive.client.get(path_of(read(SLICE)), headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert read(whole.content).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def complaints(file: bytes, path: Path) -> set[str]:
    """What dciodvfy calls errors; HTJ2K, which it does not know, goes by the name of JPEG 2000, which looks alike."""
    meta, written = read(file).file_meta, io.BytesIO()
    if meta.TransferSyntaxUID in (HTJ2KLosslessRPCL, HTJ2KLossless):
        meta.TransferSyntaxUID = JPEG2000Lossless
    pydicom.filewriter.write_file_meta_info(written, meta)
    path.with_suffix(".checked").write_bytes(bytes(128) + b"DICM" + written.getvalue() + dataset_bytes(file))
    path.write_bytes(file)
    checked = subprocess.run(["dciodvfy", "-new", path.with_suffix(".checked")], capture_output=True, text=True)
    return {line for line in checked.stderr.splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("syntax", [HTJ2KLosslessRPCL, HTJ2KLossless])
@pytest.mark.parametrize("path", [SLICE, COLOUR, FRAMES], ids=["ct", "colour", "frames"])
def test_whole_objects(archive: Archive, path: Path, syntax: str, tmp_path: Path) -> None:
    accept = {"Accept": f"application/dicom; transfer-syntax={syntax}"}
    answer = archive.client.get(path_of(read(path)), headers=accept)
    assert answer.status_code == 200 and answer.headers["content-type"] == accept["Accept"]
    made = read(answer.content)
    assert made.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(made.pixel_array, read(path).pixel_array)
    assert complaints(answer.content, tmp_path / "made") <= complaints(path.read_bytes(), tmp_path / "original")
    assert syntax in dcmtk("dcmdump", "-Un", tmp_path / "made")
    part = archive.client.get(path_of(read(path)), headers={**accept, "Range": "bytes=100-399"})
    assert (part.status_code, part.content) == (206, answer.content[100:400])
    study = archive.client.get(
        f"/studies/{read(path).StudyInstanceUID}",
        headers={"Accept": f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'},
    )
    assert answer.content in [data for _, data in parts_of(study)]


def test_a_peer_that_takes_htj2k_alone(archive: Archive) -> None:
    received = []

    def receive(event):
        received.append(event.dataset)
        return 0

    contexts = [build_context(STUDY_GET), build_context(CT, [HTJ2KLosslessRPCL])]
    with scu(archive.server, contexts, receive=receive, scp_of=[CT]) as association:
        wanted = keys("STUDY", StudyInstanceUID=str(read(SLICE).StudyInstanceUID))
        statuses = [status.Status for status, _ in association.send_c_get(wanted, STUDY_GET)]
    assert statuses[-1] == 0
    (ds,) = received
    assert ds.PixelData == archive.kept()[str(ds.SOPInstanceUID)].PixelData


def test_nothing_is_encoded_when_it_is_read(archive: Archive) -> None:
    """The original is away, so nothing could be."""
    original = archive.original(COLOUR)
    aside = original.rename(original.with_suffix(".away"))
    try:
        kind = f"image/jphc;transfer-syntax={HTJ2KLosslessRPCL}"
        assert archive.frame(COLOUR, 1, kind).content == archive.kept_frame(COLOUR, 1)
        accept = {"Accept": f"application/dicom; transfer-syntax={HTJ2KLosslessRPCL}"}
        assert archive.client.get(path_of(read(COLOUR)), headers=accept).status_code == 200
    finally:
        aside.rename(original)


def test_the_command(archive: Archive) -> None:
    def pacs(*arguments: str) -> list[str]:
        done = run(archive.server.folder, "--config", "pacs.toml", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    listed = pacs("renditions", "list")[1:]
    assert sum(" none " not in line for line in listed) == 3
    assert [line.endswith("compressed with loss") for line in listed if " none " in line] == [True]
    assert pacs("verify")[-1] == "7 checked, 0 damaged"
    study = str(read(FRAMES).StudyInstanceUID)
    assert pacs("renditions", "drop", "--study", study) == ["1 removed."]
    assert archive.syntaxes(FRAMES) == [ExplicitVRLittleEndian]
    assert archive.frame(FRAMES, 1, f"image/jphc;transfer-syntax={HTJ2KLossless}").status_code == 200
    assert pacs("renditions", "make") == ["1 made"]
    assert archive.syntaxes(FRAMES) == [ExplicitVRLittleEndian, HTJ2KLosslessRPCL]


def test_without_rules_there_is_nothing(server: Server) -> None:
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        assert stow(client, SLICE.read_bytes()).status_code in (200, 202)
    with sqlite3.connect(server.folder / "data" / "index.sqlite") as index:
        assert index.execute("SELECT count(*) FROM renditions").fetchone() == (0,)
        assert index.execute("SELECT count(*) FROM jobs WHERE kind = 'rendition'").fetchone() == (0,)
    index.close()
    assert not (server.folder / "data" / "objects" / "=renditions").exists()
