"""The rows of settings that are lists of tables, such as the AE table, and how any setting is declared."""

from dataclasses import dataclass, field
from typing import Any, Literal

SendAs = Literal["uncompressed", "rle", "jpeg-ls", "jpeg-2000", "htj2k"]
Hiding = Literal["everywhere", "search", "nowhere"]
SecondArrival = Literal["refuse", "hide", "accept"]


def setting(
    default: Any, doc: str, *, secret: bool = False, at_least: float | None = None, at_most: float | None = None
) -> Any:
    """Declare a setting with its default value, the sentence that documents it and, for numbers, its bounds."""
    return field(default=default, metadata={"doc": doc, "secret": secret, "at_least": at_least, "at_most": at_most})


@dataclass(frozen=True, slots=True)
class RejectionRule:
    """What a rejection note with a certain title does (`[[archive.rejections]]`)."""

    code: str = setting("", "Code value and coding scheme of the document title, `113001^DCM`.")
    meaning: str = setting("", "What the code means; may be left out for the titles of the profile.")
    hide: Hiding = setting(
        "everywhere",
        "Where what the note names is hidden: `everywhere`, in `search` (who knows its three UIDs can still retrieve "
        "it), or `nowhere` (the note is kept and has no effect).",
    )
    show_note: bool = setting(False, "Show the note itself among the instances of its study.")
    again: SecondArrival = setting(
        "hide",
        "What happens when a rejected instance is sent once more: `refuse` it (A771), `hide` it too, or `accept` it "
        "as if it had never been rejected.",
    )
    purge_days: float = setting(
        0.0,
        "Days after which what the note hides is removed for good, beyond any restoring; 0 keeps it.",
        at_least=0,
    )


@dataclass(frozen=True, slots=True)
class Coercion:
    """One rule by which a value of arriving objects is changed (`[[archive.coercions]]`)."""

    source: str = setting(
        "", "Calling AE title, or address of a web client, whose objects are changed; empty means everybody's."
    )
    keyword: str = setting(
        "", "Keyword of the attribute, at the top level of the data set: text that names no object, `InstitutionName`."
    )
    value: str = setting("", "The new value, ASCII; several values are separated by a backslash.")
    when: Literal["empty", "always"] = setting(
        "empty", "`empty`: only when the attribute is missing or has no value. `always`: whatever its value is."
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of the AE table (`[[dimse.peers]]`)."""

    ae_title: str = setting("", "The peer's AE title (calling AE title when it connects to us).")
    called_ae_titles: tuple[str, ...] = setting((), "Which of our AE titles it may call; empty means all.")
    networks: tuple[str, ...] = setting(("127.0.0.0/8", "::1/128"), "Networks it may connect from, in CIDR notation.")
    services: tuple[str, ...] = setting(
        ("echo", "store", "find", "move", "get"), "Services it may use: echo, store, find, move, get."
    )
    host: str = setting("", "Its address as a C-MOVE destination; empty means that nothing can be sent to it.")
    port: int = setting(104, "Its port as a C-MOVE destination.", at_least=0, at_most=65535)
    send_as: tuple[SendAs, ...] = setting(
        (),
        "How images are sent to it, best first, where it accepts that: `uncompressed`, `rle`, `jpeg-ls`, `jpeg-2000`, "
        "`htj2k`, all without loss. Images stored with loss are left as they are unless `uncompressed` comes first. "
        "Empty: as stored where it accepts that.",
    )
    tls: bool = setting(False, "Send to it over TLS.")
    certificate_sha256: str = setting(
        "", "SHA-256 fingerprint (hex) of the client certificate it must present over TLS."
    )
    tenant: str = setting("", "Tenant it belongs to; empty means `archive.tenant`.")


@dataclass(frozen=True, slots=True)
class Title:
    """One AE title of ours that belongs to a tenant (`[[dimse.titles]]`)."""

    ae_title: str = setting("", "The AE title that is called.")
    tenant: str = setting("", "The tenant whose objects are stored and found under this title.")


@dataclass(frozen=True, slots=True)
class RenditionRule:
    """Which images get a rendition (`[[renditions.rules]]`): those that meet every condition of a rule."""

    modalities: tuple[str, ...] = setting((), "Modality (0008,0060) of the series; empty means all.")
    sop_classes: tuple[str, ...] = setting((), "SOP Class UIDs; empty means all.")
    transfer_syntaxes: tuple[str, ...] = setting((), "Transfer syntax UIDs of the stored object; empty means all.")
    minimum_bytes: int = setting(0, "Smallest size of the stored object.", at_least=0)
    minimum_frames: int = setting(1, "Smallest Number of Frames; an object without one has 1.", at_least=1)
    tenant: str = setting("", "Tenant; empty means all.")
