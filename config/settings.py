"""Every setting of the server, one frozen dataclass per section.

The text in each field's `doc` is the reference: `docs/settings.md` is generated from it, and
`config.load` reads names, types and defaults from here and nowhere else. Units stand in the name.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

SyncMode = Literal["FULL", "NORMAL"]
DuplicatePolicy = Literal["refuse", "keep-both", "replace"]


def setting(default: Any, doc: str, *, secret: bool = False) -> Any:
    """Declare a setting with its default value and the sentence that documents it."""
    return field(default=default, metadata={"doc": doc, "secret": secret})


@dataclass(frozen=True, slots=True)
class Archive:
    """What is accepted and how it is kept."""

    tenant: str = setting("default", "Name of the tenant that local users and AE titles without a tenant of their own belong to.")
    duplicates: DuplicatePolicy = setting(
        "refuse",
        "What happens when a known SOP Instance UID arrives with other bytes: `refuse` it, `keep-both` "
        "(the first stays current, the second is set aside) or `replace` (the old one is set aside and can be restored).",
    )
    accept_unknown_sop_classes: bool = setting(
        False, "Accept private and unknown storage SOP classes over DIMSE and DICOMweb."
    )
    accept_unknown_transfer_syntaxes: bool = setting(
        False, "Accept private and unknown transfer syntaxes; such objects are kept and returned, never decoded."
    )
    bulk_data_threshold_bytes: int = setting(
        1024, "Binary values longer than this become a BulkDataURI in the metadata. Pixel Data always does."
    )


@dataclass(frozen=True, slots=True)
class Database:
    """The index."""

    url: str = setting(
        "sqlite:///data/index.sqlite", "SQLAlchemy URL of the index: `sqlite:///path` or `postgresql+psycopg://user@host/name`.", secret=True
    )
    synchronous: SyncMode = setting(
        "FULL", "SQLite only: `FULL` makes every commit durable before it is acknowledged. `NORMAL` may lose the last commits in a power cut."
    )
    pool_size: int = setting(8, "Connections kept open by each process.")
    statement_timeout_seconds: float = setting(5.0, "A query that runs longer is cancelled and refused.")


@dataclass(frozen=True, slots=True)
class Storage:
    """The object store."""

    url: str = setting("file:data/objects", "Where objects are kept: `file:path`, `s3://bucket/prefix` or `memory:`.")
    endpoint: str = setting("", "Address of an S3-compatible service; empty means that of the cloud provider.")
    region: str = setting("us-east-1", "Region of the bucket.")
    access_key_id: str = setting("", "Access key; empty means that the environment's credentials are used.")
    secret_access_key: str = setting("", "Secret of the access key.", secret=True)
    allow_http: bool = setting(False, "Allow an S3 endpoint without TLS.")
    spool_folder: str = setting("", "Folder for objects on their way to S3; empty means the system's temporary folder.")
    spool_threshold_bytes: int = setting(8 * 1024**2, "Objects up to this size wait in memory, larger ones in a file.")
    minimum_free_percent: float = setting(5.0, "Stores are refused (A700, 507) when the disk has less free space than this.")


@dataclass(frozen=True, slots=True)
class Web:
    """HTTP: DICOMweb and the pages."""

    host: str = setting("127.0.0.1", "Address to listen on. Anything but loopback needs `access.unprotected`.")
    port: int = setting(8042, "Port to listen on.")
    workers: int = setting(1, "Number of web processes that share the port.")
    threads: int = setting(8, "Threads per web process for index and object access.")
    query_default_limit: int = setting(1000, "Rows of a QIDO-RS answer when the client gives no limit.")
    query_maximum_limit: int = setting(5000, "Most rows of one QIDO-RS answer; the rest is announced by Warning 299.")
    shutdown_seconds: float = setting(10.0, "How long running requests may finish after a stop signal.")


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of the AE table (`[[dimse.peers]]`)."""

    ae_title: str = setting("", "The peer's AE title (calling AE title when it connects to us).")
    called_ae_titles: tuple[str, ...] = setting((), "Which of our AE titles it may call; empty means all.")
    networks: tuple[str, ...] = setting(("127.0.0.0/8", "::1/128"), "Networks it may connect from, in CIDR notation.")
    services: tuple[str, ...] = setting(("echo", "store", "find", "move", "get"), "Services it may use: echo, store, find, move, get.")
    host: str = setting("", "Its address as a C-MOVE destination; empty means that nothing can be sent to it.")
    port: int = setting(104, "Its port as a C-MOVE destination.")
    tls: bool = setting(False, "Send to it over TLS.")
    certificate_sha256: str = setting("", "SHA-256 fingerprint (hex) of the client certificate it must present over TLS.")
    tenant: str = setting("", "Tenant it belongs to; empty means `archive.tenant`.")


@dataclass(frozen=True, slots=True)
class Dimse:
    """The DICOM upper layer and its services."""

    host: str = setting("127.0.0.1", "Address to listen on. Anything but loopback needs an AE table.")
    port: int = setting(11112, "Port for plain DIMSE; 0 turns it off.")
    ae_titles: tuple[str, ...] = setting(("PACS",), "Our AE titles.")
    peers: tuple[Peer, ...] = setting((), "The AE table.")
    allow_unknown_local_peers: bool = setting(
        True, "Accept AE titles that are not in the AE table when they connect from this machine (loopback)."
    )
    processes: int = setting(1, "Number of listener processes that share the port.")
    maximum_pdu_bytes: int = setting(131072, "Largest P-DATA PDU we receive.")
    maximum_associations: int = setting(200, "Most associations at one time in each listener process.")
    maximum_associations_per_peer: int = setting(50, "Most associations at one time from one network address.")
    association_timeout_seconds: float = setting(10.0, "ARTIM: how long a connection may wait before its A-ASSOCIATE-RQ is complete.")
    pdu_timeout_seconds: float = setting(30.0, "How long one PDU may take from its first to its last byte.")
    idle_timeout_seconds: float = setting(600.0, "How long an established association may be silent.")
    connect_timeout_seconds: float = setting(10.0, "How long connecting to a C-MOVE destination may take.")
    tls_port: int = setting(0, "Port for DIMSE over TLS (2762 is registered); 0 turns it off.")
    tls_certificate: str = setting("", "PEM file with our certificate chain.")
    tls_key: str = setting("", "PEM file with our private key.")
    tls_client_ca: str = setting("", "PEM file with the authorities that sign client certificates; when set, a client certificate is required.")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is taken in; every refusal names its limit."""

    object_bytes: int = setting(8 * 1024**3, "Largest single object.")
    request_bytes: int = setting(16 * 1024**3, "Largest STOW-RS request body.")
    request_parts: int = setting(5000, "Most parts of a STOW-RS request.")
    part_header_bytes: int = setting(65536, "Largest header of a multipart part.")
    element_bytes: int = setting(16 * 1024**2, "Largest value, other than bulk data, that is kept in the metadata.")
    header_bytes: int = setting(64 * 1024**2, "Most bytes of a data set other than bulk data.")
    sequence_depth: int = setting(64, "Deepest nesting of sequences.")
    elements: int = setting(500_000, "Most elements of a data set.")
    inflated_bytes: int = setting(2 * 1024**3, "Largest size of a deflated data set after inflating.")
    inflate_ratio: int = setting(200, "Highest ratio of inflated to deflated size above 16 MiB.")
    archive_entries: int = setting(100_000, "Most entries of an imported zip file.")
    archive_bytes: int = setting(20 * 1024**3, "Largest unpacked size of an imported zip file.")
    archive_ratio: int = setting(200, "Highest compression ratio of an entry of a zip file above 16 MiB.")
    decoded_bytes: int = setting(1024**3, "Largest decoded frame or object held in memory.")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what until accounts exist."""

    unprotected: bool = setting(
        False, "Allow the web server to listen beyond loopback although nobody has to log in. Only for closed test networks."
    )
    local_principal: str = setting("local", "Name under which requests from this machine are recorded.")


@dataclass(frozen=True, slots=True)
class Log:
    """Operational logs; never names, identifiers or dates of birth."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "Least severe level written.")
    audit_file: str = setting("data/audit.jsonl", "File that audit events are appended to, one JSON object a line.")


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections."""

    archive: Archive = field(default_factory=Archive)
    database: Database = field(default_factory=Database)
    storage: Storage = field(default_factory=Storage)
    web: Web = field(default_factory=Web)
    dimse: Dimse = field(default_factory=Dimse)
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
    log: Log = field(default_factory=Log)


def sections() -> tuple[str, ...]:
    """Names of all sections, in the order they are documented."""
    return tuple(f.name for f in fields(Settings))
