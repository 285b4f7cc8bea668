"""The command line. Commands import what they need when they run, so that `pacs --help` answers at once."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from socket import socket

import click

from config.settings import Settings
from pacs.attribute_commands import attributes
from pacs.command import with_settings as _with_settings
from pacs.rendition_commands import renditions
from pacs.user_commands import users

_STARTED = time.monotonic()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "-c", type=click.Path(path_type=Path), help="Settings file (default: PACS_CONFIG, ./pacs.toml)."
)
@click.version_option(package_name="open-pacs", prog_name="pacs")
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """A DICOMweb-native PACS: DIMSE in, object storage below, QIDO/WADO/STOW-RS out of one index."""
    context.obj = config


main.add_command(attributes)
main.add_command(renditions)
main.add_command(users)


def _supervise(settings: Settings, roles: tuple[str, ...], prepare: Callable[[Settings], None] | None = None) -> None:
    from pacs.supervisor import StartFailed, supervise

    def on_ready(sockets: Mapping[str, socket]) -> None:
        click.echo(_ready_line(settings, roles, sockets))

    try:
        supervise(settings, roles, on_ready, prepare)
    except StartFailed as error:
        click.echo(f"pacs: {error}", err=True)
        sys.exit(1)


def _ready_line(settings: Settings, roles: tuple[str, ...], sockets: Mapping[str, socket]) -> str:
    """What runs where; the sockets know the port when the settings say "any"."""
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    title = f"{settings.dimse.ae_titles[0]}@{settings.dimse.host}"
    where = []
    if "web" in ports:
        address = f"http://{settings.web.host}:{ports['web']}"
        where += [f"pages {address}/", f"DICOMweb {address}/dicomweb"]
    if "dimse" in ports:
        where.append(f"DIMSE {title}:{ports['dimse']}")
    if "dimse_tls" in ports:
        where.append(f"DIMSE/TLS {title}:{ports['dimse_tls']}")
    return f"PACS is ready after {time.monotonic() - _STARTED:.1f} s: {', '.join(where or roles)}"


@main.command()
@click.option("--demo", is_flag=True, help="Load the demo studies when the archive is empty.")
@_with_settings
def serve(settings: Settings, demo: bool) -> None:
    """Run everything: web, DIMSE listener and worker."""
    from pacs.demo import load_demo

    _supervise(settings, ("web", "listener", "worker"), load_demo if demo else None)


@main.command()
@_with_settings
def web(settings: Settings) -> None:
    """Run the web processes only."""
    _supervise(settings, ("web",))


@main.command()
@_with_settings
def listener(settings: Settings) -> None:
    """Run the DIMSE listener only."""
    _supervise(settings, ("listener",))


@main.command()
@_with_settings
def worker(settings: Settings) -> None:
    """Run the background worker only."""
    _supervise(settings, ("worker",))


@main.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--report", type=click.Path(path_type=Path), help="Write refused and ignored files here, tab separated.")
@_with_settings
def import_(settings: Settings, paths: tuple[Path, ...], report: Path | None) -> None:
    """Import files, folders, zip files and DICOMDIR media.

    An interrupted import goes on where it stopped when it is run again. The exit status is 1 when anything was
    refused; files that are not DICOM and that nobody named are listed in the report, but are no reason to fail.
    """
    from pacs.importer import Advancing, import_paths

    def progress(count: int) -> AbstractContextManager[Advancing]:
        return click.progressbar(length=count, label="Importing", show_pos=True, file=sys.stderr)

    # The report says it all; a log line for each refusal beside it would only hide the progress.
    logging.getLogger("storage.ingest").setLevel(logging.ERROR)
    result = import_paths(settings, list(paths), progress)
    for refusal in result.refused:
        click.echo(f"refused  {refusal.name}: {refusal.reason}", err=True)
    if report:
        report.write_text("".join(line + "\n" for line in result.lines()), encoding="utf-8")
    click.echo(result.summary())
    sys.exit(1 if result.refused else 0)


@main.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("ae_title", metavar="AET")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--study", metavar="UID", help="Send this study of the archive instead of files.")
@click.option("--tls", is_flag=True, help="Use DICOM TLS.")
@_with_settings
def send(
    settings: Settings, address: str, ae_title: str, paths: tuple[Path, ...], study: str | None, tls: bool
) -> None:
    """Send files, folders or a stored study to a DICOM node by C-STORE."""
    from pacs.sender import parse_peer, send_files, send_study

    if bool(paths) == bool(study):
        raise click.UsageError("Give either PATHS or --study.")
    peer = parse_peer(address, ae_title, tls=tls)
    results = send_study(settings, peer, study) if study else send_files(settings, peer, list(paths))
    sent = failed = 0
    for result in results:
        if result.problem:
            failed += 1
            click.echo(f"failed  {result.name}: {result.problem}", err=True)
        else:
            sent += 1
    click.echo(f"{sent} sent, {failed} failed")
    sys.exit(1 if failed or not sent else 0)


@main.command()
@click.argument("address", metavar="HOST:PORT")
@click.argument("ae_title", metavar="AET")
@click.argument("study", metavar="STUDY_UID")
@click.option("--tls", is_flag=True, help="Use DICOM TLS.")
@_with_settings
def fetch(settings: Settings, address: str, ae_title: str, study: str, tls: bool) -> None:
    """Fetch a study from another archive by C-GET."""
    from pacs.fetcher import fetch_study
    from pacs.sender import parse_peer

    stored = problems = 0
    for result in fetch_study(settings, parse_peer(address, ae_title, tls=tls), study):
        if isinstance(result, str):
            problems += 1
            click.echo(result, err=True)
            continue
        stored += result.stored
        problems += result.failed
        if result.status:
            click.echo(f"ended with status {result.status:04X} {result.comment}".rstrip(), err=True)
    click.echo(f"{stored} stored, {problems} failed")
    sys.exit(1 if problems or not stored else 0)


@main.group("config")
def config_() -> None:
    """The settings."""


@config_.command("check")
@_with_settings
def check_config(settings: Settings) -> None:
    """Read the settings and say what is wrong with them, or nothing."""
    from pacs.bind import check_exposure

    check_exposure(settings, web=True, dimse=True)
    click.echo("The settings are valid.")


@config_.command("show")
@_with_settings
def show_config(settings: Settings) -> None:
    """Print the settings in force as TOML, without secrets."""
    from config.write import to_toml

    click.echo(to_toml(settings), nl=False)


@main.group()
def db() -> None:
    """The index database."""


@db.command()
@_with_settings
def upgrade(settings: Settings) -> None:
    """Bring the database's schema up to date (`serve` does it by itself)."""
    from pacs.migrations import upgrade as bring_up_to_date

    bring_up_to_date(settings.database.url)
    click.echo("The database is up to date.")


@main.group()
def versions() -> None:
    """Objects that were set aside because another one came with the same SOP Instance UID."""


@versions.command("list")
@click.argument("sop_instance_uid", required=False)
@_with_settings
def list_versions(settings: Settings, sop_instance_uid: str | None) -> None:
    """List the versions of an instance, or of every instance that has more than one; `*` marks the current one."""
    from pacs.versions import list_all

    for one in list_all(settings, sop_instance_uid):
        click.echo(one)


@versions.command()
@click.argument("sop_instance_uid")
@click.argument("version", type=int)
@_with_settings
def restore(settings: Settings, sop_instance_uid: str, version: int) -> None:
    """Make a version current again; the one that is current now is set aside, nothing is lost."""
    from index.errors import NotFound
    from pacs.versions import restore as make_current

    try:
        make_current(settings, sop_instance_uid, version)
    except NotFound as error:
        click.echo(f"pacs: {error.detail}", err=True)
        sys.exit(1)
    click.echo(f"Version {version} of {sop_instance_uid} is current again.")


@main.group()
def viewer() -> None:
    """The OHIF viewer that the server serves at /viewer/."""


@viewer.command()
@click.option("--file", "package", type=click.Path(path_type=Path, exists=True), help="The npm package.")
@_with_settings
def install(settings: Settings, package: Path | None) -> None:
    """Fetch OHIF with npm, check it, and put what is needed of it into `web.viewer_folder`."""
    from pacs.viewer.install import CannotInstall
    from pacs.viewer.install import install as install_viewer

    try:
        install_viewer(Path(settings.web.viewer_folder), package, say=click.echo)
    except CannotInstall as error:
        click.echo(f"pacs: {error}", err=True)
        sys.exit(1)


@main.group()
def removed() -> None:
    """What was deleted, and what rejection notes hide."""


@removed.command("list")
@click.option("--study", metavar="UID", help="Only what concerns this study.")
@_with_settings
def list_removed(settings: Settings, study: str | None) -> None:
    """List deletions and rejections, newest first, each with the number to restore it by."""
    from pacs.removed import list_all

    for one in list_all(settings, study):
        click.echo(one)


@removed.command("show")
@click.argument("number", type=int)
@_with_settings
def show_removed(settings: Settings, number: int) -> None:
    """List the instances that a deletion or rejection has taken."""
    from pacs.removed import show

    for one in show(settings, number):
        click.echo(one)


@removed.command("restore")
@click.argument("number", type=int)
@click.option("--instance", "instances", metavar="UID", multiple=True, help="Only this SOP Instance UID; repeatable.")
@_with_settings
def restore_removed(settings: Settings, number: int, instances: tuple[str, ...]) -> None:
    """Bring back what a deletion or rejection has taken; a rejection is revoked by that."""
    from pacs.removed import restore as bring_back

    click.echo(bring_back(settings, number, instances))


@removed.command("purge")
@click.argument("number", type=int)
@click.confirmation_option(prompt="This cannot be undone. Remove it for good?")
@_with_settings
def purge_removed(settings: Settings, number: int) -> None:
    """Remove for good, now, what a deletion or rejection has taken."""
    from pacs.removed import purge

    click.echo(purge(settings, number))


@main.command()
@_with_settings
def conformance(settings: Settings) -> None:
    """Print the DICOM conformance statement for the settings in force."""
    from pacs.conformance import statement

    click.echo(statement(settings))


@main.command()
@_with_settings
def doctor(settings: Settings) -> None:
    """Look at everything the server needs and say in plain words what is wrong and what to do."""
    from pacs.doctor import examine

    worst = "ok"
    for finding in examine(settings):
        mark = {"ok": "ok     ", "warning": "warning", "failure": "FAILURE"}[finding.state]
        click.echo(f"{mark}  {finding.what}")
        if finding.advice:
            click.echo(f"         -> {finding.advice}")
        worst = finding.state if finding.state == "failure" or worst == "ok" else worst
    sys.exit(1 if worst == "failure" else 0)


@main.command()
@_with_settings
def reindex(settings: Settings) -> None:
    """Index every stored object that the index lacks; the index can be rebuilt from the objects alone."""
    from pacs.repair import reindex as rebuild_index

    added, findings = rebuild_index(settings)
    for finding in findings:
        click.echo(f"{finding.problem}  {finding.blob_key}: {finding.detail}", err=True)
    click.echo(f"{added} added, {len(findings)} not indexed")
    sys.exit(1 if findings else 0)


@main.command()
@click.option("--study", metavar="UID", help="Only this study.")
@_with_settings
def verify(settings: Settings, study: str | None) -> None:
    """Read objects again and compare them with the digests of what was received."""
    from pacs.repair import verify as verify_objects

    checked, findings = verify_objects(settings, study)
    for finding in findings:
        click.echo(f"{finding.problem}  {finding.blob_key}: {finding.detail}", err=True)
    click.echo(f"{checked} checked, {len(findings)} damaged")
    sys.exit(1 if findings else 0)
