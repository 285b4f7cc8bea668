"""Which representation a client gets: the Accept header against one table per resource (PS3.18 8.3.3, 8.7).

Pure functions. A header is parsed into ranges, best first; every range is compared with the offers
of the resource; what is left is the list of choices, best first. Two habits of DICOMweb make this
more than RFC 9110: `multipart/related` hides the real media type in its `type` parameter, and
`transfer-syntax` says how the pixels shall be encoded, where `*` means "as you have it".

A range without `transfer-syntax` asks for the default of its media type, which is Explicit VR
Little Endian for application/dicom and application/octet-stream (PS3.18 8.7.3).
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from index.errors import NotAcceptable
from index.records import Wanted
from storage.syntaxes import EXPLICIT_LITTLE, KNOWN
from storage.transfer import NEVER_ON_THE_WEB, OCTET_STREAM, syntaxes_of

Packaging = Literal["single", "multipart"]

_MOST_CHARACTERS = 4096
_MOST_RANGES = 64
_UTF_8: Final = frozenset({"", "utf-8", "utf8", "*"})


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A representation that a resource has. Compared by identity: tables of offers are keys of a cache."""

    media_type: str
    packaging: Packaging = "single"
    default: tuple[str, ...] = ()
    """Transfer syntaxes meant when the client names none, best first."""
    allowed: frozenset[str] | None = None
    """Transfer syntaxes that may be named; None allows any."""
    aliases: tuple[str, ...] = ()
    """Other names of the media type that clients still use."""
    text: bool = False
    """Text in UTF-8, the one character set that is sent (PS3.18 8.7.3.5.3)."""


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One item of an Accept header. For multipart, `media_type` is that of the parts."""

    media_type: str
    packaging: Packaging | None
    """None: `*/*`, which takes either."""
    transfer_syntax: str
    """A UID, `*`, or empty when the client named none."""
    quality: float
    charset: str = ""
    """The parameter in lower case, or empty when the client named none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A representation that the client takes and the resource has."""

    media_type: str
    packaging: Packaging
    transfer_syntax_uids: tuple[str, ...] = ()
    """Best first; empty when anything will do."""
    fallback: bool = False
    """True when the stored form is better than a refusal, because the client did not insist on these syntaxes."""
    quality: float = 1.0
    """How much the client wants it, against other choices."""

    @property
    def as_stored_ok(self) -> bool:
        """True when any transfer syntax will do."""
        return not self.transfer_syntax_uids

    def wanted(self) -> Wanted:
        """What the archive has to make for this choice."""
        return Wanted(self.transfer_syntax_uids, as_stored_ok=self.as_stored_ok, never=NEVER_ON_THE_WEB)


_WHOLE_OBJECTS: Final = frozenset({"application/dicom", "application/zip"})

_PIXEL_TYPES: Final = (
    ("image/jpeg", ()),
    ("image/dicom-rle", ("image/x-dicom-rle",)),
    ("image/jls", ("image/x-jls",)),
    ("image/jp2", ()),
    ("image/jpx", ()),
    ("image/jphc", ()),
    ("image/jxl", ()),
    ("video/mpeg2", ("video/mpeg",)),
    ("video/mp4", ()),
    ("video/h265", ("video/hevc",)),
)


def _pixel_offers(packaging: Packaging) -> tuple[Offer, ...]:
    """Media types of Pixel Data (PS3.18 8.7.3.3)."""
    offers = [Offer(OCTET_STREAM, packaging, (EXPLICIT_LITTLE,))]
    for name, aliases in _PIXEL_TYPES:
        uids = syntaxes_of(name)
        offers.append(Offer(name, packaging, uids, frozenset(uids), aliases))
    return tuple(offers)


_DICOM_SYNTAXES = frozenset(KNOWN) - NEVER_ON_THE_WEB
_PARTS: Final = _pixel_offers("multipart")
_SINGLE: Final = _pixel_offers("single")
_OBJECTS: Final = Offer("application/dicom", "multipart", (EXPLICIT_LITTLE,), _DICOM_SYNTAXES)

# What each resource has (PS3.18 table 10.4.4-1); the first offer is its default.
JSON: Final = (Offer("application/dicom+json", text=True), Offer("application/json", text=True))
METADATA: Final = (*JSON, Offer("application/dicom+xml", "multipart", text=True))
ZIP: Final = Offer("application/zip", "single", (EXPLICIT_LITTLE,), _DICOM_SYNTAXES)
OBJECTS: Final = (_OBJECTS, ZIP, *_PARTS)
OBJECT: Final = (_OBJECTS, replace(_OBJECTS, packaging="single"), ZIP, *_PARTS)
FRAMES: Final = (*_PARTS, *_SINGLE)
BULKDATA: Final = _PARTS
PIXEL_DATA: Final = FRAMES
PIXEL_ELEMENT: Final = (_SINGLE[0], *_PARTS, *_SINGLE[1:])
BULK: Final = (Offer(OCTET_STREAM), Offer(OCTET_STREAM, "multipart"))


# Commas and semicolons inside quotes do not separate; a backslash escapes one character (RFC 9110 5.6.4).
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ITEM = re.compile(rf'(?:[^,"]|{_QUOTED}|")+')
_PARAMETER = re.compile(rf';\s*([^\s=;"]+)\s*(?:=\s*({_QUOTED}|[^\s;"]*))?')
_ESCAPED = re.compile(r"\\(.)")


def parse_parameters(text: str) -> dict[str, str]:
    """The parameters of a media type by lower-case name; values may be quoted or bare. The first of a name counts."""
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        if value.startswith('"'):
            value = _ESCAPED.sub(r"\1", value[1:-1])
        found.setdefault(name.lower(), value.strip())
    return found


def _quality(text: str) -> float:
    try:
        quality = float(text or 1)
    except ValueError:
        return 0.0
    return min(quality, 1.0) if quality > 0 else 0.0


def _parse_range(item: str) -> MediaRange | None:
    head, _, tail = item.partition(";")
    media_type = head.strip().lower()
    parameters = parse_parameters(";" + tail)
    if media_type == "*":
        media_type = "*/*"
    if "/" not in media_type:
        return None
    packaging: Packaging | None = "single"
    if media_type.startswith("multipart/"):
        if media_type not in ("multipart/related", "multipart/*"):
            return None
        media_type, packaging = parameters.get("type", "*/*").lower() or "*/*", "multipart"
    elif media_type == "*/*":
        packaging = None
    if media_type.endswith("/"):
        media_type += "*"
    syntax = parameters.get("transfer-syntax", "")
    return MediaRange(
        media_type, packaging, syntax, _quality(parameters.get("q", "")), parameters.get("charset", "").lower()
    )


def parse(header: str) -> list[MediaRange]:
    """The ranges of an Accept header, best first; what cannot be read is passed over."""
    if len(header) > _MOST_CHARACTERS:
        raise NotAcceptable(f"Accept is longer than {_MOST_CHARACTERS} characters")
    items = _ITEM.findall(header)[:_MOST_RANGES]
    ranges = [found for item in items if item.strip() and (found := _parse_range(item))]
    return sorted(ranges, key=lambda found: -found.quality)


def _specificity(wanted: MediaRange, offer: Offer) -> int:
    """0 when the range does not cover the offer, else more for a more exact range."""
    if wanted.packaging is not None and wanted.packaging != offer.packaging:
        return 0
    if offer.text and wanted.charset not in _UTF_8:
        return 0
    if wanted.media_type == offer.media_type or wanted.media_type in offer.aliases:
        return 3
    if wanted.media_type == "*/*":
        return 1
    kind, _, subtype = wanted.media_type.partition("/")
    return 2 if subtype == "*" and offer.media_type.startswith(f"{kind}/") else 0


def _choice(wanted: MediaRange, offer: Offer) -> Choice | None:
    if wanted.transfer_syntax == "*" or not offer.default:
        return Choice(offer.media_type, offer.packaging, quality=wanted.quality)
    if not wanted.transfer_syntax:
        # A study with one video must not be a refusal as a whole: what has no default form goes out as it is.
        fallback = wanted.media_type == "*/*" or offer.media_type in _WHOLE_OBJECTS
        return Choice(offer.media_type, offer.packaging, offer.default, fallback, wanted.quality)
    if wanted.transfer_syntax in NEVER_ON_THE_WEB:
        return None
    if offer.allowed is not None and wanted.transfer_syntax not in offer.allowed:
        return None
    return Choice(offer.media_type, offer.packaging, (wanted.transfer_syntax,), quality=wanted.quality)


def _describe(offer: Offer, *, with_syntax: bool) -> str:
    """An offer as a client may ask for it; with its syntaxes for a client that asked for one that is not there."""
    syntax = "; transfer-syntax=" + ("|".join(offer.default) + "|*") if with_syntax and offer.default else ""
    if offer.packaging == "multipart":
        return f'multipart/related; type="{offer.media_type}"{syntax}'
    return offer.media_type + syntax


@lru_cache(maxsize=512)
def choose(header: str, offers: tuple[Offer, ...]) -> tuple[Choice, ...]:
    """What to answer, best first; never empty. Raises NotAcceptable that names what exists.

    Remembered, because clients send the same few headers thousands of times.
    """
    ranges = parse(header) if header.strip() else [MediaRange("*/*", None, "", 1.0)]
    choices: dict[Choice, None] = {}
    for wanted in ranges:
        for offer in offers:
            rank = _specificity(wanted, offer)
            # The most exact range decides about an offer: `*/*` must not bring back what `image/png;q=0` excludes.
            if not rank or any(_specificity(other, offer) > rank for other in ranges) or wanted.quality == 0:
                continue
            if choice := _choice(wanted, offer):
                choices.setdefault(choice)
                if wanted.media_type == "*/*":
                    break  # No preference: the first offer is the default of the resource.
    if not choices:
        named = any(wanted.transfer_syntax for wanted in ranges)
        raise NotAcceptable("Available: " + ", ".join(_describe(offer, with_syntax=named) for offer in offers))
    return tuple(choices)


def require_utf8(header: str, parameter: str | None) -> None:
    """Raise NotAcceptable when a client excludes UTF-8, the only character set of our texts (PS3.18 8.8).

    The `charset` query parameter goes before the Accept-Charset header.
    """
    items = [item.partition(";") for item in (parameter or header).lower().split(",") if item.strip()]
    qualities = {name.strip(): _quality(parse_parameters(";" + tail).get("q", "")) for name, _, tail in items}
    quality = next((qualities[name] for name in ("utf-8", "utf8", "*") if name in qualities), 0.0 if items else 1.0)
    if not quality:
        raise NotAcceptable("Available: charset=utf-8")


_LOST_PLUS = re.compile(r"(?<=/dicom) (?=json|xml)")


def accept_of(header: str, parameter: str | None) -> str:
    """The Accept text that counts: the `accept` query parameter goes before the header (PS3.18 8.3.3.1).

    An unescaped plus of `application/dicom+json` arrives as a space.
    """
    return _LOST_PLUS.sub("+", parameter) if parameter else header
