"""The conformance statement in the form of PS3.2: `pacs/conformance.md` filled from the tables the server runs on.

`python -m pacs.conformance [--check] FILE` writes it for the default settings.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.resources import files
from string import Template

from config.reference import keep_fresh
from config.settings import Settings
from dicomweb.operations import operations
from dicomweb.routes import RESOURCES
from dimse import contexts, status
from dimse.upper_layer import LARGEST_SENT_PDU_BYTES
from index.attributes import ATTRIBUTES, Attribute
from index.reasons import Code
from storage import sop_classes, syntaxes, transfer
from storage.charsets import DEFINED_TERMS
from storage.meta_group import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def statement(settings: Settings) -> str:
    """The whole document, in Markdown, for these settings."""
    template = files("pacs").joinpath("conformance.md").read_text(encoding="utf-8")
    dimse = settings.dimse
    return Template(template).substitute(
        version=version("open-pacs"),
        overview=_overview(),
        query_models=_query_models(),
        storage_classes=_table(("SOP class", "UID"), _storage_classes()),
        implementation_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version=IMPLEMENTATION_VERSION_NAME,
        ae_titles=", ".join(f"`{title}`" for title in dimse.ae_titles),
        association_limits=_association_limits(settings),
        transfer_syntaxes=_transfer_syntaxes(),
        attributes=_table(("level", "keyword", "tag", "VR", "matching", "returned"), map(_attribute, ATTRIBUTES)),
        store_statuses=_table(("status", "meaning"), ((f"{code.status:04X}", code.meaning) for code in Code)),
        query_statuses=_table(("status", "when"), ((f"{code:04X}", text) for code, text in status.MEANINGS.items())),
        web_operations=_table(("request", "what", "PS3.18", "answers"), _web_operations()),
        dimse_port=str(dimse.port),
        web_port=str(settings.web.port),
        character_sets=_character_sets(),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _overview() -> str:
    stored = f"{len(list(_storage_classes()))} storage SOP classes"
    rows = [
        ("Verification", "yes", "yes"),
        (stored, "C-MOVE and C-GET sub-operations, `pacs send`", "yes"),
        *(
            (f"Query/Retrieve, {root} root", "C-FIND, C-GET (`pacs fetch`)" if root == "study" else "no", services)
            for root, services in _services_by_root().items()
        ),
    ]
    return _table(("network service", "SCU", "SCP"), rows)


def _services_by_root() -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for model in contexts.MODELS.values():
        found.setdefault(model.root.replace("-", " "), []).append(f"C-{model.service.upper()}")
    return {root: ", ".join(services) for root, services in found.items()}


def _query_models() -> str:
    rows = [("Verification", f"`{contexts.VERIFICATION}`", "C-ECHO", "")]
    for uid, model in contexts.MODELS.items():
        levels = ", ".join(level.value for level in model.levels)
        rows.append((f"{model.root.replace('-', ' ')} root", f"`{uid}`", f"C-{model.service.upper()}", levels))
    return _table(("information model", "SOP Class UID", "service (SCP)", "levels"), rows)


def _storage_classes() -> Iterable[tuple[str, str]]:
    named = ((name, uid) for uid, name in sop_classes.KNOWN.items() if sop_classes.is_storage(uid))
    return ((name, f"`{uid}`") for name, uid in sorted(named))


def _association_limits(settings: Settings) -> str:
    dimse = settings.dimse
    rows = (
        ("Maximum PDU size received", f"{dimse.maximum_pdu_bytes:,} bytes"),
        ("Maximum PDU size sent", f"what the peer takes, at most {LARGEST_SENT_PDU_BYTES:,} bytes"),
        ("Associations at one time", f"{dimse.maximum_associations} in each listener process"),
        ("Associations of one network address", str(dimse.maximum_associations_per_peer)),
        ("Asynchronous operations", "one operation at a time (window 1,1)"),
        ("Time for an A-ASSOCIATE-RQ", f"{dimse.association_timeout_seconds:g} s"),
        ("Time for one PDU", f"{dimse.pdu_timeout_seconds:g} s"),
        ("Silence on an association", f"{dimse.idle_timeout_seconds:g} s"),
    )
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def _transfer_syntaxes() -> str:
    rows = []
    for uid, syntax in syntaxes.KNOWN.items():
        native = uid in transfer.NATIVE
        decodes = "native" if native else "yes" if uid in transfer.DECODABLE else "kept and returned only"
        encodes = "native" if native else "yes" if uid in transfer.ENCODABLE else "no"
        rows.append((syntax.name, f"`{uid}`", decodes, encodes))
    return _table(("transfer syntax", "UID", "decodes", "encodes"), rows)


def _attribute(row: Attribute) -> tuple[str, ...]:
    returned = "always" if row.default else "on request"
    kinds = ", ".join(kind.removesuffix(" Matching") for kind in row.kinds) or "none"
    return (row.level.value, row.keyword, f"({row.tag[:4]},{row.tag[4:]})", row.vr, kinds, returned)


def _web_operations() -> Iterable[tuple[str, ...]]:
    for operation in operations(RESOURCES):
        row = operation.description
        answers = ", ".join(f"`{name}`" for name in row.media_types)
        request = f"`{operation.method} {operation.template}`"
        yield request, row.summary, row.section, answers


def _character_sets() -> str:
    return _table(("defined term", "repertoire"), ((f"`{term}`", one.meaning) for term, one in DEFINED_TERMS.items()))


if __name__ == "__main__":
    sys.exit(keep_fresh(statement(Settings()), sys.argv[1:]))
