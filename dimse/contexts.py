"""Which presentation contexts we accept. Decided for what a peer proposes; no table is built at start-up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from pydicom.uid import UID

from config.settings import Archive as ArchiveSettings
from index.records import Level
from storage.sop_classes import is_storage
from storage.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, KNOWN

Service = Literal["echo", "store", "find", "move", "get"]
Root = Literal["patient", "study", "patient-study-only"]

VERIFICATION: Final = "1.2.840.10008.1.1"

_IDENTIFIER_SYNTAXES: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)


@dataclass(frozen=True, slots=True)
class Model:
    """A query/retrieve information model (PS3.4 C.6) with the service that an abstract syntax asks of it."""

    service: Service
    root: Root

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels it has, from the top."""
        if self.root == "study":
            return (Level.STUDY, Level.SERIES, Level.IMAGE)
        if self.root == "patient":
            return (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
        return (Level.PATIENT, Level.STUDY)


MODELS: Final = {
    "1.2.840.10008.5.1.4.1.2.1.1": Model("find", "patient"),
    "1.2.840.10008.5.1.4.1.2.1.2": Model("move", "patient"),
    "1.2.840.10008.5.1.4.1.2.1.3": Model("get", "patient"),
    "1.2.840.10008.5.1.4.1.2.2.1": Model("find", "study"),
    "1.2.840.10008.5.1.4.1.2.2.2": Model("move", "study"),
    "1.2.840.10008.5.1.4.1.2.2.3": Model("get", "study"),
    "1.2.840.10008.5.1.4.1.2.3.1": Model("find", "patient-study-only"),
    "1.2.840.10008.5.1.4.1.2.3.2": Model("move", "patient-study-only"),
    "1.2.840.10008.5.1.4.1.2.3.3": Model("get", "patient-study-only"),
}


SEND_AS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "uncompressed": (EXPLICIT_LITTLE, IMPLICIT_LITTLE),
        "rle": ("1.2.840.10008.1.2.5",),
        "jpeg-ls": ("1.2.840.10008.1.2.4.80",),
        "jpeg-2000": ("1.2.840.10008.1.2.4.90",),
        "htj2k": ("1.2.840.10008.1.2.4.201",),
    }
)
"""The words of `send_as` in the AE table -> transfer syntaxes, best first."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one peer may propose: the services it was granted, and what the archive takes."""

    services: frozenset[str]
    archive: ArchiveSettings

    def choose(
        self, abstract_syntax: str, proposed: Sequence[str], *, general: Sequence[str] = ()
    ) -> tuple[Sequence[str] | None, bool]:
        """The transfer syntaxes we take, and whether objects may also go the other way, by C-GET.

        None: the abstract syntax itself is refused. `general`: the classes of which the peer says that it is
        a special case (PS3.7 D.3.3.6).
        """
        service = service_of(abstract_syntax, accept_unknown=self.archive.accept_unknown_sop_classes)
        if service is None and general_class(abstract_syntax, general):
            service = "store"
        if service is None:
            return None, False
        gets = service == "store" and "get" in self.services
        # An echo tells nothing that the association itself does not, so that everyone known may ask for it.
        if service != "echo" and service not in self.services and not gets:
            return None, False
        return acceptable_syntaxes(service, proposed, self.archive), gets


def general_class(abstract_syntax: str, general: Sequence[str]) -> str:
    """The storage class, among the general ones a peer named, that an unknown class may be taken for; empty: none."""
    if abstract_syntax == VERIFICATION or abstract_syntax in MODELS or UID(abstract_syntax).type:
        return ""
    return next((uid for uid in general if is_storage(uid)), "")


def service_of(abstract_syntax: str, *, accept_unknown: bool) -> Service | None:
    """The service that an abstract syntax stands for; None when we have none for it."""
    if abstract_syntax == VERIFICATION:
        return "echo"
    model = MODELS.get(abstract_syntax)
    if model is not None:
        return model.service
    if is_storage(abstract_syntax):
        return "store"
    # An unknown UID has neither type nor name in the dictionary of PS3.6.
    return "store" if accept_unknown and not UID(abstract_syntax).type else None


def acceptable_syntaxes(service: Service, proposed: Sequence[str], settings: ArchiveSettings) -> list[str]:
    """The proposed transfer syntaxes that we take, best first.

    For identifiers that is explicit little endian. Objects are kept as they come, and the order of the
    proposal is the best guess at what the sender holds.
    """
    if service in ("store", "get") and settings.accept_unknown_transfer_syntaxes:
        return [uid for uid in proposed if uid in KNOWN or not UID(uid).type]
    if service == "store":
        return [uid for uid in proposed if uid in KNOWN]
    return [uid for uid in _IDENTIFIER_SYNTAXES if uid in proposed]
