"""The values that flow between wire, storage and index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from index.layout import ObjectLayout
from index.reasons import Reason

Element = Mapping[str, Any]
"""One attribute in the DICOM JSON model (PS3.18 F.2): `vr` and `Value`, `InlineBinary` or `BulkDataURI`."""

DicomJson = Mapping[str, Element]
"""A data set in the DICOM JSON model: 8 upper-case hex digits of the tag -> Element, ascending."""

Answer = DicomJson
"""One match of a query, rendered at the edge: JSON on the web, an encoded identifier in DIMSE."""

Via = Literal["dimse", "stow", "web", "upload", "import", "report", "command", "recovery"]


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """The three UIDs that name an instance (IMAGE level)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """All that is kept of an instance besides its bytes; made once, at ingest."""

    key: InstanceKey
    sop_class_uid: str
    transfer_syntax_uid: str
    dataset: DicomJson
    metadata: bytes
    """`dataset` as UTF-8 JSON, one zstd frame; bulk data as BulkDataURI references."""
    layout: ObjectLayout
    blob_key: str
    size_bytes: int
    """Size of the whole object, meta group included."""
    sha256: bytes
    """Digest of the data set as received, without preamble and meta group: the same by whatever protocol it came."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """What a retrieve needs to know; one row, no parsing."""

    key: InstanceKey
    sop_class_uid: str
    transfer_syntax_uid: str
    blob_key: str
    layout: ObjectLayout
    size_bytes: int
    sha256: bytes
    version: int = 1
    stored_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Documents:
    """The metadata of instances as it is kept, and what tells whether any of it has changed."""

    bodies: Sequence[bytes]
    """`InstanceRecord.metadata` of each."""
    state: bytes
    """Of the instances' digests and versions."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instance came from; `peer` is an AE title or an address."""

    via: Via
    peer: str
    principal: str


class StoreStatus(Enum):
    """What became of an instance."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The very same bytes were there already: success, nothing changed."""
    SET_ASIDE = "set aside"
    """`keep-both`: the first stays current, this one is kept beside it."""
    REPLACED = "replaced"
    """`replace`: this one is current, the old one can be restored."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """The answer to one instance. REFUSED has at least one failure reason; others may have warnings."""

    status: StoreStatus
    key: InstanceKey | None
    sop_class_uid: str = ""
    reasons: tuple[Reason, ...] = ()
    rejected: int = 0
    """How many instances it has hidden, when it is a rejection note."""

    @property
    def stored(self) -> bool:
        """True when the sender may forget the instance."""
        return self.status is not StoreStatus.REFUSED


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a peer can take: transfer syntaxes, best first; `as_stored_ok` means any syntax will do."""

    transfer_syntax_uids: tuple[str, ...] = ()
    as_stored_ok: bool = True
    lossy_ok: bool = True
    """False: a lossy stored syntax counts only when it is named."""
    never: frozenset[str] = frozenset()
    """Syntaxes that must not leave even when stored so. The web passes `storage.transfer.NEVER_ON_THE_WEB`; with
    `as_stored_ok` such objects are then made Explicit VR Little Endian."""
    viewable: bool = False
    """True: whoever takes any syntax gets frames in one that viewers in browsers can show."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture before it is scaled (PS3.18 8.3.5.1.3), in its pixels, or in shares of its size."""

    left: float = 0.0
    top: float = 0.0
    width: float | None = None
    """None: up to the right edge."""
    height: float | None = None
    mirrored: bool = False
    """Left becomes right."""
    upside_down: bool = False
    relative: bool = False
    """All four are from 0 to 1 of the picture's width and height (PS3.18 9.1.2.2.6)."""


PictureType = Literal["image/jpeg", "image/png", "image/gif", "image/jp2"]
IccProfile = Literal["no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"]
Caption = Literal["patient", "technique"]


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How an image is rendered (PS3.18 8.3.5). `window` is centre, width and VOI LUT Function."""

    media_type: PictureType = "image/jpeg"
    quality: int = 90
    viewport: tuple[int, int] | None = None
    """Largest width and height in pixels; the aspect ratio is kept."""
    window: tuple[float, float, str] | None = None
    region: Region | None = None
    captions: tuple[Caption, ...] = ()
    """What is written into the corners."""
    icc_profile: IccProfile | None = None
    """The colour space of the picture; None: the image's own, when it has one."""
    presentation: InstanceKey | None = None
    """The presentation state that is applied."""


class Level(Enum):
    """The levels of the Query/Retrieve information model (PS3.4 C.6.1.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"
