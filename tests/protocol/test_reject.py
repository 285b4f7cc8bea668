"""Rejection notes from every side: what they hide, what arrives again, in which order, and the way back."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.associations import dcmtk
from tests.conftest import Server, StartServer
from tests.protocol.test_delete import FILE, a_study, check, get, removals, store, undo
from tests.protocol.web import path_of, read, stow, write
from tests.rejections import CODES, QUALITY, RETENTION, SAFETY, WORKLIST, a_note


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


def send(server: Server, folder: Path, *objects: pydicom.Dataset) -> list[str]:
    """C-STORE by storescu; the status that it printed for each."""
    folder.mkdir(parents=True)
    for number, ds in enumerate(objects):
        (folder / f"{number:03}.dcm").write_bytes(write(ds))
    printed = dcmtk(
        "storescu", "-v", "-aec", server.ae_title, "127.0.0.1", server.dimse_port, "+sd", folder, "--no-halt", ok=False
    )
    lines = [line for line in printed.splitlines() if "Received Store Response" in line]
    return [line.partition("Response")[2].strip(" ()") for line in lines]


@pytest.mark.parametrize("code", CODES)
def test_a_note_that_is_sent_hides_what_it_names(
    client: httpx.Client, server: Server, tmp_path: Path, code: str
) -> None:
    images = a_study()
    store(client, *images)
    study = images[0].StudyInstanceUID
    note = a_note(code, images[1:])
    assert send(server, tmp_path / "note", note) == ["Success"]
    check(client, server, tmp_path / "rejected", images[:1], study)
    assert client.get(path_of(note)).status_code == 404, "notes are not shown"
    (entry,) = removals(server, study)
    assert (entry["reason"], entry["instances"], entry["note"]) == (f"{code}^DCM", 3, note.SOPInstanceUID)
    assert send(server, tmp_path / "again", note) == ["Success"]
    assert len(removals(server, study)) == 1
    assert undo(server, entry["number"]).json() == {"restored": 3, "set_aside": 0, "still_rejected": 0}
    check(client, server, tmp_path / "restored", images, study)
    assert send(server, tmp_path / "revoked", note) == ["Success"]
    check(client, server, tmp_path / "still", images, study)
    (entry,) = removals(server, study)
    assert entry["revoked_at_ms"]


@pytest.mark.parametrize(
    ("code", "status", "visible"),
    [(QUALITY, "Success", 0), (SAFETY, "a771", 0), (WORKLIST, "a771", 0), (RETENTION, "Success", 1)],
)
def test_what_was_rejected_and_comes_again_is_met_by_the_rule_of_its_note(
    client: httpx.Client, server: Server, tmp_path: Path, code: str, status: str, visible: int
) -> None:
    (image,) = a_study(1, 1)
    store(client, image)
    send(server, tmp_path / "note", a_note(code, [image]))
    (answer,) = send(server, tmp_path / "again", image)
    assert answer.lower().find(status.lower()) >= 0 or (status == "a771" and "OutOfResources" in answer), answer
    stored = stow(client, write(image))
    assert stored.status_code == (409 if status == "a771" else 200)
    if status == "a771":
        assert stored.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA771]
    check(client, server, tmp_path / "now", [image][:visible], image.StudyInstanceUID)


@pytest.mark.parametrize("code", [SAFETY, RETENTION])
def test_a_note_may_come_first(client: httpx.Client, server: Server, tmp_path: Path, code: str) -> None:
    images = a_study()
    study = images[0].StudyInstanceUID
    answer = stow(client, write(a_note(code, images[:3])))
    assert answer.status_code == 202
    (item,) = answer.json()["00081199"]["Value"]
    assert item["00081196"]["Value"] == [0xB000]
    assert send(server, tmp_path / "images", *images) == ["Success"] * 4
    check(client, server, tmp_path / "hidden", images[3:], study)
    (entry,) = removals(server, study)
    assert entry["instances"] == 3
    undo(server, entry["number"])
    check(client, server, tmp_path / "restored", images, study)


def test_a_note_and_its_images_in_one_request(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    images = a_study()
    answer = stow(client, *map(write, [*images[:2], a_note(QUALITY, images[1:3]), *images[2:]]))
    assert answer.status_code in (200, 202)
    check(client, server, tmp_path / "hidden", [images[0], images[3]], images[0].StudyInstanceUID)


def test_two_notes_hide_until_both_are_revoked(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    images = a_study(1, 3)
    study = images[0].StudyInstanceUID
    store(client, *images)
    for number, (code, named) in enumerate(((QUALITY, images[:2]), (SAFETY, images[1:]))):
        assert send(server, tmp_path / str(number), a_note(code, named, by_content=bool(number))) == ["Success"]
    check(client, server, tmp_path / "both", [], study)
    safety, quality = removals(server, study)
    assert undo(server, quality["number"]).json() == {"restored": 1, "set_aside": 0, "still_rejected": 1}
    check(client, server, tmp_path / "one", images[:1], study)
    assert undo(server, safety["number"]).json()["restored"] == 2
    check(client, server, tmp_path / "none", images, study)


def test_some_of_what_a_note_names_can_be_restored(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    images = a_study(1, 3)
    store(client, *images)
    send(server, tmp_path / "note", a_note(SAFETY, images))
    (entry,) = removals(server, images[0].StudyInstanceUID)
    assert undo(server, entry["number"], SOPInstanceUID=images[1].SOPInstanceUID).json()["restored"] == 1
    check(client, server, tmp_path / "some", images[1:2], images[0].StudyInstanceUID)
    assert stow(client, write(images[1])).status_code == 200
    assert stow(client, write(images[2])).status_code == 409


def test_a_deletion_and_a_note_each_hide(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    images = a_study(1, 3)
    study = images[0].StudyInstanceUID
    store(client, *images)
    send(server, tmp_path / "note", a_note(QUALITY, images[:1]))
    assert client.delete(f"/studies/{study}").status_code == 204
    check(client, server, tmp_path / "deleted", [], study)
    deletion, note = removals(server, study)
    assert (deletion["reason"], deletion["instances"]) == ("deleted", 3), "what the note had hidden goes along"
    assert undo(server, deletion["number"]).json() == {"restored": 2, "set_aside": 0, "still_rejected": 1}
    check(client, server, tmp_path / "rejected", images[1:], study)
    undo(server, note["number"])
    check(client, server, tmp_path / "all", images, study)


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_our_own_notes(client: httpx.Client, server: Server, tmp_path: Path, level: str) -> None:
    images = a_study()
    store(client, *images)
    one = images[0]
    path, named = {
        "study": (f"/studies/{one.StudyInstanceUID}", images),
        "series": (f"/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}", images[:2]),
        "instance": (path_of(one), images[:1]),
    }[level]
    answer = client.post(f"{path}/reject/113001%5EDCM")
    assert (answer.status_code, answer.json()) == (200, {"count": len(named)})
    left = [ds for ds in images if ds not in named]
    check(client, server, tmp_path / "rejected", left, one.StudyInstanceUID)
    assert client.post(f"{path}/reject/113001^DCM").status_code == 404
    (entry,) = removals(server, one.StudyInstanceUID)
    undo(server, entry["number"])
    check(client, server, tmp_path / "restored", images, one.StudyInstanceUID)


def test_our_notes_are_valid_key_object_documents(start_server: StartServer, tmp_path: Path) -> None:
    rules = [
        {"code": "113001^DCM", "show_note": True},
        {"code": "7^99LOCAL", "meaning": "Wrong side", "hide": "search"},
    ]
    server = start_server(archive={"rejections": rules})
    images = a_study(2, 2, SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jürgen=山田^太郎")
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        store(client, *images)
        codes = [one["codeValue"] for one in client.get("/reject").json()]
        assert codes == [*CODES, "7"]
        study = images[0].StudyInstanceUID
        assert (
            client.post(f"/studies/{study}/series/{images[0].SeriesInstanceUID}/reject/113001^DCM").json()["count"] == 2
        )
        (shown,) = client.get("/instances", params={"StudyInstanceUID": study, "Modality": "KO"}).json()
        path = f"/studies/{study}/series/{shown['0020000E']['Value'][0]}/instances/{shown['00080018']['Value'][0]}"
        note = read(client.get(path, headers=FILE).content)
        assert note.PatientName == images[0].PatientName
        (evidence,) = note.CurrentRequestedProcedureEvidenceSequence
        (series,) = evidence.ReferencedSeriesSequence
        assert {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence} == {
            ds.SOPInstanceUID for ds in images[:2]
        }
        (tmp_path / "note.dcm").write_bytes(client.get(path, headers=FILE).content)
        done = subprocess.run(["dciodvfy", "-new", tmp_path / "note.dcm"], capture_output=True, text=True)
        assert "KeyObjectSelectionDocument" in done.stdout + done.stderr
        assert not [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
        # Hidden from searches alone: who knows the UIDs still gets it.
        last = images[3]
        assert client.post(f"{path_of(last)}/reject/7^99LOCAL").json() == {"count": 1}
        assert client.get("/instances", params={"SOPInstanceUID": last.SOPInstanceUID}).json() == []
        assert client.get(path_of(last), headers=FILE).status_code == 200
        assert client.get(path_of(last) + "/frames/1").status_code == 200
        assert client.get(path_of(last) + "/metadata").json()[0]["00080018"]["Value"] == [last.SOPInstanceUID]
        assert client.get(path_of(images[0]), headers=FILE).status_code == 404
        keys = [f"{name}={last[name].value}" for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        assert get(server, tmp_path / "got", "QueryRetrieveLevel=IMAGE", *keys) == [last.SOPInstanceUID]
        # Without its note it stays rejected, and the note has no second effect.
        assert client.delete(path).status_code == 204
        assert client.get(path_of(images[0]), headers=FILE).status_code == 404
        assert stow(client, write(note)).status_code == 200
        assert [entry["instances"] for entry in removals(server, study)] == [1, 1, 2]


def test_a_note_without_effect_is_an_ordinary_document(start_server: StartServer) -> None:
    server = start_server(archive={"rejections": [{"code": "113039^DCM", "hide": "nowhere"}]})
    images = a_study(1, 1)
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        for note in (a_note(RETENTION, images), a_note("113000", images), a_note(QUALITY, images, "99OTHER")):
            assert stow(client, write(note)).status_code == 200
            assert client.get(path_of(note), headers=FILE).status_code == 200
        store(client, *images)
        assert client.get(path_of(images[0]), headers=FILE).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/1.2.3/reject/113001^DCM", 404),
        ("/studies/{study}/reject/113000^DCM", 404),
        ("/studies/{study}/reject/113001", 404),
        ("/studies/{study}/reject/", 404),
        ("/studies/{study}/series/1.2/reject/113001^DCM", 404),
    ],
)
def test_what_cannot_be_rejected(client: httpx.Client, server: Server, path: str, status: int) -> None:
    (image,) = a_study(1, 1)
    store(client, image)
    assert client.post(path.format(study=image.StudyInstanceUID)).status_code == status
    assert client.get(path_of(image), headers=FILE).status_code == 200
    assert removals(server, image.StudyInstanceUID) == []
