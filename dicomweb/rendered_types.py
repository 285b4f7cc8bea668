"""Which rendered media types there are for which kind of instance (PS3.18 8.7.4), as tables of offers."""

from dataclasses import dataclass, replace
from typing import Final, Literal

from dicomweb.accept import Offer
from index.records import StoredInstance
from storage import syntaxes
from storage.pixels import presentation_classes
from storage.structured import content
from storage.transfer import media_type

Kind = Literal["image", "video", "presentation state", "waveform", "report", "document", "other"]

_WAVEFORM_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.9."
_SOUND_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.9.4."

PDF: Final = "application/pdf"
HTML: Final = "text/html"
PLAIN: Final = "text/plain"
XML: Final = "text/xml"
RTF: Final = "text/rtf"


def _both(*offers: Offer) -> tuple[Offer, ...]:
    """Each as a single part, then each in multipart/related."""
    return (*offers, *(replace(offer, packaging="multipart") for offer in offers))


PICTURES: Final = (
    Offer("image/jpeg", aliases=("image/jpg",)),
    Offer("image/png"),
    Offer("image/gif"),
    Offer("image/jp2"),
)
"""Of thumbnails; the first is the default."""
IMAGE: Final = _both(*PICTURES)
REPORT: Final = _both(
    Offer(HTML, text=True),
    Offer(PLAIN, text=True),
    Offer(XML, aliases=("application/xml",), text=True),
    Offer(RTF, aliases=("application/rtf",)),
)
VIDEO: Final = {
    name: (*_both(Offer(name, aliases=aliases)), *IMAGE)
    for name, aliases in (("video/mpeg2", ("video/mpeg",)), ("video/mp4", ()), ("video/h265", ("video/hevc",)))
}
"""By the media type of the stored stream. A picture of a video is a neutral one."""
DOCUMENTS: Final = {
    f"1.2.840.10008.5.1.4.1.1.104.{number}": _both(Offer(name, aliases=aliases))
    for number, name, aliases in (
        (1, PDF, ()),
        (2, XML, ("application/xml", "application/hl7-cda+xml")),
        (3, "model/stl", ("application/sla",)),
        (4, "model/obj", ()),
        (5, "model/mtl", ()),
    )
}
"""By SOP class: encapsulated documents leave as they were put in."""

ALL: Final = (
    *IMAGE,
    *REPORT,
    *(offer for offers in VIDEO.values() for offer in offers if offer not in IMAGE),
    *(offer for offers in DOCUMENTS.values() for offer in offers),
)
"""Every rendered media type; which of them there are depends on the instance."""


@dataclass(frozen=True, slots=True)
class Category:
    """What an instance is to a client that wants to see it (PS3.18 8.7.2), and the media types that it can have."""

    kind: Kind
    offers: tuple[Offer, ...]


_IMAGE: Final = Category("image", IMAGE)
_STATE: Final = Category("presentation state", IMAGE)
_WAVEFORM: Final = Category("waveform", IMAGE)
_REPORT: Final = Category("report", REPORT)
_OTHER: Final = Category("other", ())
_DOCUMENTS: Final = {uid: Category("document", offers) for uid, offers in DOCUMENTS.items()}
_VIDEOS: Final = {name: Category("video", offers) for name, offers in VIDEO.items()}


def category_of(instance: StoredInstance) -> Category:
    """The category of a stored instance."""
    if instance.layout.pixels is not None:
        syntax = syntaxes.lookup(instance.transfer_syntax_uid)
        is_video = syntax is not None and syntax.video
        return _VIDEOS.get(media_type(instance.transfer_syntax_uid), _IMAGE) if is_video else _IMAGE
    if instance.sop_class_uid in _DOCUMENTS:
        return _DOCUMENTS[instance.sop_class_uid]
    if content.is_report(instance.sop_class_uid):
        return _REPORT
    if instance.sop_class_uid.startswith(_WAVEFORM_CLASSES) and not instance.sop_class_uid.startswith(_SOUND_CLASSES):
        return _WAVEFORM
    return _STATE if presentation_classes.is_state(instance.sop_class_uid) else _OTHER
