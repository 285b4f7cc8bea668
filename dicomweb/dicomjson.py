"""Data sets that this package itself writes in the DICOM JSON model (PS3.18 F)."""

from collections.abc import Sequence
from typing import Any

import orjson

from index.reasons import Code, Reason
from index.records import StoreOutcome

_Dataset = dict[str, dict[str, Any]]


def _reason(outcome: StoreOutcome, *, warning: bool) -> Reason | None:
    return next((reason for reason in outcome.reasons if reason.code.is_warning == warning), None)


def _reference(outcome: StoreOutcome) -> _Dataset:
    assert outcome.key is not None
    return {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]} if outcome.sop_class_uid else {"vr": "UI"},
        "00081155": {"vr": "UI", "Value": [outcome.key.sop_instance_uid]},
    }


def _stored(outcome: StoreOutcome, base_url: str) -> _Dataset:
    assert outcome.key is not None
    item = _reference(outcome)
    key = outcome.key
    url = (
        f"{base_url}/studies/{key.study_instance_uid}/series/{key.series_instance_uid}/instances/{key.sop_instance_uid}"
    )
    item["00081190"] = {"vr": "UR", "Value": [url]}
    if warning := _reason(outcome, warning=True):
        item["00081196"] = {"vr": "US", "Value": [warning.code.status]}
        item = {"00000902": {"vr": "LO", "Value": [warning.comment()]}, **item}
    return item


def _failed(outcome: StoreOutcome) -> _Dataset:
    """An item of the failure sequences. Error Comment (0000,0902) says what a number cannot."""
    failure = _reason(outcome, warning=False) or Reason(Code.PROCESSING_FAILURE)
    item: _Dataset = {"00000902": {"vr": "LO", "Value": [failure.comment()]}}
    if outcome.key is not None:
        item |= _reference(outcome)
    item["00081197"] = {"vr": "US", "Value": [failure.code.status]}
    return item


def store_response(outcomes: Sequence[StoreOutcome], base_url: str) -> bytes:
    """The Store Instances Response (PS3.18 I.2): what was stored, what was not and why.

    Failures that cannot be tied to a SOP instance stand in Other Failures Sequence (0008,119A).
    """
    stored = [outcome for outcome in outcomes if outcome.stored]
    failed = [outcome for outcome in outcomes if not outcome.stored and outcome.key]
    others = [outcome for outcome in outcomes if not outcome.stored and not outcome.key]
    studies = {outcome.key.study_instance_uid for outcome in stored if outcome.key}
    response: _Dataset = {}
    if len(studies) == 1:
        response["00081190"] = {"vr": "UR", "Value": [f"{base_url}/studies/{studies.pop()}"]}
    if failed:
        response["00081198"] = {"vr": "SQ", "Value": [_failed(outcome) for outcome in failed]}
    if stored:
        response["00081199"] = {"vr": "SQ", "Value": [_stored(outcome, base_url) for outcome in stored]}
    if others:
        response["0008119A"] = {"vr": "SQ", "Value": [_failed(outcome) for outcome in others]}
    return orjson.dumps(response)
