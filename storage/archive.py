"""The archive's one door: permit, do, audit.

Synchronous throughout; the HTTP edge calls it from its threads, the DIMSE edge from its own.
"""

from collections.abc import Iterable, Iterator, Sequence

from config import settings
from index.access import Audit, Permission, Principal, permits
from index.attribute_paths import Path, name_of
from index.catalog import Catalog, SetAside
from index.declared import Declaration, Declarations
from index.errors import PacsError
from index.priors.ranking import Ranking
from index.query import Query
from index.records import (
    Answer,
    Documents,
    InstanceKey,
    Level,
    Origin,
    RenderOptions,
    StoredInstance,
    StoreOutcome,
    Wanted,
)
from index.removed.bin import BinEntry, BinRow
from index.removed.restoration import Restored
from index.search import Search
from storage import metadata, pictures, pixel_data, removing, renditions, retrieve
from storage.accesslog import AccessLog
from storage.blobs import BlobStore
from storage.incoming import Incoming, Intake
from storage.ingest import Desk, ObjectIntake
from storage.outgoing import OpenFrames, OpenObject

__all__ = [
    "Archive",
    "BinEntry",
    "BinRow",
    "Incoming",
    "Intake",
    "OpenFrames",
    "OpenObject",
    "Ranking",
    "RenderOptions",
    "Restored",
    "SetAside",
]

_NOTHING_KNOWN = Incoming()


class Archive:
    """All access to DICOM data. Every public method is guarded; out of scope is NotFound."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        search: Search,
        blobs: BlobStore,
        archive_settings: settings.Archive,
        limits: settings.Limits,
        audit: Audit,
    ) -> None:
        """Wired in `pacs.services` alone."""
        self._catalog = catalog
        self._search = search
        self._desk = Desk(catalog, blobs, archive_settings, limits)
        self._shelf = retrieve.Shelf(catalog, blobs, limits)
        self._log = AccessLog(audit)

    @permits(Permission.STORE)
    def intake(self, principal: Principal, /, incoming: Incoming, origin: Origin) -> Intake:
        """Begin to take in one object."""
        return _AuditedIntake(
            ObjectIntake(self._desk, principal.tenant, incoming, origin), principal, origin, self._log
        )

    @permits(Permission.STORE)
    def note_refusal(self, principal: Principal, /, outcome: StoreOutcome, origin: Origin) -> None:
        """Record that an instance was refused before there were bytes to take in."""
        self._log.received(principal, origin, outcome)

    @permits(Permission.STORE)
    def ingest(
        self, principal: Principal, /, source: Iterable[bytes], origin: Origin, *, incoming: Incoming = _NOTHING_KNOWN
    ) -> StoreOutcome:
        """Take in one object from an iterable of byte blocks."""
        intake = self.intake(principal, incoming, origin)
        try:
            for block in source:
                try:
                    intake.write(block)
                except PacsError:
                    break  # The object is refused; what `finish` says is why. An error of the source is another matter.
        except BaseException:
            intake.abort()
            raise
        return intake.finish()

    @permits(Permission.QUERY)
    def search(self, principal: Principal, /, query: Query) -> Iterator[Answer]:
        """All matches, in order. Raises InvalidQuery before the first match."""
        self._log.queried(principal, query)
        return self._search.find(principal.scope, query)

    @permits(Permission.QUERY)
    def search_texts(self, principal: Principal, /, query: Query, root: str) -> list[bytes]:
        """All matches, in order, as DICOM JSON with Retrieve URLs below the address `root`. Raises InvalidQuery."""
        self._log.queried(principal, query)
        return self._search.find_texts(principal.scope, query, root)

    @permits(Permission.QUERY)
    def count(self, principal: Principal, /, query: Query, most: int | None = None) -> int:
        """Number of matches without limit and offset; counting stops at `most`."""
        return self._search.count(principal.scope, query, most)

    @permits(Permission.QUERY)
    def priors(self, principal: Principal, /, study: str) -> Ranking:
        """The patient's earlier studies, those that tell most about this one first. Raises NotFound."""
        ranking = self._search.priors.rank(principal.scope, study)
        self._log.compared(principal, study, len(ranking.priors))
        return ranking

    @permits(Permission.VIEW)
    def instances(
        self, principal: Principal, /, study: str, series: str | None = None, instance: str | None = None
    ) -> Sequence[StoredInstance]:
        """The instances below a study, series or instance, by series and instance number. Raises NotFound if none."""
        found = self._catalog.members(principal.scope, study, series, instance)
        self._log.viewed(principal, study)
        return found

    @permits(Permission.VIEW)
    def matching(self, principal: Principal, /, query: Query) -> Sequence[StoredInstance]:
        """The instances that a query of any level selects: the match step of C-MOVE and C-GET."""
        found = self._catalog.matching(principal.scope, query)
        for study in dict.fromkeys(instance.key.study_instance_uid for instance in found):
            self._log.viewed(principal, study)
        return found

    @permits(Permission.VIEW)
    def metadata(
        self, principal: Principal, /, study: str, series: str | None = None, instance: str | None = None
    ) -> Sequence[bytes]:
        """Each instance's metadata as UTF-8 JSON (one object each), by series and instance number. Raises NotFound."""
        found = self._catalog.metadata(principal.scope, study, series, instance)
        self._log.viewed(principal, study)
        return [metadata.decompress(blob) for blob in found]

    @permits(Permission.VIEW)
    def documents(
        self, principal: Principal, /, study: str, series: str | None = None, instance: str | None = None
    ) -> Documents:
        """The same as they are kept, with what tells whether they have changed. Raises NotFound."""
        found = self._catalog.documents(principal.scope, study, series, instance)
        self._log.viewed(principal, study)
        return found

    @permits(Permission.VIEW)
    def in_form(
        self, principal: Principal, /, instances: Sequence[StoredInstance], wanted: Wanted
    ) -> list[StoredInstance]:
        """The instances, each as its rendition has it where that can leave without being encoded anew."""
        shelf = self._shelf
        return renditions.instead_of_many(shelf.catalog.renditions, shelf.blobs, principal.scope, instances, wanted)

    @permits(Permission.VIEW)
    def open_dataset(self, principal: Principal, /, instance: StoredInstance, wanted: Wanted) -> OpenObject:
        """The encoded data set alone (no preamble, no meta group), for C-STORE sub-operations. Raises NotAcceptable."""
        opened = retrieve.open_dataset(self._shelf, principal.scope, instance, wanted)
        self._log.viewed(principal, instance.key.study_instance_uid)
        return opened

    @permits(Permission.VIEW)
    def open_file(self, principal: Principal, /, instance: StoredInstance, wanted: Wanted) -> OpenObject:
        """The whole Part 10 file, for WADO-RS. Raises NotAcceptable."""
        opened = retrieve.open_file(self._shelf, principal.scope, instance, wanted)
        self._log.viewed(principal, instance.key.study_instance_uid)
        return opened

    @permits(Permission.VIEW)
    def open_frames(self, principal: Principal, /, where: InstanceKey | StoredInstance, wanted: Wanted) -> OpenFrames:
        """The frames of an instance; each is read when it is opened. Raises NotFound, NotAcceptable."""
        opened = pixel_data.open_frames(self._shelf, principal.scope, where, wanted)
        self._log.viewed(principal, opened.instance.key.study_instance_uid)
        return opened

    @permits(Permission.VIEW)
    def open_pixel_data(self, principal: Principal, /, instance: StoredInstance) -> OpenObject:
        """All frames as one uncompressed value. Raises NotFound, NotAcceptable."""
        opened = pixel_data.open_pixel_data(self._shelf, principal.scope, instance)
        self._log.viewed(principal, instance.key.study_instance_uid)
        return opened

    @permits(Permission.VIEW)
    def bulkdata(self, principal: Principal, /, where: InstanceKey | StoredInstance, path: str) -> OpenObject:
        """One bulk data value by its path in the layout. Raises NotFound."""
        instance = where if isinstance(where, StoredInstance) else self._catalog.locate(principal.scope, where)
        opened = retrieve.open_bulk_data(self._shelf, principal.scope, instance, path)
        self._log.viewed(principal, instance.key.study_instance_uid)
        return opened

    @permits(Permission.VIEW)
    def open_video(self, principal: Principal, /, instance: StoredInstance) -> OpenObject:
        """The stream that a video is (`storage.video`)."""
        self._log.viewed(principal, instance.key.study_instance_uid)
        return pixel_data.open_video(self._shelf, instance)

    @permits(Permission.VIEW)
    def render(
        self, principal: Principal, /, where: InstanceKey | StoredInstance, frame: int, options: RenderOptions
    ) -> bytes:
        """One frame as a picture, with the image's own transformations or those of a presentation state.

        Raises NotFound, NotAcceptable, InvalidQuery.
        """
        return self.open_pictures(principal, where, options)(frame)

    @permits(Permission.VIEW)
    def open_pictures(
        self, principal: Principal, /, where: InstanceKey | StoredInstance, options: RenderOptions
    ) -> pictures.Draw:
        """What draws frames of one instance by their numbers: for many of them cheaper than `render` for each."""
        draw = pictures.open_pictures(self._shelf, principal.scope, where, options)
        self._log.viewed(principal, (where.key if isinstance(where, StoredInstance) else where).study_instance_uid)
        return draw

    @permits(Permission.VIEW)
    def animate(
        self, principal: Principal, /, instance: StoredInstance, numbers: Sequence[int], options: RenderOptions
    ) -> bytes:
        """Frames as an animated GIF. Raises NotFound, NotAcceptable, InvalidQuery, TooLarge."""
        animation = pictures.animation(self._shelf, principal.scope, instance, numbers, options)
        self._log.viewed(principal, instance.key.study_instance_uid)
        return animation

    @permits(Permission.DELETE)
    def delete(
        self, principal: Principal, /, study: str, series: str | None, instance: str | None, *, origin: Origin
    ) -> int:
        """Delete what is below a study, series or instance; an administrator can restore it for `archive.undo_days`.

        Returns how many instances went. Raises NotFound.
        """
        number, count = removing.delete(self._desk, principal.scope, (study, series, instance), origin)
        self._log.removed(principal, study, count, f"deleted as {number}")
        return count

    @permits(Permission.DELETE)
    def reject(
        self, principal: Principal, /, code: str, where: tuple[str, str | None, str | None], origin: Origin
    ) -> removing.Rejection:
        """Store a rejection note with this title for what is below a study, series or instance. Raises NotFound."""
        rejection = removing.reject(self._desk, principal.scope, code, where, origin)
        self._log.received(principal, origin, rejection.note)
        return rejection

    @permits(Permission.ADMINISTER)
    def removals(self, principal: Principal, /, study: str | None = None) -> Iterator[BinEntry]:
        """What was deleted or rejected, of one study or of all, newest first; read a page at a time."""
        return self._catalog.removals.entries(principal.scope, study)

    @permits(Permission.ADMINISTER)
    def removal(self, principal: Principal, /, number: int) -> BinEntry:
        """One deletion or rejection. Raises NotFound."""
        return self._catalog.removals.entry(principal.scope, number)

    @permits(Permission.ADMINISTER)
    def removed(self, principal: Principal, /, number: int) -> Iterator[BinRow]:
        """The objects that a deletion or rejection has taken. Raises NotFound."""
        return self._catalog.removals.rows(principal.scope, number)

    @permits(Permission.ADMINISTER)
    def undo(
        self, principal: Principal, /, number: int, origin: Origin, uids: frozenset[str] | None = None
    ) -> Restored:
        """Bring back what a deletion or rejection has taken, or some instances of it. Raises NotFound, Conflict."""
        entry, restored = removing.undo(self._desk, principal.scope, number, origin, uids)
        study = entry.key.study_instance_uid
        self._log.removed(principal, study, restored.instances, f"restored from {number}")
        return restored

    @permits(Permission.ADMINISTER)
    def purge(self, principal: Principal, /, number: int) -> BinEntry:
        """Remove for good what a deletion or rejection has taken; the worker does it soon. Raises NotFound."""
        entry = self._catalog.removals.hasten(principal.scope, number)
        self._log.removed(principal, entry.key.study_instance_uid, entry.instances, f"purge of {number} ordered")
        return entry

    @permits(Permission.QUERY)
    def newest_change(self, principal: Principal, /) -> int:
        """The number of the newest change; another one than before means that something is new."""
        return self._catalog.newest_change(principal.scope)

    @permits(Permission.ADMINISTER)
    def set_aside(self, principal: Principal, /, sop_instance_uid: str | None = None) -> Sequence[SetAside]:
        """The versions that are kept beside the current one, of one instance or of all, oldest first."""
        return self._catalog.set_aside(principal.scope, sop_instance_uid)

    @permits(Permission.ADMINISTER)
    def restore(self, principal: Principal, /, version: SetAside, origin: Origin) -> None:
        """Make a version that was set aside current; what was current is set aside. Raises NotFound."""
        self._catalog.restore(principal.scope, version, origin)
        self._log.restored(principal, version.key.study_instance_uid)

    @permits(Permission.QUERY)
    def declarations(self, principal: Principal, /) -> Declarations:  # noqa: ARG002 - the same list for all tenants
        """The attributes that are searchable by declaration, and how far each is filled."""
        return self._catalog.register.read()

    @permits(Permission.ADMINISTER)
    def declare(self, principal: Principal, /, path: Path, level: Level, vr: str = "") -> Declaration:
        """Make an attribute searchable; a job fills in what is stored already. Raises InvalidQuery, Conflict."""
        declaration = self._catalog.register.declare(path, level, vr)
        self._log.declared(principal, f"{level.value} {declaration.name} searchable")
        return declaration

    @permits(Permission.ADMINISTER)
    def give_up(self, principal: Principal, /, path: Path, level: Level) -> None:
        """Make an attribute unsearchable again. Raises NotFound."""
        self._catalog.register.give_up(path, level)
        self._log.declared(principal, f"{level.value} {name_of(path)} no longer searchable")


class _AuditedIntake:
    """An intake whose outcome is recorded."""

    __slots__ = ("_inner", "_log", "_origin", "_principal", "abort", "write")

    def __init__(self, inner: ObjectIntake, principal: Principal, origin: Origin, log: AccessLog) -> None:
        self._inner = inner
        self._principal = principal
        self._origin = origin
        self._log = log
        self.write = inner.write
        self.abort = inner.abort

    def finish(self) -> StoreOutcome:
        """Finish and record."""
        outcome = self._inner.finish()
        self._log.received(self._principal, self._origin, outcome)
        return outcome
