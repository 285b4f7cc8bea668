"""Which way a query takes to its rows.

Theory. Study lists are read newest first, and a filter that an index can serve is not always best served by it: the 100
newest of 300,000 CT studies are found sooner by reading the list and looking at each, the 3 studies of "Xavier*" sooner
by their names. Let m of n studies match and w of them be wanted. On the list a match comes every n/m studies, so w
matches take w*n/m steps; by the index all m matches are fetched and sorted. Both cost the same at m = sqrt(w*n), and
that is how far matches are counted. Counts are remembered for a while: they choose a way and never an answer, and who
asks for CT asks again.

Ways, best first: by a key that has few rows; by one term whose studies are kept newest first; by the rows that an index
finds for one of the filters, when they are few; else along the list. A list that finds nothing for too long is cut off
by `database.statement_timeout_seconds`, see `too_broad`.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, select, union_all
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList

from index.criteria.criterion import Criterion
from index.database import Database, Prepared
from index.errors import TooBroad
from index.query import AnyOf, Exact, Query
from index.records import Level
from index.tables import studies, study_terms

KEYS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber", "StudyID")
"""A value, or a list of values, of one of these leaves few rows; no other filter needs an index then."""

_FEWEST: Final = 1000
_MOST: Final = 200_000
_FURTHER: Final = 8
"""How much further matches are counted when there are more conditions: nobody knows how few rows meet them all."""
_A_ROW_COSTS: Final = 4
"""A row that the trigram index finds is looked at in its table; that costs as much as so many steps of the list."""
_REMEMBERED_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 2000


class Way(Enum):
    """How rows are reached."""

    KEY = "key"
    TERM = "term"
    LOOKUP = "lookup"
    ROWS = "rows"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Plan:
    """A way, the position of the criterion that it follows, and the rows that are known already."""

    way: Way
    position: int = -1
    rows: Sequence[int] = ()
    newest: bool = False
    """The studies that have the term are the matches, so that the newest of them suffice."""

    @property
    def shape(self) -> tuple[object, ...]:
        """Plans with equal shapes have equal SQL."""
        return self.way, self.position, self.newest


class Planner:
    """Chooses ways; looks at the index as little as it can."""

    def __init__(self, database: Database) -> None:
        """Compiles on demand."""
        self._database = database
        self._statements: dict[object, Prepared] = {}
        self._remembered: dict[object, tuple[float, Any]] = {}
        self._highest = database.prepare(select(func.coalesce(func.max(studies.c.id), 0)))

    def plan(self, query: Query, criteria: Sequence[Criterion], tenant: int, wanted: int | None) -> Plan:
        """The way for a query of which `wanted` rows are read; None are all."""
        if any(isinstance(one, Exact | AnyOf) and one.keyword in KEYS for one in query.filters):
            return Plan(Way.KEY)
        for number, one in enumerate(criteria):
            rows = self._owner_rows(one, tenant, self._worthwhile(wanted)) if one.owners is not None else None
            if rows is not None:
                return Plan(Way.ROWS, number, rows)
        terms = [number for number, one in enumerate(criteria) if one.terms and query.level is not Level.PATIENT]
        ordered = [number for number in terms if criteria[number].one_term and wanted is not None and is_newest(query)]
        if ordered and len(criteria) == 1:
            return Plan(Way.TERM, ordered[0])
        few = self._worthwhile(wanted)
        for number in terms:
            if self._few_terms(criteria[number], tenant, few):
                return Plan(Way.LOOKUP, number)
        for number, one in enumerate(criteria):
            if one.texts is not None and number not in terms:
                rows = self._text_rows(one, tenant, few // _A_ROW_COSTS)
                if rows is not None:
                    return Plan(Way.ROWS, number, rows)
        for number in terms:
            if not is_all(criteria, number) and self._few_terms(criteria[number], tenant, _FURTHER * few):
                return Plan(Way.LOOKUP, number)
        return Plan(Way.TERM, ordered[0]) if ordered else Plan(Way.LIST)

    def _worthwhile(self, wanted: int | None) -> int:
        """How many matches are better looked up than met along the list."""
        if wanted is None:
            # The list would have to be read to its end.
            return _MOST
        highest = self._remember("highest", lambda: self._database.rows(self._highest, {})[0][0])
        return min(_MOST, max(_FEWEST, math.isqrt(highest * wanted)))

    def _few_terms(self, one: Criterion, tenant: int, most: int) -> bool:
        def count() -> int:
            statement = self._prepared(("terms", one.shape), lambda: _counted(term_rows(one)))
            return int(self._database.rows(statement, {**one.params, "tenant": tenant, "few": most + 1})[0][0])

        return bool(self._remember(("terms", one.shape, repr(one.params), tenant, most), count) <= most)

    def _owner_rows(self, one: Criterion, tenant: int, most: int) -> Sequence[int] | None:
        """The rows that have the values of declared attributes; None when they are many."""
        assert one.owners is not None
        key = ("owners", one.shape, repr(one.params), tenant, most)
        if self._recalled(key):
            return None
        owners = one.owners
        statement = self._prepared(("owners", one.shape), lambda: owners().distinct().limit(bindparam("few")))
        rows = self._database.rows(statement, {**one.params, "tenant": tenant, "few": most + 1})
        if len(rows) > most:
            self._remember(key, lambda: True)
            return None
        return [row[0] for row in rows]

    def _text_rows(self, one: Criterion, tenant: int, most: int) -> Sequence[int] | None:
        """The rows that hold the texts of a criterion; None when they are many, or there is no index of them."""
        assert one.texts is not None
        if not self._database.has_trigrams(one.texts):
            return None
        key = ("texts", one.shape, repr(one.params), tenant, most)
        if self._recalled(key):
            return None
        statement = self._prepared(
            ("texts", one.shape, one.texts.table, one.texts.column),
            lambda: self._database.holding(one.texts, one.clause()).limit(bindparam("few")),
            fresh=True,
        )
        params = {**one.params, "tenant": tenant, "few": most + 1, "texts": self._database.texts_value(one.texts)}
        rows = [row[0] for row in self._database.rows(statement, params)]
        if len(rows) > most:
            self._remember(key, lambda: True)
            return None
        return rows

    def _prepared(self, shape: object, build: Any, *, fresh: bool = False) -> Prepared:
        statement = self._statements.get(shape)
        if statement is None:
            if len(self._statements) >= _MOST_REMEMBERED:
                self._statements.clear()
            statement = self._statements[shape] = self._database.prepare(build(), fresh=fresh)
        return statement

    def _recalled(self, key: object) -> Any:
        at, value = self._remembered.get(key, (0.0, None))
        return value if time.monotonic() - at < _REMEMBERED_SECONDS else None

    def _remember(self, key: object, find: Any) -> Any:
        value = self._recalled(key)
        if value is None:
            value = find()
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = (time.monotonic(), value)
        return value


def is_newest(query: Query) -> bool:
    """True when studies are asked for in the order of the list."""
    if not query.order:
        return True
    first = query.order[0]
    return query.level is Level.STUDY and len(query.order) == 1 and first.keyword == "StudyDate" and first.descending


def is_all(criteria: Sequence[Criterion], position: int) -> bool:
    """True when the rows that the terms of a criterion lead to are the matches."""
    return len(criteria) == 1 and criteria[position].terms_suffice


def term_rows(one: Criterion) -> Any:
    """Ids of the studies that have a term of a criterion. Alternatives are looked up one by one, not term by term."""
    where = one.terms_where()
    is_any = isinstance(where, BooleanClauseList) and where.operator is operators.or_
    ways = where.clauses if is_any and isinstance(where, BooleanClauseList) else [where]
    rows = [select(study_terms.c.study_fk).where(study_terms.c.tenant_id == bindparam("tenant"), way) for way in ways]
    return rows[0] if len(rows) == 1 else union_all(*rows)


def newest_rows(one: Criterion) -> Select[Any]:
    """The newest of them, each once."""
    study = study_terms.c.study_fk, study_terms.c.sort_key
    mine = study_terms.c.tenant_id == bindparam("tenant")
    rows = select(study_terms.c.study_fk).where(mine, one.terms_where()).group_by(*study)
    return rows.order_by(study[1].desc(), study[0].desc()).limit(bindparam("reached"))


def _counted(rows: Any) -> Select[Any]:
    return select(func.count()).select_from(rows.limit(bindparam("few")).subquery())


_NARROWING: Final[Mapping[Level, str]] = {
    Level.PATIENT: "PatientID or three letters of PatientName",
    Level.STUDY: "StudyDate, PatientID or AccessionNumber",
    Level.SERIES: "StudyDate, Modality or StudyInstanceUID",
    Level.IMAGE: "StudyDate, PatientID or StudyInstanceUID",
}


def too_broad(query: Query, plan: Plan) -> TooBroad:
    """Why a query was given up, and what would help: keys, never values. An Error Comment (0000,0902) is its start."""
    filters = [*query.filters, *(key.filter for key in query.declared)]
    given = ", ".join(dict.fromkeys(one.keyword for one in filters)) or "no key"
    why = "no index leads to the matches" if plan.way is Way.LIST else "there are too many rows to look at"
    return TooBroad(f"Too broad; add {_NARROWING[query.level]}. Asked by {given}, and {why}")
