"""Every setting of the server, one frozen dataclass per section.

The text in each field's `doc` is the reference: `docs/settings.md` is generated from it, and
`config.load` reads names, types and defaults from here and nowhere else. Units stand in the name.
"""

from dataclasses import dataclass, field, fields
from typing import Literal

from config.rows import Coercion, Hiding, Peer, RejectionRule, RenditionRule, SecondArrival, SendAs, Title, setting

SyncMode = Literal["FULL", "NORMAL"]
DuplicatePolicy = Literal["refuse", "keep-both", "replace"]
RenditionSyntax = Literal["htj2k-lossless-rpcl", "htj2k-lossless"]
SignIn = Literal["none", "required"]


__all__ = [
    "Access",
    "Archive",
    "Coercion",
    "Database",
    "Dimse",
    "DuplicatePolicy",
    "Hiding",
    "Limits",
    "Log",
    "Peer",
    "RejectionRule",
    "RenditionRule",
    "RenditionSyntax",
    "Renditions",
    "SecondArrival",
    "SendAs",
    "Settings",
    "SettingsError",
    "SignIn",
    "Storage",
    "SyncMode",
    "Title",
    "Uploads",
    "Web",
    "Worker",
    "sections",
]


class SettingsError(ValueError):
    """The settings cannot be used; the message names the setting and what to do."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What is accepted and how it is kept."""

    tenant: str = setting(
        "default", "Name of the tenant that local users and AE titles without a tenant of their own belong to."
    )
    duplicates: DuplicatePolicy = setting(
        "refuse",
        "What happens when a known SOP Instance UID arrives with other bytes: `refuse` it, `keep-both` "
        "(the first stays current, the second is set aside) or `replace` (the old one is set aside). "
        "`pacs versions list` shows what is set aside, `pacs versions restore` brings it back.",
    )
    undo_days: float = setting(
        30.0,
        "Days during which `pacs removed restore` brings back what was deleted; afterwards it is removed for good.",
        at_least=0,
    )
    rejections: tuple[RejectionRule, ...] = setting(
        (),
        "Rules for rejection notes in place of, or beside, those that are built in: 113001 for quality (hidden when it "
        "comes again), 113037 for safety and 113038 wrong worklist entry (refused when it comes again), 113039 "
        "retention expired (accepted when it comes again).",
    )
    coercions: tuple[Coercion, ...] = setting(
        (),
        "Values that are changed as objects arrive. The old ones are kept in Original Attributes Sequence, and the "
        "sender is told by status B000. UIDs are never changed.",
    )
    accept_unknown_sop_classes: bool = setting(
        False, "Accept private and unknown storage SOP classes over DIMSE and DICOMweb."
    )
    accept_unknown_transfer_syntaxes: bool = setting(
        False, "Accept private and unknown transfer syntaxes; such objects are kept and returned, never decoded."
    )
    bulk_data_threshold_bytes: int = setting(
        1024, "Binary values longer than this become a BulkDataURI in the metadata. Pixel Data always does.", at_least=0
    )


@dataclass(frozen=True, slots=True)
class Database:
    """The index."""

    url: str = setting(
        "sqlite:///data/index.sqlite",
        "SQLAlchemy URL of the index: `sqlite:///path` or `postgresql+psycopg://user@host/name`.",
        secret=True,
    )
    synchronous: SyncMode = setting(
        "FULL",
        "SQLite only: `FULL` makes every commit durable before it is acknowledged. `NORMAL` may lose the last "
        "commits in a power cut.",
    )
    pool_size: int = setting(8, "Connections kept open by each process.", at_least=1)
    statement_timeout_seconds: float = setting(
        5.0, "A query that runs longer is cancelled and refused.", at_least=0.001
    )


@dataclass(frozen=True, slots=True)
class Storage:
    """The object store."""

    url: str = setting("file:data/objects", "Where objects are kept: `file:path`, `s3://bucket/prefix` or `memory:`.")
    endpoint: str = setting("", "Address of an S3-compatible service; empty means that of the cloud provider.")
    region: str = setting("us-east-1", "Region of the bucket.")
    access_key_id: str = setting("", "Access key; empty means that the environment's credentials are used.")
    secret_access_key: str = setting("", "Secret of the access key.", secret=True)
    allow_http: bool = setting(False, "Allow an S3 endpoint without TLS.")
    spool_folder: str = setting(
        "",
        "Folder for objects on their way to S3, and for bulk data that waits for the rest of its request; empty means "
        "the system's temporary folder.",
    )
    spool_threshold_bytes: int = setting(
        8 * 1024**2, "Objects up to this size wait in memory, larger ones in a file.", at_least=0
    )
    minimum_free_percent: float = setting(
        5.0, "Stores are refused (A700, 507) when the disk has less free space than this.", at_least=0, at_most=100
    )


@dataclass(frozen=True, slots=True)
class Web:
    """HTTP: DICOMweb and the pages."""

    host: str = setting(
        "127.0.0.1",
        'Address to listen on. Anything but loopback needs `access.sign_in = "required"` and a proxy that speaks TLS '
        "(`web.public_url` begins with https), or `access.unprotected`.",
    )
    port: int = setting(8042, "Port to listen on.", at_least=0, at_most=65535)
    public_url: str = setting(
        "",
        "Address at which clients reach the server when that is not what their requests say, as behind a proxy that "
        "speaks TLS: `https://pacs.example.org`, with a path if the proxy adds one. Retrieve URLs and BulkDataURIs "
        "then start with it, and its host name is served. Empty: Retrieve URLs repeat the request's Host header.",
    )
    proxies: tuple[str, ...] = setting(
        (),
        "Networks of the proxies before the server, in CIDR notation, `127.0.0.1/32`: from them the client's address "
        "is taken out of X-Forwarded-For, for the audit trail and for counting attempts to sign in.",
    )
    workers: int = setting(1, "Number of web processes that share the port.", at_least=1)
    threads: int = setting(8, "Threads per web process for index and object access.", at_least=1)
    query_default_limit: int = setting(1000, "Rows of a QIDO-RS answer when the client gives no limit.", at_least=1)
    query_maximum_limit: int = setting(
        5000, "Most rows of one QIDO-RS answer; the rest is announced by Warning 299.", at_least=1
    )
    viewer_folder: str = setting("data/viewer", "Folder that `pacs viewer install` puts the OHIF viewer into.")
    silence_seconds: float = setting(60.0, "How long a client may pause while it sends a request body.", at_least=0.1)
    shutdown_seconds: float = setting(10.0, "How long running requests may finish after a stop signal.", at_least=0)


@dataclass(frozen=True, slots=True)
class Dimse:
    """The DICOM upper layer and its services."""

    host: str = setting("127.0.0.1", "Address to listen on. Anything but loopback needs an AE table.")
    port: int = setting(11112, "Port for plain DIMSE; 0 turns it off.", at_least=0, at_most=65535)
    ae_titles: tuple[str, ...] = setting(
        ("PACS",), "Our AE titles. Whoever calls one of them gets the tenant that the AE table says, of its own row."
    )
    titles: tuple[Title, ...] = setting(
        (),
        "More AE titles of ours, each of one tenant: a peer of another tenant is rejected when it calls one, "
        "and a peer that needs no row in the AE table gets the tenant of the title.",
    )
    peers: tuple[Peer, ...] = setting((), "The AE table.")
    allow_unknown_local_peers: bool = setting(
        True, "Accept AE titles that are not in the AE table when they connect from this machine (loopback)."
    )
    processes: int = setting(1, "Number of listener processes that share the port.", at_least=1)
    maximum_pdu_bytes: int = setting(131072, "Largest P-DATA PDU we receive.", at_least=4096, at_most=1048576)
    maximum_associations: int = setting(200, "Most associations at one time in each listener process.", at_least=1)
    maximum_associations_per_peer: int = setting(
        50, "Most associations at one time from one network address.", at_least=1
    )
    association_timeout_seconds: float = setting(
        10.0, "ARTIM: how long a connection may wait before its A-ASSOCIATE-RQ is complete.", at_least=0.1
    )
    pdu_timeout_seconds: float = setting(
        30.0, "How long one PDU may take from its first to its last byte.", at_least=0.1
    )
    idle_timeout_seconds: float = setting(600.0, "How long an established association may be silent.", at_least=0.1)
    connect_timeout_seconds: float = setting(
        10.0, "How long connecting to a C-MOVE destination may take.", at_least=0.1
    )
    response_timeout_seconds: float = setting(
        120.0, "How long a C-MOVE destination may take to answer for one instance.", at_least=0.1
    )
    maximum_matches: int = setting(
        100_000,
        "Most matches of a C-FIND. When there are more, the request ends with A700 (out of resources), whatever was "
        "sent until then.",
        at_least=1,
    )
    relational_queries: Literal["negotiated", "always"] = setting(
        "negotiated",
        "Who may query without the unique keys of the levels above: peers that have `negotiated` it (PS3.4 C.5.1.1), "
        "or all, `always`.",
    )
    move_attempts: int = setting(
        2, "How often an instance is sent to a C-MOVE destination that loses the association meanwhile.", at_least=1
    )
    unverified_identity: Literal["ignore", "reject"] = setting(
        "ignore",
        "What happens to a user identity (user name, passcode, Kerberos, SAML or JWT) that nobody here can verify: "
        "`ignore` it and answer nothing, as PS3.7 D.3.3.7 has it, or `reject` the association.",
    )
    tls_port: int = setting(
        0, "Port for DIMSE over TLS (2762 is registered); 0 turns it off.", at_least=0, at_most=65535
    )
    tls_certificate: str = setting("", "PEM file with our certificate chain.")
    tls_key: str = setting("", "PEM file with our private key.")
    tls_client_ca: str = setting(
        "", "PEM file with the authorities that sign client certificates; when set, a client certificate is required."
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is taken in; every refusal names its limit."""

    object_bytes: int = setting(8 * 1024**3, "Largest single object.", at_least=1)
    request_bytes: int = setting(16 * 1024**3, "Largest STOW-RS request body.", at_least=1)
    request_parts: int = setting(5000, "Most parts of a STOW-RS request.", at_least=1)
    part_header_bytes: int = setting(65536, "Largest header of a multipart part.", at_least=1024)
    element_bytes: int = setting(
        16 * 1024**2, "Largest value, other than bulk data, that is kept in the metadata.", at_least=1024
    )
    header_bytes: int = setting(64 * 1024**2, "Most bytes of a data set other than bulk data.", at_least=1024)
    sequence_depth: int = setting(64, "Deepest nesting of sequences.", at_least=1)
    elements: int = setting(500_000, "Most elements of a data set.", at_least=1)
    inflated_bytes: int = setting(2 * 1024**3, "Largest size of a deflated data set after inflating.", at_least=1)
    inflate_ratio: int = setting(200, "Highest ratio of inflated to deflated size above 16 MiB.", at_least=1)
    archive_entries: int = setting(100_000, "Most entries of an imported zip file.", at_least=1)
    archive_bytes: int = setting(20 * 1024**3, "Largest unpacked size of an imported zip file.", at_least=1)
    archive_ratio: int = setting(200, "Highest compression ratio of an entry of a zip file above 16 MiB.", at_least=1)
    decoded_bytes: int = setting(1024**3, "Largest decoded frame or object held in memory.", at_least=1)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in."""

    sign_in: SignIn = setting(
        "none",
        "`required`: whoever uses the web server must sign in with an account of `pacs users add`. `none`: everybody "
        "who reaches the port may do everything, which is why it then stays on loopback.",
    )
    idle_seconds: float = setting(
        900.0,
        "A session ends after so long without a key, a click or a movement of the pointer; what pages do by themselves "
        "does not count.",
        at_least=1,
    )
    session_seconds: float = setting(
        43200.0, "A session ends after so long whatever is done in it; people then sign in again.", at_least=1
    )
    unprotected: bool = setting(
        False,
        "Allow the web server to listen beyond loopback although nobody has to sign in, or passwords cross the network "
        "without TLS. Only for closed test networks.",
    )
    local_principal: str = setting(
        "local", "Name under which requests from this machine are recorded when nobody has to sign in."
    )


@dataclass(frozen=True, slots=True)
class Uploads:
    """Files that people put in on the page, kept until they are whole."""

    folder: str = setting(
        "data/uploads",
        "Folder for files that are arriving. Web processes on several machines must share it, or each client must "
        "always reach the same one.",
    )
    keep_hours: float = setting(
        24.0,
        "Hours after which a file that stopped arriving is forgotten; results are kept as long after their file.",
        at_least=0.01,
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """What is done in the background."""

    sweep_hours: float = setting(
        6.0,
        "Hours between two searches for objects that no row of the index names, left by a crash; 0 turns them off.",
        at_least=0,
    )
    purge_minutes: float = setting(
        10.0,
        "Minutes between two looks for what was deleted more than `archive.undo_days` ago; 0 turns them off: then "
        "nothing is ever removed for good.",
        at_least=0,
    )


@dataclass(frozen=True, slots=True)
class Renditions:
    """A second, lossless encoding of images that the worker keeps beside the untouched originals: HTJ2K."""

    rules: tuple[RenditionRule, ...] = setting(
        (),
        "Rules that say which images get one; one that an image meets is enough, and a rule without conditions means "
        "every image. Without rules none are made, what is there is still served.",
    )
    syntax: RenditionSyntax = setting(
        "htj2k-lossless-rpcl",
        "Transfer syntax of new ones: `htj2k-lossless-rpcl` (1.2.840.10008.1.2.4.202, which is also sent when "
        "1.2.840.10008.1.2.4.201 is asked for) or `htj2k-lossless` (1.2.840.10008.1.2.4.201).",
    )
    after_seconds: float = setting(
        60.0, "A series is worked on when nothing more has arrived in it for so long.", at_least=0
    )
    prefer: bool = setting(
        False,
        "Send frames from the rendition also to clients that take any transfer syntax (`transfer-syntax=*`), as the "
        "viewer does. Otherwise these get them as stored.",
    )


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
    uploads: Uploads = field(default_factory=Uploads)
    worker: Worker = field(default_factory=Worker)
    renditions: Renditions = field(default_factory=Renditions)
    log: Log = field(default_factory=Log)


def sections() -> tuple[str, ...]:
    """Names of all sections, in the order they are documented."""
    return tuple(f.name for f in fields(Settings))
