"""`pacs import`: everything a person may hand over comes in whole, or is refused with a reason."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.command import run
from tests.conftest import Server, environment, free_port, launch, to_toml

DEMO = Path(__file__).parents[2] / "pacs" / "demo" / "studies.zip"


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo slices as files: head_phantom/01.dcm to 14.dcm and head/01.dcm to 08.dcm."""
    folder = tmp_path_factory.mktemp("slices")
    with zipfile.ZipFile(DEMO) as archive:
        archive.extractall(folder)
    return folder


def stored_uids(folder: Path) -> list[str]:
    """SOP Instance UIDs of an archive, asked of a server that is started on it."""
    port = free_port()
    (folder / "pacs.toml").write_text(to_toml({"web": {"port": port}, "dimse": {"port": 0}}))
    process = launch(folder)
    try:
        answers = httpx.get(f"http://127.0.0.1:{port}/dicomweb/instances?limit=5000").json()
        return sorted(answer["00080018"]["Value"][0] for answer in answers)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def uids_of(*files: Path) -> list[str]:
    return sorted(str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files)


def test_folder(tmp_path: Path, slices: Path) -> None:
    first = run(tmp_path, "import", str(slices))
    assert (first.returncode, first.stdout) == (0, "22 stored\n")
    again = run(tmp_path, "import", str(slices))
    assert (again.returncode, again.stdout) == (0, "22 already there\n")
    assert stored_uids(tmp_path) == uids_of(*slices.rglob("*.dcm"))


def test_beside_a_running_server(server: Server, slices: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pacs", "-c", "pacs.toml", "import", str(slices / "head" / "01.dcm")],
        cwd=server.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "stored" in result.stdout or "already" in result.stdout
    uid = uids_of(slices / "head" / "01.dcm")[0]
    assert len(httpx.get(f"{server.dicomweb_url}/instances", params={"SOPInstanceUID": uid}).json()) == 1


def test_what_is_not_dicom_is_told_from_what_is_refused(tmp_path: Path, slices: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    whole = (slices / "head" / "01.dcm").read_bytes()
    (mixed / "good.dcm").write_bytes(whole)
    (mixed / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    (mixed / "viewer.exe").write_bytes(b"MZ" + bytes(1000))
    (mixed / "empty").touch()
    (mixed / "elsewhere").symlink_to(slices)
    result = run(tmp_path, "import", "mixed", "--report", "report.tsv")
    assert result.returncode == 1
    assert result.stdout == "1 stored, 2 not DICOM, 1 refused\n"
    assert "refused  mixed/cut.dcm: " in result.stderr
    report = [line.split("\t") for line in (tmp_path / "report.tsv").read_text().splitlines()]
    assert sorted(line[:2] for line in report) == [
        ["ignored", "mixed/empty"],
        ["ignored", "mixed/viewer.exe"],
        ["refused", "mixed/cut.dcm"],
    ]


def test_a_named_file_that_is_not_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    result = run(tmp_path, "import", "letter.txt", "nowhere.dcm")
    assert result.returncode == 1
    assert result.stdout == "2 refused\n"
    assert "refused  nowhere.dcm: there is no such file or folder" in result.stderr


def test_zip_writes_nothing_outside_and_reads_no_archive_in_an_archive(tmp_path: Path, slices: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(slices / "head" / "01.dcm", "../../escaped.dcm")
        archive.write(slices / "head" / "02.dcm", "/absolute.dcm")
        archive.write(DEMO, "nested.zip")
        archive.writestr(link, "/etc/passwd")
        archive.writestr("DICOMDIR", b"ignored")
    result = run(folder, "import", "study.zip")
    assert result.returncode == 1
    assert result.stdout == "2 stored, 2 refused\n"
    assert "nested.zip: is an archive inside an archive" in result.stderr
    assert "link.dcm: is a link" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}
    assert {path.name for path in folder.iterdir()} == {"study.zip", "data"}
    assert not Path("/absolute.dcm").exists()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"PACS_LIMITS_ARCHIVE_ENTRIES": "21"}, "limits.archive_entries = 21"),
        ({"PACS_LIMITS_ARCHIVE_BYTES": "1000000"}, "limits.archive_bytes = 1000000"),
    ],
)
def test_zip_beyond_its_limits_is_refused_whole(tmp_path: Path, variables: dict[str, str], reason: str) -> None:
    result = run(tmp_path, "import", str(DEMO), **variables)
    assert (result.returncode, result.stdout) == (1, "1 refused\n")
    assert reason in result.stderr


def test_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("big.dcm", "w") as entry,
    ):
        for _ in range(32):
            entry.write(bytes(1024**2))
    result = run(tmp_path, "import", "bomb.zip")
    assert result.returncode == 1
    assert "limits.archive_ratio = 200" in result.stderr


def test_damaged_zip(tmp_path: Path) -> None:
    whole = bytearray(DEMO.read_bytes())
    whole[20_000] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(whole)
    result = run(tmp_path, "import", "damaged.zip")
    assert (result.returncode, result.stdout) == (1, "21 stored, 1 refused\n")
    assert "cannot be unpacked" in result.stderr


def make_media(folder: Path, files: list[Path]) -> None:
    """DICOM media as DCMTK makes them."""
    (folder / "IMAGES").mkdir(parents=True)
    for number, file in enumerate(files, 1):
        (folder / "IMAGES" / f"IM{number:02d}").write_bytes(file.read_bytes())
    names = [f"IMAGES/{file.name}" for file in sorted((folder / "IMAGES").iterdir())]
    subprocess.run(["dcmmkdir", "+I", *names], cwd=folder, check=True)


def test_media_with_a_dicomdir(tmp_path: Path, slices: Path) -> None:
    files = sorted((slices / "head_phantom").iterdir())
    make_media(tmp_path / "cd", files)
    (tmp_path / "cd" / "AUTORUN.INF").write_text("not of the file-set")
    result = run(tmp_path, "import", "cd/DICOMDIR")
    assert (result.returncode, result.stdout) == (0, "14 stored\n")
    assert stored_uids(tmp_path) == uids_of(*files)


@pytest.mark.filterwarnings("ignore:.*value.*for VR CS")
def test_dicomdir_leads_nowhere_else(tmp_path: Path, slices: Path) -> None:
    files = sorted((slices / "head_phantom").iterdir())
    make_media(tmp_path / "cd", files[:4])
    secret = tmp_path / "secret.dcm"
    secret.write_bytes(files[4].read_bytes())
    directory = pydicom.dcmread(tmp_path / "cd" / "DICOMDIR")
    images = [record for record in directory.DirectoryRecordSequence if "ReferencedFileID" in record]
    images[0].ReferencedFileID = ["..", "secret.dcm"]
    images[1].ReferencedFileID = str(secret)
    images[2].ReferencedFileID = ["LINK"]
    (tmp_path / "cd" / "LINK").symlink_to(secret)
    images[3].ReferencedFileID = ["GONE"]
    directory.save_as(tmp_path / "cd" / "DICOMDIR")
    result = run(tmp_path, "import", "cd/DICOMDIR")
    assert (result.returncode, result.stdout) == (1, "4 refused\n")
    for reason in ("is not a file name of DICOM media", "leads out of the folder", "named by the DICOMDIR but missing"):
        assert reason in result.stderr


def test_an_interrupted_import_goes_on_where_it_stopped(tmp_path: Path, slices: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pacs", "import", str(slices)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journals = tmp_path / "data" / "imports"
    while process.poll() is None and not (
        journals.is_dir() and any(file.stat().st_size for file in journals.iterdir())
    ):
        time.sleep(0.001)
    process.kill()
    process.wait()
    noted = [line for file in journals.iterdir() for line in file.read_text().split()]
    second = run(tmp_path, "import", str(slices))
    assert second.returncode == 0
    assert f"{len(noted)} done by the earlier run" in second.stdout or not noted
    assert not list(journals.iterdir())
    assert stored_uids(tmp_path) == uids_of(*slices.rglob("*.dcm"))


def test_imports_are_audited(tmp_path: Path, slices: Path) -> None:
    run(tmp_path, "import", str(slices / "head"))
    events = [json.loads(line) for line in (tmp_path / "data" / "audit.jsonl").read_text().splitlines()]
    assert any(event["principal"] == "local" and event.get("study_instance_uid") for event in events)
    assert "QMNx85rKkkg" not in (tmp_path / "data" / "audit.jsonl").read_text()
