"""`pacs send`: files, or a study of the archive, to a DICOM node by C-STORE."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.settings import Peer, Settings, SettingsError
from dimse import commands
from dimse.connection import UpperLayerError
from dimse.send import Outgoing, connect, proposals, send
from index.errors import NotFound, PacsError
from index.records import StoredInstance, Wanted
from pacs.auth.local import local_principal
from pacs.services import build
from pacs.sources import Refusal, Source, find
from storage.archive import Archive


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one object; `problem` is empty when the peer has it."""

    name: str
    problem: str = ""


def parse_peer(address: str, ae_title: str, *, tls: bool) -> Peer:
    """The peer at `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(f"{address!r} is not HOST:PORT")
    return Peer(ae_title=ae_title, host=host.strip("[]"), port=int(port), tls=tls)


def send_files(settings: Settings, peer: Peer, paths: list[Path]) -> Iterator[Sent]:
    """Send files and whole folders. Ends early when the association does."""
    findings = list(find(paths, settings.limits))
    files = [Path(one.name) for one in findings if isinstance(one, Source) and Path(one.name).is_file()]
    for one in findings:
        if isinstance(one, Refusal):
            yield Sent(one.name, one.reason)
        elif not Path(one.name).is_file():
            yield Sent(one.name, "is inside a zip file; unpack it first, or import it and send the study")
    try:
        for result in send(files, peer, calling=settings.dimse.ae_titles[0], settings=settings.dimse):
            yield Sent(str(result.path), _problem(result.status, result.comment))
    except UpperLayerError as error:
        yield Sent(f"{peer.ae_title}@{peer.host}:{peer.port}", str(error))


def send_study(settings: Settings, peer: Peer, study: str) -> Iterator[Sent]:
    """Send a study of the archive, converted only where the peer lacks the stored transfer syntax."""
    services = build(settings)
    try:
        instances = services.archive.instances(local_principal(settings), study)
        yield from _send_instances(settings, peer, services.archive, instances)
    except NotFound:
        yield Sent(study, "there is no such study in the archive")
    except UpperLayerError as error:
        yield Sent(f"{peer.ae_title}@{peer.host}:{peer.port}", str(error))
    finally:
        services.close()


def _send_instances(
    settings: Settings, peer: Peer, archive: Archive, instances: Sequence[StoredInstance]
) -> Iterator[Sent]:
    contexts = proposals((one.sop_class_uid, one.transfer_syntax_uid) for one in instances)
    association = connect(peer, contexts, calling=settings.dimse.ae_titles[0], settings=settings.dimse)
    outgoing = Outgoing(association)
    try:
        for instance in instances:
            yield _send_instance(settings, archive, outgoing, instance)
    except BaseException:
        association.abort()
        raise
    association.release()


def _send_instance(settings: Settings, archive: Archive, outgoing: Outgoing, instance: StoredInstance) -> Sent:
    name = instance.key.sop_instance_uid
    syntaxes = outgoing.syntaxes(instance.sop_class_uid)
    if not syntaxes:
        return Sent(name, "the peer does not accept its SOP class")
    try:
        opened = archive.open_dataset(
            local_principal(settings), instance, Wanted(syntaxes, as_stored_ok=instance.transfer_syntax_uid in syntaxes)
        )
    except PacsError as error:
        return Sent(name, error.detail)
    outgoing.store(instance.sop_class_uid, name, transfer_syntax_uid=opened.transfer_syntax_uid, blocks=opened.blocks)
    answer = outgoing.response()
    return Sent(name, _problem(answer.status, answer.text(commands.ERROR_COMMENT)))


def _problem(status: int | None, comment: str) -> str:
    """Warnings (Bxxx) mean that the peer has it (PS3.4 B.2.3)."""
    if status is None:
        return comment
    if status == 0 or status & 0xF000 == 0xB000:
        return ""
    return f"refused with status {status:04X}{': ' + comment if comment else ''}"
