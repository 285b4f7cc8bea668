"""Which page a request comes from, as the browser says (Fetch Metadata, RFC 6454), and which paths are our own."""

from collections.abc import Iterable
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_our_page(headers: Iterable[tuple[bytes, bytes]], public_url: str) -> bool:
    """True when the browser says so; False when it says otherwise, or when nobody says anything."""
    said = _said(headers)
    site, origin = said.get(b"sec-fetch-site"), said.get(b"origin")
    if site is not None:
        return site == b"same-origin"
    return origin is not None and _is_ours(origin, said.get(b"host", b""), public_url)


def is_foreign_page(headers: Iterable[tuple[bytes, bytes]], public_url: str) -> bool:
    """True when the browser says so. Programs that are no browsers say nothing."""
    said = _said(headers)
    site, origin = said.get(b"sec-fetch-site"), said.get(b"origin")
    if site is not None:
        return site in (b"cross-site", b"same-site")
    return origin is not None and not _is_ours(origin, said.get(b"host", b""), public_url)


def _said(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return {name: value for name, value in headers if name in (b"sec-fetch-site", b"origin", b"host")}


def _is_ours(origin: bytes, host: bytes, public_url: str) -> bool:
    """The scheme is not compared with the request's: behind a proxy that is another one."""
    scheme, _, name = origin.decode("latin-1").lower().partition("://")
    public = urlsplit(public_url)
    if public.scheme and (scheme, name) == (public.scheme, public.netloc.lower()):
        return True
    return scheme in ("http", "https") and bool(name) and name == host.decode("latin-1").lower()


def local_path(wanted: str) -> str:
    """Where to go after signing in: an address of our own, else the start page; never another site."""
    if not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted or not wanted.isprintable():
        return "/"
    parts = urlsplit(wanted)
    return "/" if parts.scheme or parts.netloc else wanted
