"""The Store Instances Response (PS3.18 I): what was stored, what was not, and why."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from dicomweb import native_xml
from dicomweb.accept import JSON, Choice, Offer
from dicomweb.multipart import PART_TAIL, closing, message_type, new_boundary, part_head
from dicomweb.replies import Reply
from index.reasons import Code, Reason
from index.records import StoreOutcome

_XML: Final = "application/dicom+xml"
ANSWERS: Final = (*JSON, Offer(_XML), Offer(_XML, "multipart"))
"""Media types of the answer, the default first."""

_Dataset = dict[str, dict[str, Any]]


def reply(outcomes: Sequence[StoreOutcome], base_url: str, choice: Choice) -> Reply:
    """The answer in the form that the client takes."""
    response = _response(outcomes, base_url)
    media_type = choice.media_type
    body = native_xml.write(response) if media_type == _XML else orjson.dumps(response)
    if choice.packaging == "multipart":
        boundary = new_boundary()
        body = part_head(boundary, media_type) + body + PART_TAIL + closing(boundary)
        media_type = message_type(boundary, media_type)
    headers = ((b"content-type", media_type.encode()), (b"cache-control", b"no-store"))
    return Reply(_status(outcomes), headers, (body,))


def _status(outcomes: Sequence[StoreOutcome]) -> int:
    """PS3.18 table 10.5.3-1: 200 all stored, 202 some stored or with warnings, 409 none."""
    if not any(outcome.stored for outcome in outcomes):
        codes = {reason.code for outcome in outcomes for reason in outcome.reasons}
        return 507 if codes == {Code.OUT_OF_RESOURCES} else 409
    return 200 if all(outcome.stored and not outcome.reasons for outcome in outcomes) else 202


def _response(outcomes: Sequence[StoreOutcome], base_url: str) -> _Dataset:
    """Failures that cannot be tied to a SOP instance stand in Other Failures Sequence (0008,119A)."""
    stored = [outcome for outcome in outcomes if outcome.stored]
    failed = [outcome for outcome in outcomes if not outcome.stored and outcome.key]
    others = [outcome for outcome in outcomes if not outcome.stored and not outcome.key]
    studies = {outcome.key.study_instance_uid for outcome in stored if outcome.key}
    # Type 2: empty when there is no study, or more than one.
    response: _Dataset = {"00081190": {"vr": "UR"}}
    if len(studies) == 1:
        response["00081190"] = {"vr": "UR", "Value": [f"{base_url}/studies/{studies.pop()}"]}
    if failed:
        response["00081198"] = {"vr": "SQ", "Value": [_failed(outcome) for outcome in failed]}
    if stored:
        response["00081199"] = {"vr": "SQ", "Value": [_stored(outcome, base_url) for outcome in stored]}
    if others:
        response["0008119A"] = {"vr": "SQ", "Value": [_failed(outcome) for outcome in others]}
    return response


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
        item |= _explained(warning)
    return dict(sorted(item.items()))


def _failed(outcome: StoreOutcome) -> _Dataset:
    failure = _reason(outcome, warning=False) or Reason(Code.PROCESSING_FAILURE)
    item = _explained(failure)
    if outcome.key is not None:
        item |= _reference(outcome)
    item["00081197"] = {"vr": "US", "Value": [failure.code.status]}
    return dict(sorted(item.items()))


def _reason(outcome: StoreOutcome, *, warning: bool) -> Reason | None:
    return next((reason for reason in outcome.reasons if reason.code.is_warning == warning), None)


def _reference(outcome: StoreOutcome) -> _Dataset:
    assert outcome.key is not None
    return {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]} if outcome.sop_class_uid else {"vr": "UI"},
        "00081155": {"vr": "UI", "Value": [outcome.key.sop_instance_uid]},
    }


def _explained(reason: Reason) -> _Dataset:
    """Error Comment (0000,0902) says what a number cannot, Failed Attributes Sequence (0074,1048) where to look."""
    item: _Dataset = {"00000902": {"vr": "LO", "Value": [reason.comment()]}}
    if reason.attributes:
        item["00741048"] = {"vr": "SQ", "Value": [_selector(path) for path in reason.attributes]}
    return item


def _selector(path: str) -> _Dataset:
    """The Selector Attribute Macro (PS3.3 10.18) of an attribute by its path, `00400275/1/00400007`."""
    *above, tag = path.split("/")
    item: _Dataset = {"00720026": {"vr": "AT", "Value": [tag]}}
    if above:
        item["00720052"] = {"vr": "AT", "Value": above[::2]}
        item["00741057"] = {"vr": "IS", "Value": [int(number) for number in above[1::2]]}
    return item
