"""In which transfer syntax an object or a frame leaves: wanted + stored -> Plan. Pure, no pixels here.

The rule of the house: as stored whenever the peer takes it, because that costs nothing and changes
nothing. Otherwise the cheapest thing that satisfies the peer: first a rewrite of the data set
(another VR encoding or byte order, pixels untouched), then the first wanted syntax that the codecs
at hand can make. Nothing is ever compressed with loss: that would need a new SOP Instance UID
(PS3.4 B.4.1.3, PS3.3 C.12.4).
"""

from dataclasses import dataclass
from typing import Final, Literal

from index.errors import NotAcceptable
from index.records import Wanted
from storage import syntaxes
from storage.syntaxes import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    JPEG_LS_LOSSLESS,
    TransferSyntax,
)

How = Literal["as_stored", "rewrite", "decode", "transcode"]

OCTET_STREAM: Final = "application/octet-stream"

NEVER_ON_THE_WEB: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_BIG, "1.2.840.10008.1.20"})
"""PS3.18 8.7.3: these shall not be used with web services, not even for `transfer-syntax=*`. The web
edge passes them as `Wanted.never`."""

NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE, EXPLICIT_BIG, "1.2.840.10008.1.20"})
"""Syntaxes between which an object is rewritten without looking at its pixels."""

DECODABLE: Final = frozenset(
    {
        "1.2.840.10008.1.2.1.98",  # Encapsulated Uncompressed
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.53",
        "1.2.840.10008.1.2.4.55",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.4.110",
        "1.2.840.10008.1.2.4.111",
        "1.2.840.10008.1.2.4.112",
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.4.203",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.8.1",  # Deflated Image Frame Compression
    }
)
"""Compressed syntaxes that the codecs at hand decode."""

ENCODABLE: Final = frozenset(
    {
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.110",
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.4.203",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.8.1",
    }
)
"""Compressed, lossless syntaxes that the codecs at hand encode."""

UNSEEN: Final = frozenset(
    {
        "1.2.840.10008.1.2.1.98",
        "1.2.840.10008.1.2.4.53",
        "1.2.840.10008.1.2.4.55",
        "1.2.840.10008.1.2.4.110",
        "1.2.840.10008.1.2.4.111",
        "1.2.840.10008.1.2.4.112",
        "1.2.840.10008.1.2.8.1",
    }
)
"""Compressed syntaxes that are decoded here and by no viewer in a browser. Whoever takes frames in any syntax gets them
as Explicit VR Little Endian; whoever names the syntax gets them as they are stored."""

_WIDER: Final = {
    "1.2.840.10008.1.2.4.50": frozenset({"1.2.840.10008.1.2.4.51"}),
    "1.2.840.10008.1.2.4.70": frozenset({"1.2.840.10008.1.2.4.57"}),
    "1.2.840.10008.1.2.4.80": frozenset({"1.2.840.10008.1.2.4.81"}),
    "1.2.840.10008.1.2.4.90": frozenset({"1.2.840.10008.1.2.4.91"}),
    "1.2.840.10008.1.2.4.201": frozenset({"1.2.840.10008.1.2.4.203"}),
    "1.2.840.10008.1.2.4.202": frozenset({"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"}),
}
"""Stored syntax -> syntaxes whose definition includes every such code stream: the same bytes, another name."""

_MEDIA_TYPES: Final = (
    ("image/jpeg", ("4.50", "4.51", "4.52", "4.53", "4.54", "4.55", "4.56", "4.57", "4.58", "4.59", "4.60")),
    ("image/jpeg", ("4.61", "4.62", "4.63", "4.64", "4.65", "4.66", "4.70")),
    ("image/jls", ("4.80", "4.81")),
    ("image/jp2", ("4.90", "4.91")),
    ("image/jpx", ("4.92", "4.93")),
    ("image/jxl", ("4.110", "4.111", "4.112")),
    ("image/jphc", ("4.201", "4.202", "4.203")),
    ("image/dicom-rle", ("5",)),
    ("video/mpeg2", ("4.100", "4.101", "4.100.1", "4.101.1")),
    ("video/mp4", ("4.102", "4.103", "4.104", "4.105", "4.106")),
    ("video/h265", ("4.107", "4.108")),
    ("video/mp4", ("4.102.1", "4.103.1", "4.104.1", "4.105.1", "4.106.1")),
)
_MEDIA_TYPE_OF: Final = {f"1.2.840.10008.1.2.{suffix}": name for name, row in _MEDIA_TYPES for suffix in row}


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done, and the syntax that results.

    `as_stored`: the stored bytes leave unchanged. `rewrite`: the data set is encoded anew and pixels
    are untouched. `decode`: compressed pixels become native. `transcode`: pixels are compressed.
    `storage.pixels.recode` does all but the first.
    """

    how: How
    target: str


def media_type(transfer_syntax_uid: str) -> str:
    """The media type of a frame in this syntax (PS3.18 table 8.7.3-2 and following)."""
    return _MEDIA_TYPE_OF.get(transfer_syntax_uid, OCTET_STREAM)


def syntaxes_of(media_type_name: str) -> tuple[str, ...]:
    """The transfer syntaxes that a frame media type may carry; application/octet-stream is native little endian."""
    if media_type_name == OCTET_STREAM:
        return (EXPLICIT_LITTLE,)
    return tuple(uid for uid, name in _MEDIA_TYPE_OF.items() if name == media_type_name)


def is_renaming(stored_uid: str, target_uid: str) -> bool:
    """The same bytes conform to the target too: only the name of the syntax changes."""
    return target_uid in _WIDER.get(stored_uid, ())


def leaves_as(stored_uid: str, wanted: Wanted) -> bool:
    """Whether these bytes satisfy a peer that names syntaxes: as they are, or under another name."""
    return any(uid == stored_uid or is_renaming(stored_uid, uid) for uid in wanted.transfer_syntax_uids)


def plan(stored_uid: str, wanted: Wanted, *, is_image: bool) -> Plan:
    """How a whole object leaves. `is_image`: it has Pixel Data (`layout.pixels` is not None). Raises NotAcceptable."""
    if _leaves_as_stored(stored_uid, wanted):
        return Plan("as_stored", stored_uid)
    ways = [(way, target) for target in _targets(wanted) if (way := _way(stored_uid, target, is_image=is_image))]
    for way, target in ways:
        if way == "rewrite":
            return Plan(way, target)
    if ways:
        return Plan(*ways[0])
    raise _refusal(stored_uid)


def plan_frames(stored_uid: str, wanted: Wanted, *, half_colour: bool = False) -> Plan:
    """How single frames leave. Raises NotAcceptable.

    A native frame has no VR: implicit, explicit and deflated little endian frames are the same bytes and
    all leave as Explicit VR Little Endian; only big endian ones are swapped (`decode`). Where two native pixels share
    their chrominance (`half_colour`) and the frame is to be `viewable`, only whoever names Explicit VR Little Endian
    gets that: viewers in browsers expect three samples for each pixel, so that it leaves compressed, with three.
    """
    viewable = wanted.viewable and wanted.as_stored_ok
    if stored_uid in NATIVE:
        if half_colour and viewable and EXPLICIT_LITTLE not in wanted.transfer_syntax_uids:
            return Plan("transcode", JPEG_LS_LOSSLESS)
        as_explicit = EXPLICIT_LITTLE in wanted.transfer_syntax_uids or wanted.as_stored_ok
        if as_explicit and EXPLICIT_LITTLE not in wanted.never:
            return Plan("decode" if stored_uid == EXPLICIT_BIG else "as_stored", EXPLICIT_LITTLE)
    elif _leaves_as_stored(stored_uid, wanted) and (
        not viewable or stored_uid not in UNSEEN or stored_uid in wanted.transfer_syntax_uids
    ):
        return Plan("as_stored", stored_uid)
    for target in _targets(wanted):
        if is_renaming(stored_uid, target):
            return Plan("as_stored", target)
        if (target == EXPLICIT_LITTLE or target in ENCODABLE) and stored_uid in NATIVE | DECODABLE:
            return Plan("decode" if target == EXPLICIT_LITTLE else "transcode", target)
    raise _refusal(stored_uid)


def _leaves_as_stored(stored_uid: str, wanted: Wanted) -> bool:
    if stored_uid in wanted.never:
        return False
    if stored_uid in wanted.transfer_syntax_uids:
        return True
    return wanted.as_stored_ok and (wanted.lossy_ok or _lossless(syntaxes.lookup(stored_uid)))


def _lossless(syntax: TransferSyntax | None) -> bool:
    return syntax is not None and syntax.lossless


def _targets(wanted: Wanted) -> list[str]:
    """What may be made. "Anything" includes what every reader must take (PS3.5 10.1): Explicit VR Little Endian."""
    fallback = (EXPLICIT_LITTLE,) if wanted.as_stored_ok else ()
    return [uid for uid in (*wanted.transfer_syntax_uids, *fallback) if uid not in wanted.never]


def _way(stored_uid: str, target: str, *, is_image: bool) -> How | None:
    """The work between two syntaxes, None when it cannot be done."""
    if is_renaming(stored_uid, target):
        return "rewrite"
    stored = syntaxes.lookup(stored_uid)
    if stored is None or (stored_uid not in NATIVE and not stored.encapsulated):
        return None
    if not is_image:
        return "rewrite" if target in NATIVE else None
    if stored_uid in NATIVE and target in NATIVE:
        return "rewrite"
    if stored_uid not in NATIVE | DECODABLE:
        return None
    if target in NATIVE:
        return "decode"
    return "transcode" if target in ENCODABLE else None


def _refusal(stored_uid: str) -> NotAcceptable:
    stored = syntaxes.lookup(stored_uid)
    name = stored.name if stored else stored_uid
    others = [EXPLICIT_LITTLE, *sorted(ENCODABLE)] if stored_uid in NATIVE | DECODABLE else []
    made = f", or made as {', '.join(uid for uid in others if uid != stored_uid)}" if others else ""
    return NotAcceptable(f"Not in a wanted transfer syntax. Stored as {name} (transfer-syntax=*){made}")
