"""STOW-RS of metadata with bulk data beside it, in JSON or XML (PS3.18 10.5.1.4).

Metadata is kept in memory within `limits.header_bytes`. Bulk data waits in spools, because its parts come in any order
and after the metadata that refers to them by Content-Location; they become files when they are large. When the body is
complete the instances are made one after the other and taken in like any others, so nothing is stored of a body that
cannot be read to its end.
"""

import hashlib
import logging
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin

from dicomweb import json_model, native_xml
from dicomweb.accept import parse_parameters
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.multipart import Event, PartBegin, PartData
from dicomweb.store_outcomes import misunderstood, refusal, settled
from index.errors import PacsError, TooLarge
from index.records import Origin, StoreOutcome
from storage.assembling import OCTETS, Part, assemble, class_of, key_of
from storage.incoming import Incoming
from storage.spool import Spool
from storage.wrapping.wrap import Workshop

logger = logging.getLogger(__name__)

JSON_TYPES: Final = ("application/dicom+json", "application/json")
XML_TYPES: Final = ("application/dicom+xml",)
METADATA_TYPES: Final = (*JSON_TYPES, *XML_TYPES)
"""Media types of metadata parts; the second is what some clients call the first."""

_BLOCK_BYTES: Final = 1024**2


@dataclass(slots=True)
class _Bulk:
    """A part with bulk data while it arrives."""

    location: str
    media_type: str
    transfer_syntax_uid: str
    spool: Spool
    blocks: list[bytes | memoryview] = field(default_factory=list)
    waiting_bytes: int = 0


@dataclass(slots=True)
class MetadataDelivery:
    """One request while it arrives."""

    call: Call
    origin: Origin
    incoming: Incoming
    datasets: list[dict[str, Any]] = field(default_factory=list)
    seed: Any = field(default_factory=hashlib.sha256)
    """Digest of all metadata: instances of a request that name no study belong into the same new one."""
    parts: dict[str, Part] = field(default_factory=dict)
    spools: list[Spool] = field(default_factory=list)
    outcomes: list[StoreOutcome] = field(default_factory=list)
    metadata: bytearray | None = None
    media_type: str = ""
    bulk: _Bulk | None = None
    metadata_bytes: int = 0

    async def take(self, event: Event) -> None:
        """Act on what the parser found."""
        if isinstance(event, PartData):
            await self._take_data(event.data)
        elif isinstance(event, PartBegin):
            self._begin(event)
        else:
            await self._end()

    def _begin(self, part: PartBegin) -> None:
        self.media_type = part.media_type
        self.metadata = self.bulk = None
        if self.media_type in METADATA_TYPES:
            self.metadata = bytearray()
            return
        location = part.headers.get("content-location", "").strip()
        if not location:
            detail = f"A part is {self.media_type[:32] or 'without type'} and has no Content-Location"
            self.outcomes.append(misunderstood(detail))
            return
        uri = self._absolute(location)
        if uri in self.parts:
            raise BadRequest("Two parts have the same Content-Location")
        parameters = parse_parameters(";" + part.headers.get("content-type", "").partition(";")[2])
        syntax = parameters.get("transfer-syntax", "").strip("*")
        self.bulk = _Bulk(uri, self.media_type or OCTETS, syntax, self._new_spool())

    def _absolute(self, uri: str) -> str:
        """References are compared as addresses: one side may be relative to the request (RFC 2557 5)."""
        return urljoin(f"{self.call.base_url()}/studies", uri.strip())

    def _new_spool(self) -> Spool:
        storage = self.call.web.settings.storage
        spool = Spool(threshold_bytes=storage.spool_threshold_bytes, folder=storage.spool_folder or None)
        self.spools.append(spool)
        return spool

    async def _take_data(self, data: memoryview) -> None:
        if self.metadata is not None:
            limit = self.call.web.settings.limits.header_bytes
            self.metadata_bytes += len(data)
            if self.metadata_bytes > limit:
                raise TooLarge(f"The metadata is longer than {limit} bytes (limits.header_bytes)")
            self.metadata += data
        elif self.bulk is not None:
            self.bulk.blocks.append(data)
            self.bulk.waiting_bytes += len(data)
            if self.bulk.waiting_bytes >= _BLOCK_BYTES:
                await self._write(self.bulk)

    async def _write(self, bulk: _Bulk) -> None:
        blocks, bulk.blocks, bulk.waiting_bytes = bulk.blocks, [], 0
        limit = self.call.web.settings.limits.object_bytes
        if bulk.spool.size_bytes > limit:
            raise TooLarge(f"A part is longer than {limit} bytes (limits.object_bytes)")
        await self.call.web.writers.run(_write_all, bulk.spool, blocks)

    async def _end(self) -> None:
        metadata, bulk = self.metadata, self.bulk
        self.metadata = self.bulk = None
        if metadata is not None:
            self.seed.update(metadata)
            self.datasets += await self.call.web.writers.run(self._read, bytes(metadata))
        elif bulk is not None:
            await self._write(bulk)
            self.parts[bulk.location] = Part(bulk.media_type, bulk.spool, bulk.transfer_syntax_uid)

    def _read(self, document: bytes) -> list[dict[str, Any]]:
        limits = self.call.web.settings.limits
        if self.media_type in XML_TYPES:
            return [native_xml.read(document, limits)]
        return json_model.read(document, limits)

    async def settle(self) -> list[StoreOutcome]:
        """Make and store the instances, in the order of the metadata. Raises BadRequest when there is none."""
        if not self.datasets:
            raise BadRequest("The body has no metadata")
        used: set[str] = set()
        try:
            stored = [await settled(self.call.web.writers.run(self._store, each, used)) for each in self.datasets]
        finally:
            await self._let_go()
        unused = [misunderstood("No metadata refers to a part") for location in self.parts if location not in used]
        return [*stored, *self.outcomes, *unused]

    async def abandon(self) -> list[StoreOutcome]:
        """The body is of no use: drop what came of it."""
        await self._let_go()
        return []

    async def _let_go(self) -> None:
        spools, self.spools = self.spools, []
        await self.call.web.writers.run(_close_all, spools)

    def _store(self, dataset: dict[str, Any], used: set[str]) -> StoreOutcome:
        key, sop_class = None, ""
        try:
            plain = self._resolved(json_model.checked(dataset, self.call.web.settings.limits), used)
            key, sop_class = key_of(plain), class_of(plain)
            assembly = assemble(
                plain,
                self.parts,
                Workshop(self.call.web.settings.limits, self._new_spool),
                study=self.incoming.study_instance_uid,
                study_seed=self.seed.digest(),
            )
            outcome = self.call.archive.ingest(
                self.call.principal, assembly.blocks(), self.origin, incoming=self.incoming
            )
        except PacsError as error:
            return self._refuse(refusal(error.reason(), key, sop_class))
        return replace(outcome, reasons=(*assembly.warnings, *outcome.reasons)) if outcome.stored else outcome

    def _refuse(self, outcome: StoreOutcome) -> StoreOutcome:
        """Of what could not even be made the archive learns here; what it refuses itself it knows."""
        (reason,) = outcome.reasons
        logger.warning(
            "Instance refused",
            extra={
                "Status": f"{reason.code.status:04X}",
                "Reason": reason.detail,
                "SOPInstanceUID": outcome.key.sop_instance_uid if outcome.key else "",
                "Peer": self.origin.peer,
            },
        )
        self.call.archive.note_refusal(self.call.principal, outcome, self.origin)
        return outcome

    def _resolved(self, dataset: dict[str, Any], used: set[str]) -> dict[str, Any]:
        """The data set with its references as they are compared, which are noted as used."""
        found = {}
        for tag, element in dataset.items():
            known = element
            if "BulkDataURI" in element:
                uri = self._absolute(element["BulkDataURI"])
                used.add(uri)
                known = {**element, "BulkDataURI": uri}
            elif element["vr"] == "SQ" and "Value" in element:
                known = {**element, "Value": [self._resolved(item, used) for item in element["Value"]]}
            found[tag] = known
        return found


def _write_all(spool: Spool, blocks: list[bytes | memoryview]) -> None:
    for block in blocks:
        spool.write(block)


def _close_all(spools: list[Spool]) -> None:
    for spool in spools:
        spool.close()
