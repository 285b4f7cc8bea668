"""`pacs reindex` and `pacs verify`: the long jobs over all objects, started by hand."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

from config.settings import Renditions, Settings
from index.access import Principal
from index.query import Query
from index.records import Answer, Level, StoredInstance
from pacs.auth.local import local_principal
from pacs.migrations import upgrade
from pacs.services import Services, build
from storage import tasks

_STUDY_INSTANCE_UID = "0020000D"


def reindex(settings: Settings) -> tuple[int, list[tasks.Finding]]:
    """Index what the index lacks: how many were added, and what could not be."""
    upgrade(settings.database.url)
    # Without rules: nobody is asked to make renditions of what is found before those that are there are found, too.
    services = build(replace(settings, renditions=Renditions()))
    findings: list[tasks.Finding] = []
    try:
        return tasks.rebuild(services.desk, report=findings.append), findings
    finally:
        services.close()


def verify(settings: Settings, study: str | None) -> tuple[int, list[tasks.Finding]]:
    """Compare every object (of a study) with its digest: how many were read, and what is damaged."""
    services = build(settings)
    principal = local_principal(settings)
    checked = 0
    findings: list[tasks.Finding] = []
    try:
        live, removed = _live(services, principal, study), _removed(services, principal, study)
        for instance in chain(live, removed, _renditions(services, principal, study)):
            checked += 1
            finding = tasks.verify(services.blobs, instance)
            if finding:
                findings.append(finding)
        return checked, findings
    finally:
        services.close()


def _live(services: Services, principal: Principal, study: str | None) -> Iterator[StoredInstance]:
    studies = [study] if study else _all_studies(services.archive.search(principal, Query(Level.STUDY)))
    for uid in studies:
        yield from services.archive.instances(principal, uid)


def _removed(services: Services, principal: Principal, study: str | None) -> Iterator[StoredInstance]:
    """What can be restored must be whole as well."""
    for entry in services.archive.removals(principal, study):
        rows = services.archive.removed(principal, entry.number)
        yield from (row.stored() for row in rows if study in (None, row.key.study_instance_uid))


def _renditions(services: Services, principal: Principal, study: str | None) -> Iterator[StoredInstance]:
    """Second encodings (`storage.renditions`), study by study."""
    known = services.catalog.renditions
    for uid in dict.fromkeys(count.study_instance_uid for count in known.counts(principal.scope, study)):
        instances = services.archive.instances(principal, uid)
        found = known.of_many(principal.scope, instances)
        yield from (found[one.blob_key].of(one) for one in instances if one.blob_key in found)


def _all_studies(answers: Iterable[Answer]) -> list[str]:
    return [answer[_STUDY_INSTANCE_UID]["Value"][0] for answer in answers]
