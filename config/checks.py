"""What must hold of the settings beyond their types: bounds, AE titles, networks, things that belong together."""

import ipaddress
import re
from dataclasses import fields
from urllib.parse import urlsplit

from pydicom.datadict import dictionary_VR, tag_for_keyword

from config.settings import Archive, Coercion, Dimse, Peer, Renditions, Settings, SettingsError, sections

DATABASES = ("sqlite:///", "postgresql://", "postgresql+psycopg://")
STORES = ("file:", "s3://", "memory:")
COERCED_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UT"})
"""VRs of attributes that a coercion may change: text, and no UIDs, because those say which object it is."""
SERVICES = ("echo", "store", "find", "move", "get")


def check(settings: Settings) -> None:
    """Raise SettingsError for the first setting that cannot be used."""
    for section in sections():
        _check_bounds(section, getattr(settings, section))
    _check_address("database.url", settings.database.url, DATABASES)
    _check_address("storage.url", settings.storage.url, STORES)
    _check_dimse(settings.dimse)
    _check_rejections(settings.archive)
    for number, rule in enumerate(settings.archive.coercions, 1):
        _check_coercion(f"archive.coercions[{number}]", rule)
    _check_renditions(settings.renditions)
    _check_public_url(settings.web.public_url)
    _check_networks("web.proxies", settings.web.proxies)
    if settings.web.query_default_limit > settings.web.query_maximum_limit:
        raise SettingsError("web.query_default_limit: must not be above web.query_maximum_limit")
    if not settings.archive.tenant.strip():
        raise SettingsError("archive.tenant: must not be empty")


def _check_address(where: str, url: str, known: tuple[str, ...]) -> None:
    """The address itself is not shown: it may hold a password."""
    if not url.startswith(known):
        raise SettingsError(f"{where}: must begin with {' or '.join(known)}")


def _check_bounds(name: str, section: object) -> None:
    for item in fields(section):  # type: ignore[arg-type]
        low, high = item.metadata.get("at_least"), item.metadata.get("at_most")
        value = getattr(section, item.name)
        if low is not None and value < low:
            raise SettingsError(f"{name}.{item.name}: must be at least {low:g}, not {value}")
        if high is not None and value > high:
            raise SettingsError(f"{name}.{item.name}: must be at most {high:g}, not {value}")


def _check_coercion(where: str, rule: Coercion) -> None:
    tag = tag_for_keyword(rule.keyword)
    if tag is None or tag >> 16 < 8 or rule.keyword == "SpecificCharacterSet":
        raise SettingsError(f"{where}.keyword: {rule.keyword!r} is no attribute that can be changed")
    if dictionary_VR(tag) not in COERCED_VRS:
        raise SettingsError(f"{where}.keyword: {rule.keyword} is {dictionary_VR(tag)}; only text can be changed")
    if not rule.value.isascii() or not rule.value.isprintable():
        raise SettingsError(f"{where}.value: must be ASCII, because the objects' character sets differ")


def _check_renditions(renditions: Renditions) -> None:
    for number, rule in enumerate(renditions.rules, 1):
        where = f"renditions.rules[{number}]"
        _check_bounds(where, rule)
        for name in ("sop_classes", "transfer_syntaxes"):
            for uid in getattr(rule, name):
                if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", uid):
                    raise SettingsError(f"{where}.{name}: {uid!r} is not a UID")
        for modality in rule.modalities:
            if not re.fullmatch(r"[A-Z0-9_]{1,16}", modality):
                raise SettingsError(f"{where}.modalities: {modality!r} is not a modality such as CT")


def _check_dimse(dimse: Dimse) -> None:
    if not dimse.ae_titles:
        raise SettingsError("dimse.ae_titles: name at least one")
    for title in dimse.ae_titles:
        _check_ae_title("dimse.ae_titles", title)
    for number, row in enumerate(dimse.titles, 1):
        _check_ae_title(f"dimse.titles[{number}].ae_title", row.ae_title)
        if not row.tenant.strip():
            raise SettingsError(f"dimse.titles[{number}].tenant: must not be empty")
    own_titles = (*dimse.ae_titles, *(row.ae_title for row in dimse.titles))
    if len(set(own_titles)) < len(own_titles):
        raise SettingsError("dimse.titles: an AE title stands here or in dimse.ae_titles, and only once")
    for number, peer in enumerate(dimse.peers, 1):
        _check_peer(f"dimse.peers[{number}]", peer, own_titles)
    if dimse.tls_port and not (dimse.tls_certificate and dimse.tls_key):
        raise SettingsError("dimse.tls_port: TLS also needs dimse.tls_certificate and dimse.tls_key")


def _check_rejections(archive: Archive) -> None:
    for number, rule in enumerate(archive.rejections, 1):
        where = f"archive.rejections[{number}]"
        _check_bounds(where, rule)
        value, _, scheme = rule.code.partition("^")
        if not (value and scheme) or "^" in scheme or "/" in rule.code:
            raise SettingsError(f"{where}.code: {rule.code!r} is not a code value and a coding scheme, `113001^DCM`")


def _check_public_url(url: str) -> None:
    parts = urlsplit(url)
    if url and (
        parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
        or url.endswith("/") or not url.isascii() or any(mark in url for mark in '"\\ <>')
    ):  # fmt: skip
        raise SettingsError(f"web.public_url: {url!r} is not an address such as https://pacs.example.org")


def _check_peer(where: str, peer: Peer, own_titles: tuple[str, ...]) -> None:
    _check_bounds(where, peer)
    _check_ae_title(f"{where}.ae_title", peer.ae_title)
    for title in peer.called_ae_titles:
        if title not in own_titles:
            raise SettingsError(f"{where}.called_ae_titles: {title!r} is not one of dimse.ae_titles or dimse.titles")
    _check_networks(f"{where}.networks", peer.networks)
    for service in peer.services:
        if service not in SERVICES:
            raise SettingsError(f"{where}.services: {service!r} is none of {', '.join(SERVICES)}")
    digits = peer.certificate_sha256.replace(":", "")
    if digits and (len(digits) != 64 or set(digits.lower()) - set("0123456789abcdef")):
        raise SettingsError(f"{where}.certificate_sha256: must be 64 hexadecimal digits")


def _check_networks(where: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise SettingsError(f"{where}: {error}") from None


def _check_ae_title(where: str, title: str) -> None:
    """VR AE (PS3.5 6.2): 1 to 16 characters of the default repertoire, no backslash, not only spaces."""
    if not 1 <= len(title.strip()) <= 16 or "\\" in title or not (title.isascii() and title.isprintable()):
        raise SettingsError(f"{where}: {title!r} is not an AE title (1 to 16 ASCII characters, no backslash)")
