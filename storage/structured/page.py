"""A structured report as a web page: one file, no script, nothing from elsewhere but thumbnails of this server.

Everything that comes from the report is escaped; a page must be as harmless as a picture.
"""

from collections.abc import Iterator
from html import escape
from typing import Final

from index.records import DicomJson
from storage.structured.content import Code, Node, Reference, Report, read

_STYLE: Final = """
body{font:16px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem;color:#1c1c1c;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.25rem}h3,h4,h5,h6{font-size:1.05rem}
table{border-collapse:collapse;margin-bottom:1.5rem}th{text-align:left;font-weight:600;padding:.1rem 1rem .1rem 0}
td{padding:.1rem 0}ul{list-style:none;padding-left:1.25rem;margin:.25rem 0}
.value{white-space:pre-wrap}.role{color:#666;font-size:.85em}.code{color:#666;font-size:.8em}
.uid{font-family:ui-monospace,monospace;font-size:.8em;overflow-wrap:anywhere}
img{display:block;max-width:12rem;border:1px solid #ccc;margin:.25rem 0}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}.role,.code{color:#a0a0a0}a{color:#8ab4f8}}
""".strip()
_DEEPEST_HEADING: Final = 6


def html(dataset: DicomJson) -> bytes:
    """The report as HTML in UTF-8."""
    report = read(dataset)
    return "".join(_document(report)).encode("utf-8", "replace")


def _document(report: Report) -> Iterator[str]:
    title = escape(report.title)
    yield f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
    yield '<meta name="viewport" content="width=device-width">\n'
    yield f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n"
    for label, value in report.fields:
        yield f'<tr><th scope="row">{escape(label)}</th><td class="value">{escape(value)}</td></tr>\n'
    yield "</table>\n"
    yield from _children(report.root, 2)
    yield "</body>\n</html>\n"


def _children(node: Node, level: int) -> Iterator[str]:
    """Items in their order; containers become sections with headings, runs of others become lists."""
    is_open = False
    for child in node.children:
        if child.kind == "CONTAINER":
            if is_open:
                yield "</ul>\n"
            is_open = False
            heading = f"h{min(level, _DEEPEST_HEADING)}"
            yield f'<section id="i{child.position}">\n<{heading}>{_label(child)}</{heading}>\n'
            yield from _children(child, level + 1)
            yield "</section>\n"
        else:
            if not is_open:
                yield "<ul>\n"
            is_open = True
            yield from _item(child, level)
    if is_open:
        yield "</ul>\n"


def _item(node: Node, level: int) -> Iterator[str]:
    yield f'<li id="i{node.position}"><b>{_label(node)}:</b> '
    if not node.kind and node.value.startswith("see "):
        target = node.value.removeprefix("see ")
        yield f'<a href="#i{escape(target, quote=True)}">{escape(node.value)}</a>'
    else:
        style = "uid" if node.kind == "UIDREF" else "value"
        yield f'<span class="{style}">{escape(node.value)}</span>'
    if node.kind == "NUM" and node.code is not None:
        yield f" {_coded(node.code)}"
    elif node.code is not None and node.code.identifier:
        yield f' <span class="code">({escape(node.code.identifier)})</span>'
    if node.reference is not None:
        yield from _referred(node.reference, is_image=node.kind == "IMAGE")
    if node.children:
        yield "\n"
        yield from _children(node, level)
    yield "</li>\n"


def _label(node: Node) -> str:
    role = f' <span class="role">({escape(node.role)})</span>' if node.role else ""
    return (_coded(node.concept) if node.concept else escape(node.title or "Reference")) + role


def _coded(code: Code) -> str:
    """A meaning, with its code where a pointer rests on it."""
    return f'<span title="{escape(code.identifier, quote=True)}">{escape(code.meaning)}</span>'


def _referred(reference: Reference, *, is_image: bool) -> Iterator[str]:
    uid = f'<span class="uid">{escape(reference.sop_instance_uid)}</span>'
    if not reference.path:
        yield f" {uid}"
        return
    path = escape(reference.path, quote=True)
    place = f"/frames/{reference.frames[0]}" if reference.frames else ""
    yield f' <a href="{path}{place}/rendered">{uid}</a>'
    if is_image:
        yield f'<img src="{path}{place}/thumbnail" alt="" loading="lazy">'
