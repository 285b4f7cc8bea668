"""The earlier studies of a patient, those first that tell most about the one that is read (`index.priors.score`).

Three statements, however many studies there are: the study, the patient's others, and the series of them all. A patient
is a row of the index, so one tenant and one issuer's Patient ID; people without an ID have no priors.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, select

from index.access import Scope
from index.attributes import tag_of
from index.database import Database, Prepared
from index.entries import first_text, list_values
from index.errors import NotFound
from index.priors.body_regions import of_code, read, regions, side
from index.priors.score import Examination, Score, days_between, is_before, score
from index.records import DicomJson
from index.selection import Selection
from index.tables import series, studies

MOST_CONSIDERED: Final = 500
"""Of a patient's other studies, the newest."""

_STUDY: Final = (
    *("id", "patient_fk", "patient_id", "study_instance_uid", "study_date", "study_time", "study_description"),
    *("modalities_in_study", "sop_classes_in_study", "interpretation_status_id", "extra"),
    *("number_of_study_related_series", "number_of_study_related_instances"),
)
_SERIES: Final = (
    "study_fk",
    "body_part_examined",
    "anatomic_region",
    "series_description",
    "protocol_name",
    "lateralities",
)
_CODES: Final = (tag_of("ProcedureCodeSequence"), tag_of("RequestedProcedureCodeSequence"))
_CODE_VALUE: Final = tag_of("CodeValue")
_CODE_MEANING: Final = tag_of("CodeMeaning")
_REQUESTED: Final = tag_of("RequestedProcedureDescription")

_NOTES: Final = ("1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.66.")
"""Presentation states, registrations, segmentations and the like: nothing to be looked at by themselves."""
# Raw data, real world values, Key Object Selection and the records of dose.
_MORE_NOTES: Final = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("66", "67", "88.59", "88.67", "88.68", "88.73", "88.74", "88.76")
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A study, and what of it is compared."""

    study_instance_uid: str
    description: str
    modalities: tuple[str, ...]
    regions: tuple[str, ...]
    """As people read them, sorted."""
    series: int
    instances: int
    examination: Examination


@dataclass(frozen=True, slots=True)
class Prior:
    """One earlier study and what it earned."""

    study: Compared
    score: Score
    days: int | None
    """Before the current study; None when a date is unknown."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The study that is read, and what came before it: by score, then newest first."""

    current: Compared
    priors: tuple[Prior, ...]


class Priors:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, selection: Selection) -> None:
        """Compiles; touches no connection."""
        self._database = database
        self._selection = selection
        columns = [studies.c[name] for name in _STUDY]
        mine = studies.c.tenant_id == bindparam("tenant")
        self._find = database.prepare(select(*columns).where(mine, studies.c.study_instance_uid == bindparam("uid")))
        others = select(*columns).where(
            mine, studies.c.patient_fk == bindparam("patient"), studies.c.id != bindparam("row")
        )
        newest = (studies.c.sort_key.desc(), studies.c.id.desc())
        visible = database.one_of(studies.c.study_instance_uid, "scope")
        self._others = database.prepare(others.order_by(*newest).limit(MOST_CONSIDERED))
        self._visible_others = database.prepare(others.where(visible).order_by(*newest).limit(MOST_CONSIDERED))
        self._series = database.prepare(
            select(*(series.c[name] for name in _SERIES))
            .where(database.one_of(series.c.study_fk, "rows"))
            .order_by(series.c.study_fk, series.c.series_number, series.c.id)
        )

    def rank(self, scope: Scope, study_instance_uid: str) -> Ranking:
        """The priors of a study. Raises NotFound, also outside the scope."""
        tenant = self._selection.tenant_id(scope.tenant)
        seen = scope.study_instance_uids
        found: list[Any] = []
        if tenant is not None and (seen is None or study_instance_uid in seen):
            found = self._database.rows(self._find, {"tenant": tenant, "uid": study_instance_uid})
        if not found:
            raise NotFound("There is no such study")
        current = dict(zip(_STUDY, found[0], strict=True))
        rows = [current, *self._rows_of_others(scope, tenant, current)]
        of_study = self._series_of([row["id"] for row in rows])
        compared = [_compared(row, of_study[row["id"]]) for row in rows]
        # Rows came newest first, and sorting keeps that order where the score is the same.
        ranked = sorted(_earlier(compared[0], compared[1:]), key=lambda prior: -prior.score.total)
        return Ranking(compared[0], tuple(ranked))

    def _rows_of_others(self, scope: Scope, tenant: int | None, current: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not current["patient_id"]:
            return []
        statement: Prepared = self._others
        params = {"tenant": tenant, "patient": current["patient_fk"], "row": current["id"]}
        if scope.study_instance_uids is not None:
            statement = self._visible_others
            params["scope"] = self._database.list_value(sorted(scope.study_instance_uids))
        rows = (dict(zip(_STUDY, row, strict=True)) for row in self._database.rows(statement, params))
        return [row for row in rows if _shows_anything(list_values(row["sop_classes_in_study"]))]

    def _series_of(self, study_fks: Sequence[int]) -> Mapping[int, list[Sequence[str]]]:
        of_study: dict[int, list[Sequence[str]]] = defaultdict(list)
        for study_fk, *values in self._database.rows(self._series, {"rows": self._database.list_value(study_fks)}):
            of_study[study_fk].append(values)
        return of_study


def _earlier(current: Compared, others: Iterable[Compared]) -> Iterable[Prior]:
    for one in others:
        if is_before(one.examination, current.examination):
            days = days_between(one.examination, current.examination)
            yield Prior(one, score(current.examination, one.examination), days)


def _shows_anything(sop_classes: Iterable[str]) -> bool:
    """True for a study with images, waveforms or a report; not for notes about another study alone."""
    return any(not uid.startswith(_NOTES) and uid not in _MORE_NOTES for uid in sop_classes)


def _compared(row: Mapping[str, Any], of_series: Sequence[Sequence[str]]) -> Compared:
    extra: DicomJson = orjson.loads(row["extra"]) if row["extra"] else {}
    parts = _parts(row, extra, of_series)
    modalities = list_values(row["modalities_in_study"])
    examination = Examination(
        date=row["study_date"],
        time=row["study_time"],
        modalities=frozenset(modalities),
        parts=parts,
        side=_side(row, extra, of_series),
        has_report=bool(row["interpretation_status_id"]),
    )
    return Compared(
        study_instance_uid=row["study_instance_uid"],
        description=row["study_description"],
        modalities=tuple(modalities),
        regions=tuple(sorted(region.value for region in regions(parts))),
        series=row["number_of_study_related_series"],
        instances=row["number_of_study_related_instances"],
        examination=examination,
    )


def _parts(row: Mapping[str, Any], extra: DicomJson, of_series: Sequence[Sequence[str]]) -> frozenset[str]:
    """From the procedure code; else from Body Part Examined; else from descriptions, of the study before its series."""
    items = [item for tag in _CODES for item in extra.get(tag, {}).get("Value") or () if isinstance(item, dict)]
    coded = [of_code(first_text(item.get(_CODE_VALUE)), first_text(item.get(_CODE_MEANING))) for item in items]
    examined = [read(body_part).parts or read(region).parts for body_part, region, *_ in of_series]
    named = [read(text).parts for text in _descriptions(row, extra)]
    of_protocols = [read(text).parts for _, _, *texts, _ in of_series for text in texts]
    for source in (coded, examined, named, of_protocols):
        if parts := frozenset[str]().union(*source):
            return parts
    return frozenset()


def _side(row: Mapping[str, Any], extra: DicomJson, of_series: Sequence[Sequence[str]]) -> str:
    """From Laterality (0020,0060) and Image Laterality (0020,0062), else from the words of descriptions."""
    known = {value for *_, lateralities in of_series for value in list_values(lateralities)}
    return side(known) or side(value for text in _descriptions(row, extra) for value in read(text).sides)


def _descriptions(row: Mapping[str, Any], extra: DicomJson) -> tuple[str, str]:
    return row["study_description"], first_text(extra.get(_REQUESTED))
