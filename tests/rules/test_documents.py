"""The documents say what is: generated ones are fresh, commands and links exist, every setting is explained."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from config.reference import reference
from config.settings import Peer, RejectionRule, Settings, sections
from pacs.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_settings_reference_is_fresh() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == reference(), "run `make docs`"


def test_every_setting_is_explained() -> None:
    for kind in (*(type(getattr(Settings(), name)) for name in sections()), Peer, RejectionRule):
        for item in fields(kind):
            assert item.metadata["doc"].endswith("."), f"{kind.__name__}.{item.name}"


def commands(group: click.Command, prefix: str = "") -> set[str]:
    """All commands of the command line, such as `config check`."""
    if not isinstance(group, click.Group):
        return {prefix.strip()}
    return {name for key, command in group.commands.items() for name in commands(command, f"{prefix} {key}")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, re.M):
        assert target in targets, f"make {target}"
    known = commands(main)
    for line in re.findall(r"(?:^ {3,}|`)(?:\.venv/bin/)?pacs (?:--config [^\s`]+ )?([a-z]+(?: [a-z]+)?)", text, re.M):
        words = line.split()
        assert words[0] in known or " ".join(words) in known, f"pacs {line}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target
