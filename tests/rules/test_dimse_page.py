"""docs/dimse.md says what the tables say that the listener answers from."""

from pathlib import Path

import pytest

from dimse.contexts import SEND_AS
from dimse.identity import TYPES
from dimse.peers import REJECTIONS
from dimse.status import MEANINGS
from storage.charsets import DEFINED_TERMS

PAGE = (Path(__file__).parents[2] / "docs" / "dimse.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("| ").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def test_every_status_is_explained():
    assert {f"{code:04X}": text for code, text in MEANINGS.items()} == {
        row[0]: row[1] for row in ROWS if (len(row[0]) == 4 and row[0].isupper()) or row[0].isdigit()
    }


def test_every_rejection_is_explained():
    found = {tuple(map(int, row[0][:7].split(", "))): row[1] for row in ROWS if row[0][:1].isdigit() and "," in row[0]}
    assert found == REJECTIONS


@pytest.mark.parametrize("term", DEFINED_TERMS)
def test_every_character_set_is_named(term):
    number = term.rpartition(" ")[2]
    assert any(number in row[1].replace(",", " ").replace("`", " ").split() for row in ROWS)


def test_words_of_the_ae_table_and_kinds_of_identities():
    assert all(f"`{word}`" in PAGE for word in SEND_AS)
    assert len(TYPES) == 5
