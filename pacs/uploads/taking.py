"""A file that is whole -> the archive: DICOM files and zip files of them as they are, other files wrapped by the form.

Taking the same file in twice changes nothing, because the archive knows what it has and wrapped files get UIDs that
are made of their content; so a server that is killed in the middle simply begins again.
"""

import contextlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from config.settings import Settings
from index.access import Principal
from index.errors import CannotUnderstand, OutOfResources, PacsError
from index.reasons import Code, Reason
from index.records import Origin, StoreOutcome, StoreStatus
from pacs import sources
from pacs.uploads import form
from pacs.uploads.shelf import FileSource, Upload, hold, settle
from storage.archive import Archive
from storage.assembling import Part, assemble
from storage.spool import Spool
from storage.wrapping.wrap import Workshop

_PREAMBLE_BYTES: Final = 132
_AT_A_TIME: Final = 4
"""Entries of a zip file, so that syncs and commits of some overlap with reading and hashing of others."""

_STRANGE: Final = "This is no DICOM file, and of no format that DICOM has a place for"
IGNORED: Final = "ignored"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one file, or of one entry of a zip file."""

    name: str
    status: str
    """A `StoreStatus`, or `ignored`."""
    reason: str = ""
    study: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Reception:
    """Where uploads are taken in."""

    archive: Archive
    settings: Settings


def take_in(reception: Reception, upload: Upload) -> dict[str, Any]:
    """Take an upload in, unless that has been done; returns the result. Raises Busy, NotFound, OutOfResources.

    After OutOfResources everything is kept, so that it can be tried again.
    """
    with hold(upload):
        known = upload.result()
        if known is not None:
            return known
        result = _told(_rows(reception, upload))
        settle(upload, result)
        return result


def _told(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts, the studies that something arrived in, and each row without what is empty in it."""
    counts = Counter(row.status for row in rows)
    studies = dict.fromkeys(row.study for row in rows if row.study and row.status != StoreStatus.REFUSED.value)
    said = ({name: value for name, value in asdict(row).items() if value} for row in rows)
    return {"counts": dict(counts), "studies": list(studies), "instances": list(said)}


def _rows(reception: Reception, upload: Upload) -> list[Row]:
    name = upload.metadata.get("filename", "") or "file"
    principal = upload.owner.principal()
    if _is_dicom(upload):
        return [_ingest(reception, principal, name, _blocks(upload))]
    if not form.media_type_of(name) and upload.length_bytes and zipfile.is_zipfile(upload.data):
        return list(_zip(reception, principal, upload))
    if form.media_type_of(name):
        return [_wrapped(reception, principal, upload, name)]
    row = _ingest(reception, principal, name, _blocks(upload))
    return [row if row.status != StoreStatus.REFUSED.value else replace(row, reason=_STRANGE)]


def _is_dicom(upload: Upload) -> bool:
    with upload.data.open("rb") as file:
        return file.read(_PREAMBLE_BYTES)[128:] == b"DICM"


def _blocks(upload: Upload) -> Iterator[bytes]:
    with upload.data.open("rb", buffering=0) as file:
        while block := file.read(sources.BLOCK_BYTES):
            yield block


def _ingest(reception: Reception, principal: Principal, name: str, blocks: Iterable[bytes]) -> Row:
    return _row(name, reception.archive.ingest(principal, blocks, _origin(principal)))


def _origin(principal: Principal) -> Origin:
    return Origin("upload", principal.address, principal.name)


def _row(name: str, outcome: StoreOutcome) -> Row:
    """The outcome in plain words. Raises OutOfResources when it may be another one later."""
    codes = {reason.code for reason in outcome.reasons}
    if not outcome.stored and Code.OUT_OF_RESOURCES in codes:
        raise OutOfResources("; ".join(reason.detail or reason.code.meaning for reason in outcome.reasons))
    told = [reason for reason in outcome.reasons if reason.code is not Code.REMARK]
    return Row(
        name,
        outcome.status.value,
        "; ".join(_sentence(reason) for reason in told) if not outcome.stored else "",
        outcome.key.study_instance_uid if outcome.key else "",
        outcome.key.sop_instance_uid if outcome.key else "",
    )


def _sentence(reason: Reason) -> str:
    if reason.code is Code.CANNOT_UNDERSTAND and reason.detail:
        return f"The file is damaged, incomplete or not allowed: {reason.detail}"
    if reason.code is Code.DUPLICATE_INSTANCE:
        return "An image with the same identifier but other content is there already"
    return reason.detail or reason.code.meaning


def _zip(reception: Reception, principal: Principal, upload: Upload) -> Iterator[Row]:
    """The entries of a zip file, in their order."""

    def take(finding: sources.Finding) -> Row:
        name = finding.name.partition("!")[2] or upload.metadata.get("filename", "")
        if isinstance(finding, sources.Refusal):
            return Row(name, StoreStatus.REFUSED.value, f"It {finding.reason}")
        return _entry(reception, principal, name, finding)

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="upload-zip") as pool:
        yield from pool.map(take, sources.find([upload.data], reception.settings.limits))


def _entry(reception: Reception, principal: Principal, name: str, source: sources.Source) -> Row:
    head = b""

    def blocks() -> Iterator[bytes]:
        nonlocal head
        for block in source.blocks():
            head = head or block[:_PREAMBLE_BYTES]
            yield block

    try:
        row = _ingest(reception, principal, name, blocks())
    except sources.Unreadable as error:
        return Row(name, StoreStatus.REFUSED.value, f"It {error}")
    if row.status == StoreStatus.REFUSED.value and head[128:] != b"DICM":
        return Row(name, IGNORED, "is not a DICOM file")
    return row


def _wrapped(reception: Reception, principal: Principal, upload: Upload, name: str) -> Row:
    """A file of another format becomes an instance."""
    settings = reception.settings
    media_type = form.media_type_of(name)
    tag = form.value_tag(media_type)
    with contextlib.ExitStack() as open_things:
        source = open_things.enter_context(contextlib.closing(FileSource(upload.data)))

        def new_spool() -> Spool:
            spool = Spool(
                threshold_bytes=settings.storage.spool_threshold_bytes, folder=settings.storage.spool_folder or None
            )
            return open_things.enter_context(contextlib.closing(spool))

        try:
            attributes = form.attributes_for(reception.archive, principal, upload.metadata)
            assembly = assemble(
                attributes | {tag: {"vr": "OB", "BulkDataURI": name}},
                {name: Part(media_type, source)},
                Workshop(settings.limits, new_spool),
            )
            outcome = reception.archive.ingest(principal, assembly.blocks(), _origin(principal))
        except OutOfResources:
            raise
        except PacsError as error:
            return _refused(reception, principal, name, error)
    return _row(name, outcome)


def _refused(reception: Reception, principal: Principal, name: str, error: PacsError) -> Row:
    """Of what could not even be made the archive learns here; what it refuses itself it knows."""
    if not isinstance(error, CannotUnderstand):
        raise error
    reason = replace(error.reason(), detail=error.detail.replace("The part", "The file"))
    outcome = StoreOutcome(StoreStatus.REFUSED, None, reasons=(reason,))
    reception.archive.note_refusal(principal, outcome, _origin(principal))
    return Row(name, StoreStatus.REFUSED.value, reason.detail)
