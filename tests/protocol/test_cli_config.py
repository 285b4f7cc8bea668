"""Settings: what is wrong is named with its place and the nearest right name; secrets are never shown."""

import tomllib
from pathlib import Path

import pytest

from config.load import load
from config.settings import SettingsError
from config.write import to_toml
from tests.command import run

SAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.toml"))


def problem(tmp_path: Path, text: str = "", **variables: str) -> str:
    """The message for a settings file and variables."""
    path = tmp_path / "pacs.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path, variables)
    return str(caught.value)


def test_a_typing_error_is_named_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "pacs.toml").write_text('[web]\nport = 8042\n\n[archive]\nduplikates = "replace"\n')
    result = run(tmp_path, "config", "check")
    assert result.returncode == 2
    assert result.stderr == (
        "pacs: pacs.toml, line 5: there is no setting archive.duplikates; did you mean archive.duplicates?\n"
    )


def test_valid_settings(tmp_path: Path) -> None:
    result = run(tmp_path, "config", "check", PACS_DIMSE_AE_TITLES="ONE, TWO")
    assert (result.returncode, result.stdout) == (0, "The settings are valid.\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[webb]\nport = 1", ["line 1", "[webb]", "did you mean web?"]),
        ("[web]\nae_titles = ['A']", ["line 2", "web.ae_titles", "did you mean dimse.ae_titles?"]),
        ("[web]\nport = '80x'", ["line 2", "web.port", "whole number"]),
        ("[web]\nport = true", ["web.port", "whole number"]),
        ("[web]\nport = 1.5", ["web.port", "whole number"]),
        ("[web]\nport = 65536", ["web.port", "at most 65535"]),
        ("[web]\nworkers = 0", ["web.workers", "at least 1"]),
        ("[web]\nhost = 1", ["web.host", "text"]),
        ("[archive]\naccept_unknown_sop_classes = 'maybe'", ["accept_unknown_sop_classes", "true or false"]),
        ("[archive]\nduplicates = 'drop'", ["archive.duplicates", "refuse, keep-both, replace"]),
        ("[storage]\nurl = 'ftp://host/x'", ["storage.url", "file:", "s3://"]),
        ("[database]\nurl = 'mysql://host/x'", ["database.url", "sqlite:///", "postgresql"]),
        ("[dimse]\nae_titles = []", ["dimse.ae_titles", "at least one"]),
        ("[dimse]\nae_titles = ['SEVENTEEN_LETTERS']", ["dimse.ae_titles", "SEVENTEEN_LETTERS"]),
        ("[[dimse.peers]]\nae_titel = 'CT'", ["dimse.peers[1]", "ae_titel", "did you mean ae_title?"]),
        ("[[dimse.peers]]\nae_title = 'CT'\nnetworks = ['10.0.0.0/33']", ["dimse.peers[1].networks", "10.0.0.0/33"]),
        ("[[dimse.peers]]\nae_title = 'CT'\nservices = ['stroe']", ["dimse.peers[1].services", "stroe"]),
        ("[[dimse.peers]]\nae_title = ''", ["dimse.peers[1].ae_title"]),
        ("[[dimse.peers]]\nae_title = 'CT'\ncalled_ae_titles = ['X']", ["called_ae_titles", "'X'"]),
        ("[[dimse.peers]]\nae_title = 'CT'\ncertificate_sha256 = 'abc'", ["certificate_sha256", "64"]),
        ("[dimse]\ntls_port = 2762", ["dimse.tls_port", "dimse.tls_certificate"]),
        ("[[renditions.rules]]\nsop_classes = ['CT']", ["renditions.rules[1].sop_classes", "'CT'", "UID"]),
        ("[[renditions.rules]]\nmodalities = ['ct']", ["renditions.rules[1].modalities", "'ct'"]),
        ("[[renditions.rules]]\nminimum_frames = 0", ["renditions.rules[1].minimum_frames", "at least 1"]),
        ("web = 3", ["line 1", "[web]"]),
        ("[web\nport = 1", ["not valid TOML"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    message = problem(tmp_path, text)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PACS_WEB_PROT", "1", ["PACS_WEB_PROT", "did you mean PACS_WEB_PORT?"]),
        ("PACS_WEB_PORT", "many", ["PACS_WEB_PORT", "whole number", "'many'"]),
        ("PACS_DIMSE_PEERS", "CT_1", ["PACS_DIMSE_PEERS", "JSON"]),
    ],
)
def test_variables_are_checked_alike(tmp_path: Path, name: str, value: str, words: list[str]) -> None:
    message = problem(tmp_path, **{name: value})
    assert all(word in message for word in words), message


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "pacs.toml"
    path.write_text("[web]\nport = 1\nworkers = 2\n[dimse]\nae_titles = ['A', 'B']\n")
    settings = load(path, {"PACS_WEB_PORT": "3", "PACS_DIMSE_PEERS": '[{"ae_title": "CT"}]', "PACS_CONFIG": "x"})
    assert (settings.web.port, settings.web.workers) == (3, 2)
    assert settings.dimse.ae_titles == ("A", "B")
    assert settings.dimse.peers[0].ae_title == "CT"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, "--config", "gone.toml", "config", "check")
    assert result.returncode == 2
    assert "gone.toml: cannot be read" in result.stderr


def test_show_hides_secrets_and_reads_back(tmp_path: Path) -> None:
    variables = {
        "PACS_DATABASE_URL": "postgresql+psycopg://pacs:hunter2@db/pacs",
        "PACS_STORAGE_SECRET_ACCESS_KEY": "hunter2",
        "PACS_DIMSE_PEERS": '[{"ae_title": "CT", "networks": ["10.0.0.0/8"]}]',
        "PACS_WEB_WORKERS": "3",
    }
    shown = run(tmp_path, "config", "show", **variables).stdout
    assert "hunter2" not in shown
    assert "postgresql+psycopg://pacs:********@db/pacs" in shown
    assert tomllib.loads(shown)["web"]["workers"] == 3
    (tmp_path / "shown.toml").write_text(shown)
    assert to_toml(load(tmp_path / "shown.toml", {})) == shown


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_sample_files_are_valid(path: Path) -> None:
    load(path, {})
