"""Values changed by rule as objects arrive: in every encoding, originals kept, duplicates known, nothing lost."""

import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from config import settings
from config.checks import check
from config.settings import Coercion, SettingsError
from index.reasons import Code
from index.records import StoreStatus
from storage import tasks
from tests.archives import House, MakeHouse, a_dataset, as_file, embedded, encode, split
from tests.json_oracle import pydicom_json, quiet_pydicom
from tests.samples import SHIPPED, instance_files

ORIGINALS = "04000561"
HOSPITAL = Coercion(keyword="InstitutionName", value="St. Elsewhere")
ISSUER = Coercion(keyword="IssuerOfPatientID", value="HOSP")
ALWAYS = Coercion(keyword="InstitutionName", value="St. Elsewhere", when="always")


def rules(*coercions: Coercion, **more: object) -> settings.Archive:
    return settings.Archive(coercions=coercions, **more)  # type: ignore[arg-type]


def read(data: bytes) -> pydicom.Dataset:
    with quiet_pydicom():
        return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_a_value_is_changed_and_the_old_one_kept(tmp_path: Path, syntax: str) -> None:
    house = embedded(tmp_path / "house", rules=rules(ALWAYS, ISSUER))
    ds = a_dataset(SpecificCharacterSet="ISO_IR 100", InstitutionName="Spital Zürich", PatientName="Müller^Jürg")
    outcome = house.store(as_file(ds, syntax))
    assert outcome.status is StoreStatus.STORED
    (reason,) = outcome.reasons
    assert (reason.code, reason.attributes) == (Code.COERCION, ("00080080", "00100021"))
    back = read(house.file(outcome))
    assert (back.InstitutionName, back.IssuerOfPatientID) == ("St. Elsewhere", "HOSP")
    assert back.file_meta.TransferSyntaxUID == syntax
    (item,) = back.OriginalAttributesSequence
    (previous,) = item.ModifiedAttributesSequence
    assert (previous.InstitutionName, previous.IssuerOfPatientID) == ("Spital Zürich", "")
    assert (item.ReasonForTheAttributeModification, item.SourceOfPreviousValues) == ("COERCE", "PEER")
    assert item.ModifyingSystem == "OPEN_PACS"
    when = datetime.strptime(item.AttributeModificationDateTime, "%Y%m%d%H%M%S.%f%z")
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60
    # All else is as it was, and the index knows the new values.
    for element in ds:
        if element.keyword != "InstitutionName":
            assert back[element.tag].value == element.value, element
    house.close()


def test_every_sample_keeps_its_pixels_and_all_other_values(tmp_path: Path) -> None:
    house = embedded(tmp_path / "house", rules=rules(ALWAYS))
    for number, path in enumerate([path for path in instance_files() if path.is_relative_to(SHIPPED)][::3]):
        original = path.read_bytes()
        outcome = house.store(original, tenant=f"t{number}")
        stored = house.file(outcome, f"t{number}")
        ours, theirs = pydicom_json(io.BytesIO(stored)), pydicom_json(path)
        # Pixel Data of 16 bits that a sender calls OB becomes OW, as PS3.5 8.2 has it.
        assert ours.pop("7FE00010", None) is None or theirs.pop("7FE00010")
        known = theirs.get(ORIGINALS, {}).get("Value", [])
        assert len(ours.pop(ORIGINALS)["Value"]) == len(known) + 1
        assert ours.pop("00080080")["Value"] == ["St. Elsewhere"]
        assert ours == {tag: value for tag, value in theirs.items() if tag not in ("00080080", ORIGINALS)}, path
        with quiet_pydicom():
            assert read(stored).get("PixelData") == read(original).get("PixelData")
    house.close()


def test_earlier_changes_stay_on_record(tmp_path: Path) -> None:
    house = embedded(tmp_path / "house", rules=rules(ALWAYS))
    earlier = pydicom.Dataset()
    earlier.ModifiedAttributesSequence = [pydicom.Dataset()]
    earlier.ModifiedAttributesSequence[0].PatientName = "Früher^Anna"
    earlier.ModifiedAttributesSequence[0].EncapsulatedDocument = bytes(3000)
    earlier.AttributeModificationDateTime = "20200101120000"
    ds = a_dataset(SpecificCharacterSet="ISO_IR 100", OriginalAttributesSequence=[earlier])
    back = read(house.file(house.store(as_file(ds))))
    first, second = back.OriginalAttributesSequence
    assert first.ModifiedAttributesSequence[0].PatientName == "Früher^Anna"
    assert first.ModifiedAttributesSequence[0].EncapsulatedDocument == bytes(3000)
    assert first.AttributeModificationDateTime == "20200101120000"
    assert second.ReasonForTheAttributeModification == "COERCE"
    house.close()


def test_nothing_happens_where_no_rule_applies(make_house: MakeHouse) -> None:
    other = Coercion(source="OTHER", keyword="InstitutionName", value="X", when="always")
    house = make_house(rules=rules(HOSPITAL, other))
    ds = a_dataset(InstitutionName="Here")
    outcome = house.store(as_file(ds))
    assert outcome.reasons == ()
    assert split(house.file(outcome)) == split(as_file(ds))
    same = Coercion(source="PEER", keyword="PatientID", value="P1", when="always")
    assert embedded_outcome(make_house(rules=rules(same))) == ()


def embedded_outcome(house: House) -> tuple[object, ...]:
    return house.store(as_file(a_dataset())).reasons


def test_the_same_object_sent_again_is_a_duplicate_in_any_case(make_house: MakeHouse) -> None:
    house = make_house(rules=rules(HOSPITAL))
    ds = a_dataset()
    first = house.store(as_file(ds))
    again = house.store(as_file(ds))
    bare = house.store(
        encode(ds),
        via="dimse",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        sop_class_uid=ds.SOPClassUID,
        sop_instance_uid=ds.SOPInstanceUID,
    )
    assert [outcome.status for outcome in (first, again, bare)] == [
        StoreStatus.STORED, StoreStatus.DUPLICATE, StoreStatus.DUPLICATE,
    ]  # fmt: skip
    assert first.reasons == again.reasons
    assert len(house.keys()) == 1
    ds.SeriesDescription = "other"
    assert house.store(as_file(ds)).status is StoreStatus.REFUSED


def test_changed_objects_are_verified_and_indexed_anew(make_house: MakeHouse) -> None:
    house, empty = make_house(rules=rules(HOSPITAL)), make_house()
    ds = a_dataset()
    key = house.store(as_file(ds)).key
    assert key is not None
    (instance,) = house.archive.instances(house.principal, key.study_instance_uid)
    assert tasks.verify(house.blobs, instance) is None
    again = tasks.Desk(empty.catalog, house.blobs, settings.Archive(), house.limits)
    assert tasks.rebuild(again) == 1
    (rebuilt,) = empty.archive.instances(empty.principal, key.study_instance_uid)
    assert rebuilt.sha256 == instance.sha256
    damaged = house.blobs.read(instance.blob_key, 0, instance.size_bytes).replace(b"St. Elsewhere", b"Somewhere els")
    house.blobs.delete([instance.blob_key])
    writer = house.blobs.create(instance.blob_key)
    writer.write(damaged)
    writer.commit()
    finding = tasks.verify(house.blobs, instance)
    assert finding is not None
    assert finding.problem == "changed"


def test_a_wrong_meta_group_is_put_right_as_well(tmp_path: Path) -> None:
    house = embedded(tmp_path / "house", rules=rules(HOSPITAL))
    ds = a_dataset()
    outcome = house.store(as_file(ds, MediaStorageSOPInstanceUID="1.2.3.4"))
    assert {reason.code for reason in outcome.reasons} == {Code.COERCION, Code.MISMATCH_WARNING}
    back = read(house.file(outcome))
    assert back.file_meta.MediaStorageSOPInstanceUID == back.SOPInstanceUID == ds.SOPInstanceUID
    assert back.InstitutionName == "St. Elsewhere"
    house.close()


def test_later_rules_see_what_earlier_ones_made(tmp_path: Path) -> None:
    first = Coercion(keyword="AccessionNumber", value="A1")
    second = Coercion(keyword="AccessionNumber", value="A2")
    house = embedded(
        tmp_path / "house", rules=rules(first, second, Coercion(keyword="StudyID", value="", when="always"))
    )
    back = read(house.file(house.store(as_file(a_dataset(StudyID="S")))))
    assert (back.AccessionNumber, back.StudyID) == ("A1", "")
    assert back.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].StudyID == "S"
    house.close()


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (Coercion(keyword="NoSuchThing", value="x"), "NoSuchThing"),
        (Coercion(keyword="StudyInstanceUID", value="1.2"), "UI"),
        (Coercion(keyword="PixelData", value="x"), "only text"),
        (Coercion(keyword="ReferencedStudySequence", value="x"), "SQ"),
        (Coercion(keyword="SpecificCharacterSet", value="ISO_IR 192"), "cannot be changed|no attribute"),
        (Coercion(keyword="TransferSyntaxUID", value="1.2"), "no attribute"),
        (Coercion(keyword="InstitutionName", value="Zürich"), "ASCII"),
    ],
)
def test_rules_that_cannot_be_used_are_named(rule: Coercion, complaint: str) -> None:
    with pytest.raises(SettingsError, match=re.compile(rf"archive\.coercions\[1\].*({complaint})")):
        check(settings.Settings(archive=rules(rule)))
