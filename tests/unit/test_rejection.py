"""Reading rejection notes and their rules, damaged ones too."""

from io import BytesIO
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.load import load
from config.settings import RejectionRule, SettingsError
from index.layout import ObjectLayout
from index.records import InstanceKey, StoredInstance
from index.removed.rejection import RULES, Rule, references, rules_from, strictest, title
from storage import rejection_note
from tests.archives import a_dataset
from tests.rejections import QUALITY, a_note


@pytest.mark.parametrize("by_content", [False, True])
def test_a_note_tells_its_title_and_what_it_names(by_content: bool) -> None:
    series = ("1.2.3.1", "1.2.3.1", "1.2.3.2")
    images = [a_dataset(StudyInstanceUID="1.2.3", SeriesInstanceUID=uid) for uid in series]
    note = a_note(QUALITY, images, by_content=by_content).to_json_dict()
    assert title(note) == "113001^DCM"
    assert references(note) == [image.SOPInstanceUID for image in images]


TAGS = ("0040A375", "00081115", "00081199", "00081155", "0040A730", "0040A043", "00080100")
values = st.none() | st.text(max_size=5) | st.integers()


def datasets(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Data sets whose elements hold, as items or values, whatever `inner` makes."""
    element = st.fixed_dictionaries({"Value": st.lists(inner, max_size=2)})
    return st.dictionaries(st.sampled_from(TAGS), element, max_size=3)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(datasets(values | datasets(values | datasets(values))))
def test_nothing_in_a_data_set_makes_reading_fail(dataset: dict[str, Any]) -> None:
    assert all(isinstance(uid, str) and uid for uid in references(dataset))
    assert title(dataset).count("^") >= 1


def test_the_strictest_rule_counts() -> None:
    quality, safety, worklist, retention = RULES.values()
    assert strictest([retention]).again == "accept"
    assert strictest([retention, quality]).again == "hide"
    assert strictest([quality, worklist, retention]).again == strictest([safety]).again == "refuse"
    mild = Rule("1^X", "", hide="search")
    assert strictest([mild, mild]).hide == "search"
    assert strictest([mild, quality]).hide == strictest([quality, mild]).hide == "everywhere"


def test_settings_replace_and_add_rules() -> None:
    rules = rules_from([RejectionRule(code="113001^DCM", again="accept"), RejectionRule(code="1^X", show_note=True)])
    assert list(rules) == [*RULES, "1^X"]
    assert (rules["113001^DCM"].again, rules["113001^DCM"].meaning) == ("accept", "Rejected for Quality Reasons")
    assert (rules["1^X"].show_note, rules["1^X"].meaning) == (True, "Rejected")


@pytest.mark.parametrize(
    "rule", [{}, {"code": "113001"}, {"code": "1^X^Y"}, {"code": "1/2^X"}, {"code": "1^X", "purge_days": -1}]
)
def test_rules_that_cannot_be_used_are_refused(rule: dict[str, Any]) -> None:
    text = str([rule]).replace("'", '"')
    with pytest.raises(SettingsError, match=r"archive\.rejections\[1\]"):
        load(None, {"PACS_ARCHIVE_REJECTIONS": text})


def test_our_notes_refer_by_kind() -> None:
    classes = {
        "1.2.840.10008.5.1.4.1.1.2": "IMAGE",
        "1.2.840.10008.5.1.4.1.1.9.1.1": "WAVEFORM",
        "1.2.840.10008.5.1.4.1.1.88.11": "COMPOSITE",
    }
    named = [
        StoredInstance(InstanceKey("1.2", "1.2.3", f"1.2.3.{number}"), uid, "", "", ObjectLayout(0), 0, b"")
        for number, uid in enumerate(classes)
    ]
    blocks = rejection_note.build(RULES["113001^DCM"], named, {})
    ds = pydicom.dcmread(BytesIO(b"".join(blocks)))
    assert [item.ValueType for item in ds.ContentSequence] == list(classes.values())
    assert references(ds.to_json_dict()) == [one.key.sop_instance_uid for one in named]
    assert ds.PatientName == "" and ds.StudyInstanceUID == "1.2"
