"""Making a rendition: the frames of an original encoded anew, proved, and put into a file of the same instance.

Frame by frame, by way of a file without a name, so that an object of any size takes the memory of one frame, and the
caller may stop, or say that it is alive, between any two. Nothing is known to anybody before the object is durable; who
is killed in between leaves an object that no row names, and the sweep removes it.
"""

import mmap
import tempfile
from array import array
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Final

from config import settings
from index.errors import CannotUnderstand, NotAcceptable, PacsError
from index.layout import EncapsulatedPixels, PixelLayout
from index.records import DicomJson, StoredInstance
from index.renditions.rows import Rendition
from storage import frames, part10, renditions, syntaxes
from storage.blobs import BlobStore
from storage.pixels.description import ImageDescription
from storage.pixels.recode import EncodedPixels, with_pixels
from storage.reader import Reader
from storage.sink import BLOCK_BYTES, ObjectSink
from storage.syntaxes import TransferSyntax
from storage.transfer import DECODABLE, NATIVE
from storage.video import is_video

SYNTAXES: Final = {
    "htj2k-lossless": "1.2.840.10008.1.2.4.201",
    "htj2k-lossless-rpcl": "1.2.840.10008.1.2.4.202",
}
"""The transfer syntax of `renditions.syntax`."""

_COLOURS: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "RGB", "YBR_RCT"})
"""What every reader of HTJ2K shows alike: grey, and colour that was RGB."""

_Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the making of renditions needs."""

    blobs: BlobStore
    limits: settings.Limits
    rules: settings.Archive
    folder: str | None
    """For files in between; None: the system's temporary folder."""


def why_not(instance: StoredInstance, dataset: DicomJson) -> str:
    """Why an instance cannot have a rendition, empty when it may; known without looking at its pixels."""
    syntax = syntaxes.lookup(instance.transfer_syntax_uid)
    if is_video(instance):
        return "video"
    if syntax is None or instance.transfer_syntax_uid not in NATIVE | DECODABLE:
        return "not an image that can be decoded"
    if reason := _why_not_stored(instance, syntax):
        return reason
    try:
        description = ImageDescription.from_json(dataset)
    except CannotUnderstand:
        return "not described as an image"
    return _why_not_described(description)


def _why_not_stored(instance: StoredInstance, syntax: TransferSyntax) -> str:
    if instance.layout.pixels is None:
        return "no frames"
    if syntax.uid in SYNTAXES.values():
        return "HTJ2K already"
    return "" if syntax.lossless else "compressed with loss"


def _why_not_described(description: ImageDescription) -> str:
    if description.floating or description.bits_allocated not in (8, 16):
        return "samples of neither 8 nor 16 bits"
    if description.photometric_interpretation not in _COLOURS:
        return f"colours as {description.photometric_interpretation[:16]}"
    return "" if description.samples_per_pixel in (1, 3) else "neither one nor three samples a pixel"


def make(
    workshop: Workshop, tenant: str, instance: StoredInstance, dataset: DicomJson, target_uid: str
) -> Generator[None, None, Rendition]:
    """Make one, durable when it is returned; yields after each frame.

    Raises NotAcceptable and CannotUnderstand when there can be none, other PacsErrors when there is none now.
    """
    reader = Reader(workshop.blobs, workshop.limits, instance)
    with tempfile.TemporaryFile(dir=workshop.folder) as file:
        photometric, lengths = yield from _encode(reader, dataset, target_uid, (file, workshop.limits.decoded_bytes))
        file.flush()
        # Neither it nor its views are closed by hand: it goes with the last of them.
        whole = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        cut = [whole[end - length : end] for end, length in zip(accumulate(lengths), lengths, strict=True)]
        return _put(workshop, tenant, (instance, dataset, reader.whole()), EncodedPixels(target_uid, photometric, cut))


def _encode(
    reader: Reader, dataset: DicomJson, target_uid: str, into: tuple[IO[bytes], int]
) -> Generator[None, None, tuple[str, "array[int]"]]:
    """All frames one after the other into a file: their colours, and the length of each, which is even."""
    from storage.pixels.faithful import encode_faithfully

    file, limit_bytes = into
    description = ImageDescription.from_json(dataset)
    lengths = array("Q")
    photometric = set()
    for number in range(1, reader.pixels.number_of_frames + 1):
        frame = reader.stored_frame(number, dataset)
        encoded = encode_faithfully(frame, description, target_uid, limit_bytes=limit_bytes)
        photometric.add(encoded.photometric_interpretation)
        padding = b"\0" * (len(encoded.data) % 2)
        lengths.append(file.write(encoded.data) + file.write(padding))
        yield
    if len(photometric) != 1:
        raise NotAcceptable("Frames differ in their colours")
    return photometric.pop(), lengths


def _put(
    workshop: Workshop, tenant: str, original: tuple[StoredInstance, DicomJson, memoryview], pixels: EncodedPixels
) -> Rendition:
    """Write the object and make it durable; it is read back first as whoever sends it will read it."""
    instance, dataset, stored = original
    meta = part10.build_meta(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.key.sop_instance_uid,
        transfer_syntax_uid=pixels.transfer_syntax_uid,
        private=instance.sha256,
    )
    sink = ObjectSink(workshop.blobs, renditions.new_key(workshop.blobs, tenant), meta)
    try:
        pieces = with_pixels(
            stored,
            pixels,
            layout=instance.layout,
            dataset=dataset,
            stored_uid=instance.transfer_syntax_uid,
            limits=workshop.limits,
        )
        for piece in pieces:
            _add(sink, memoryview(piece))
        scanned = _scan(workshop, sink.view(), len(meta), pixels.transfer_syntax_uid)
        _prove(sink.view(), scanned, instance, pixels.frames)
        sha256 = sink.commit()
    except BaseException:
        with suppress(OSError, PacsError):
            sink.abort()
        raise
    return Rendition(
        instance.blob_key, pixels.transfer_syntax_uid, sink.blob_key, sink.size_bytes, sha256, scanned.layout
    )


def _add(sink: ObjectSink, piece: memoryview) -> None:
    for start in range(0, len(piece), BLOCK_BYTES):
        sink.add(piece[start : start + BLOCK_BYTES])


def _scan(workshop: Workshop, view: memoryview, offset: int, transfer_syntax_uid: str) -> part10.Scanned:
    return part10.scan(
        view,
        dataset_offset=offset,
        transfer_syntax_uid=transfer_syntax_uid,
        limits=workshop.limits,
        bulk_threshold_bytes=workshop.rules.bulk_data_threshold_bytes,
    )


def _prove(view: memoryview, scanned: part10.Scanned, instance: StoredInstance, encoded: Sequence[_Buffer]) -> None:
    """The object is that instance, and each frame stands in it where its layout says."""
    if (scanned.key, scanned.sop_class_uid) != (instance.key, instance.sop_class_uid):
        raise CannotUnderstand("The rendition would be another instance")
    layout = scanned.layout.pixels
    if not isinstance(layout, EncapsulatedPixels) or layout.number_of_frames != len(encoded):
        raise CannotUnderstand("The rendition would have other frames")
    for number, frame in enumerate(encoded, 1):
        if _frame(view, layout, number) != frame:
            raise CannotUnderstand("A frame of the rendition would stand in another place")


def _frame(view: memoryview, layout: PixelLayout, number: int) -> memoryview:
    ((offset, length),) = frames.byte_ranges(layout, number)
    return view[offset : offset + length]
