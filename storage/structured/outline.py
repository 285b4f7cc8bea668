"""A structured report as lines of text: plain, and as RTF for word processors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from index.records import DicomJson
from storage.structured.content import Node, Report, read

_INDENT: Final = "  "
_TWIPS: Final = 360
"""Indentation of a level in RTF: a quarter of an inch."""
_NO_UNITS: Final = "1"
"""UCUM's name for it."""
_HALF_POINTS: Final = {True: 28, False: 22}


@dataclass(frozen=True, slots=True)
class _Line:
    depth: int
    text: str
    is_heading: bool = False


def plain(dataset: DicomJson) -> bytes:
    """The report as text in UTF-8."""
    report = read(dataset)
    lines = [report.title, "=" * len(report.title), ""]
    lines += [f"{label}: {value}" for label, value in report.fields]
    for line in _lines(report):
        if line.is_heading:
            lines.append("")
        indent = _INDENT * line.depth
        lines += [indent + part for part in line.text.split("\n")]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def rich(dataset: DicomJson) -> bytes:
    """The report in Rich Text Format, in ASCII with Unicode escapes."""
    report = read(dataset)
    parts = [r"{\rtf1\ansi\deff0{\fonttbl{\f0\fswiss Helvetica;}}", _paragraph(_Line(0, report.title, True))]
    parts += [_paragraph(_Line(0, f"{label}: {value}")) for label, value in report.fields]
    parts += [_paragraph(line) for line in _lines(report)]
    return ("\n".join(parts) + "\n}\n").encode("ascii")


def _lines(report: Report) -> Iterator[_Line]:
    for child in report.root.children:
        yield from _of(child, 0)


def _of(node: Node, depth: int) -> Iterator[_Line]:
    role = f" ({node.role})" if node.role else ""
    if node.kind == "CONTAINER":
        yield _Line(depth, f"{node.position} {node.title}{role}", is_heading=True)
    else:
        yield _Line(depth, f"{node.title or 'Reference'}{role}: {_value(node)}")
    for child in node.children:
        yield from _of(child, depth + 1)


def _value(node: Node) -> str:
    parts = [node.value]
    if node.kind == "NUM" and node.code is not None:
        parts.append("" if node.code.value == _NO_UNITS else node.code.value or node.code.meaning)
    elif node.code is not None and node.code.identifier:
        parts.append(f"({node.code.identifier})")
    if node.reference is not None:
        parts.append(node.reference.sop_instance_uid)
    return " ".join(filter(None, parts))


def _paragraph(line: _Line) -> str:
    bold = (r"\b", r"\b0") if line.is_heading else ("", "")
    size = _HALF_POINTS[line.is_heading]
    return rf"{{\pard\li{_TWIPS * line.depth}\fs{size}{bold[0]} {_escaped(line.text)}{bold[1]}\par}}"


def _escaped(text: str) -> str:
    r"""`\`, `{` and `}` are RTF's own; others than ASCII are signed 16-bit code units with a substitute."""
    written = []
    for letter in text:
        if letter == "\n":
            written.append(r"\line ")
        elif letter in "\\{}":
            written.append("\\" + letter)
        elif " " <= letter <= "~":
            written.append(letter)
        elif letter == "\t":
            written.append(r"\tab ")
        elif letter.isprintable():
            units = letter.encode("utf-16-le", "replace")
            for place in range(0, len(units), 2):
                unit = int.from_bytes(units[place : place + 2], "little", signed=True)
                written.append(rf"\u{unit}?")
    return "".join(written)
