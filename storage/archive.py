"""The archive's one door: permit, do, audit.

Synchronous throughout; the HTTP edge calls it from its threads, the DIMSE edge from its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from index.access import Permission, Principal, permits
from index.query import Query
from index.records import Answer, InstanceKey, Origin, StoredInstance, StoreOutcome, Wanted


@dataclass(frozen=True, slots=True)
class Incoming:
    """What the protocol already says about an object that is about to arrive.

    C-STORE names class, instance and transfer syntax and sends a bare data set; STOW-RS and files
    carry a Part 10 meta group, so all three are empty then.
    """

    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    """STOW-RS `POST /studies/{study}`: the data set must belong to this study."""


class Intake(Protocol):
    """One object on its way in. Exactly one of `finish` and `abort` ends it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes (they are copied or written before this returns). Raises PacsError as soon as it is
        clear that the object will be refused; the caller then drains its input and calls `finish` or `abort`."""

    def finish(self) -> StoreOutcome:
        """All bytes are here: check, make durable, index. Returns when the outcome would survive a power cut.
        Never raises PacsError: a refusal is a StoreOutcome."""

    def abort(self) -> None:
        """The sender went away: leave nothing behind."""


@dataclass(frozen=True, slots=True)
class FrameData:
    """One frame as it goes to a peer."""

    number: int
    transfer_syntax_uid: str
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An instance ready to be sent: what syntax, how long, and its bytes in blocks."""

    instance: StoredInstance
    transfer_syntax_uid: str
    length_bytes: int
    blocks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How an image is rendered (PS3.18 8.3.5). `window` is centre, width and VOI LUT Function."""

    media_type: Literal["image/jpeg", "image/png"] = "image/jpeg"
    quality: int = 90
    viewport: tuple[int, int] | None = None
    """Largest width and height in pixels; the aspect ratio is kept."""
    window: tuple[float, float, str] | None = None


class Archive:
    """All access to DICOM data. Every public method is guarded; out of scope is NotFound."""

    @permits(Permission.STORE)
    def intake(self, principal: Principal, /, incoming: Incoming, origin: Origin) -> Intake:
        """Begin to take in one object."""
        raise NotImplementedError

    @permits(Permission.STORE)
    def ingest(self, principal: Principal, /, source: Iterable[bytes], origin: Origin, *, incoming: Incoming = Incoming()) -> StoreOutcome:
        """Take in one object from an iterable of byte blocks."""
        raise NotImplementedError

    @permits(Permission.QUERY)
    def search(self, principal: Principal, /, query: Query) -> Iterator[Answer]:
        """All matches, in order. Raises InvalidQuery before the first match."""
        raise NotImplementedError

    @permits(Permission.QUERY)
    def count(self, principal: Principal, /, query: Query) -> int:
        """Number of matches without limit and offset."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def instances(
        self, principal: Principal, /, study: str, series: str | None = None, instance: str | None = None
    ) -> Sequence[StoredInstance]:
        """The instances below a study, series or instance, by series and instance number. Raises NotFound if none."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def matching(self, principal: Principal, /, query: Query) -> Sequence[StoredInstance]:
        """The instances that an IMAGE, SERIES, STUDY or PATIENT level query selects (the match step of C-MOVE and C-GET)."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def metadata(self, principal: Principal, /, study: str, series: str | None = None, instance: str | None = None) -> Sequence[bytes]:
        """Each instance's metadata as UTF-8 JSON (one object each), by series and instance number. Raises NotFound."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def open_dataset(self, principal: Principal, /, instance: StoredInstance, wanted: Wanted) -> OpenObject:
        """The encoded data set alone (no preamble, no meta group), for C-STORE sub-operations. Raises NotAcceptable."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def open_file(self, principal: Principal, /, instance: StoredInstance, wanted: Wanted) -> OpenObject:
        """The whole Part 10 file, for WADO-RS. Raises NotAcceptable."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def frames(self, principal: Principal, /, key: InstanceKey, numbers: Sequence[int], wanted: Wanted) -> list[FrameData]:
        """The frames with these numbers (from 1), in the order asked. Raises NotFound, NotAcceptable."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def bulkdata(self, principal: Principal, /, key: InstanceKey, path: str) -> OpenObject:
        """One bulk data value by its path in the layout. Raises NotFound."""
        raise NotImplementedError

    @permits(Permission.VIEW)
    def render(self, principal: Principal, /, key: InstanceKey, frame: int, options: RenderOptions) -> bytes:
        """One frame as JPEG or PNG with the image's own modality and VOI transformation. Raises NotFound, NotAcceptable."""
        raise NotImplementedError
