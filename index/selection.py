"""Query + Scope -> the ids of the rows that match, in order.

Theory. The SQL depends only on the shape of a query: its level, which attributes are filtered in which way, its
order. It is compiled once a shape and kept; values are bound. The answer is ids alone, so that the database can
work in narrow indexes; `index.search` fetches the documents of one page of ids afterwards.

Study lists are read newest first. A filter that an index can serve is not always best served by it: the 100
newest of 300,000 CT studies are found sooner by walking the list and looking, the 3 studies of "Xavier*" sooner
by their names. So such a filter's matches are counted first, up to `_FEW`; few are looked up and sorted, many are
met soon on the walk.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, literal_column, select

from index.access import Scope
from index.attributes import BY_KEYWORD, Attribute, levels_down_to
from index.criteria import Criterion, criterion
from index.database import Database, Prepared
from index.errors import InvalidQuery
from index.query import AnyOf, Exact, Query
from index.records import Level
from index.tables import instances, patients, series, studies, study_terms, tenants

_FEW = 1000
_MAXIMUM_SHAPES = 1000
_MAXIMUM_FILTERS = 64

TABLE_OF: Mapping[Level, Any] = {
    Level.PATIENT: patients,
    Level.STUDY: studies,
    Level.SERIES: series,
    Level.IMAGE: instances,
}

FROM: Mapping[Level, Any] = {
    Level.PATIENT: patients,
    Level.STUDY: studies,
    Level.SERIES: series.join(studies, series.c.study_fk == studies.c.id),
    Level.IMAGE: instances.join(series, instances.c.series_fk == series.c.id).join(
        studies, series.c.study_fk == studies.c.id
    ),
}

_SELECTIVE = frozenset(
    {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber", "StudyID"}
)
"""A single value of one of these leaves few rows; no other filter needs an index then."""


class Selection:
    """Finds ids; shared by search and retrieve, so that both see the same rows."""

    def __init__(self, database: Database) -> None:
        """Compiles on demand."""
        self._database = database
        self._shapes: dict[object, Prepared] = {}
        self._tenant = database.prepare(select(tenants.c.id).where(tenants.c.name == bindparam("name")))
        self._tenant_ids: dict[str, int] = {}

    def tenant_id(self, name: str) -> int | None:
        """Id of a tenant, None while it has no instance."""
        known = self._tenant_ids.get(name)
        if known is None:
            rows = self._database.rows(self._tenant, {"name": name})
            if rows:
                known = self._tenant_ids[name] = rows[0][0]
        return known

    def ids(self, scope: Scope, query: Query) -> list[int]:
        """Ids of the matching rows of the query's level, in its order, from offset up to limit."""
        criteria = self._criteria(query)
        tenant = self.tenant_id(scope.tenant)
        if tenant is None or scope.study_instance_uids == frozenset() or query.limit == 0:
            return []
        driver = self._driver(query, criteria, tenant)
        restricted = scope.study_instance_uids is not None
        shape = (
            "ids",
            query.level,
            _shape(criteria),
            driver,
            query.order,
            query.limit is None,
            bool(query.offset),
            restricted,
        )
        statement = self._shapes.get(shape)
        if statement is None:
            built = self._where(select(TABLE_OF[query.level].c.id), query, criteria, driver, restricted)
            statement = self._remember(shape, _paged(built.order_by(*_order(query)), query))
        params = self._params(criteria, tenant, scope) | {"limit": query.limit, "offset": query.offset}
        return [row[0] for row in self._database.rows(statement, params)]

    def count(self, scope: Scope, query: Query) -> int:
        """Number of matching rows, without limit and offset."""
        criteria = self._criteria(query)
        tenant = self.tenant_id(scope.tenant)
        if tenant is None or scope.study_instance_uids == frozenset():
            return 0
        restricted = scope.study_instance_uids is not None
        driver = self._driver(query, criteria, tenant)
        shape = ("count", query.level, _shape(criteria), driver, restricted)
        statement = self._shapes.get(shape)
        if statement is None:
            counted = select(func.count(TABLE_OF[query.level].c.id))
            statement = self._remember(shape, self._where(counted, query, criteria, driver, restricted))
        return int(self._database.rows(statement, self._params(criteria, tenant, scope))[0][0])

    def _remember(self, shape: object, built: Select[Any]) -> Prepared:
        if len(self._shapes) >= _MAXIMUM_SHAPES:
            self._shapes.clear()
        statement = self._shapes[shape] = self._database.prepare(built)
        return statement

    def _criteria(self, query: Query) -> list[Criterion]:
        if len(query.filters) > _MAXIMUM_FILTERS:
            raise InvalidQuery(f"More than {_MAXIMUM_FILTERS} filters")
        made = []
        for number, one in enumerate(query.filters):
            row = searchable(one.keyword, query.level)
            made.append(criterion(self._database, row, one, (f"f{number}", query)))
        return made

    def _driver(self, query: Query, criteria: list[Criterion], tenant: int) -> int | None:
        """Position of the criterion whose index drives the query; None walks the list, or leaves it to the database."""
        if query.level is Level.PATIENT or any(_is_selective(one) for one in query.filters):
            return None
        for number, one in enumerate(criteria):
            if one.terms is None:
                continue
            if self._matches_few(one, tenant):
                return number
        return None

    def _matches_few(self, one: Criterion, tenant: int) -> bool:
        shape = ("few", one.shape)
        statement = self._shapes.get(shape)
        if statement is None:
            some = select(study_terms.c.study_fk).where(
                study_terms.c.tenant_id == bindparam("tenant"), one.terms_where()
            )
            few = some.limit(bindparam("few")).subquery()
            statement = self._remember(shape, select(func.count()).select_from(few))
        found = self._database.rows(statement, {**one.params, "tenant": tenant, "few": _FEW + 1})[0][0]
        return bool(found <= _FEW)

    def _where(
        self, built: Select[Any], query: Query, criteria: list[Criterion], driver: int | None, restricted: bool
    ) -> Select[Any]:
        built = built.select_from(FROM[query.level])
        owner = patients if query.level is Level.PATIENT else studies
        # With the sum no index serves the tenant: SQLite would walk the whole list to look each study up in the terms.
        own = owner.c.tenant_id if driver is None else owner.c.tenant_id + literal_column("0")
        built = built.where(own == bindparam("tenant"))
        if query.level is Level.IMAGE:
            built = built.where(instances.c.tenant_id == bindparam("tenant"))
        if restricted:
            built = built.where(self._scope_clause(query.level))
        for number, one in enumerate(criteria):
            if number == driver:
                terms = select(study_terms.c.study_fk).where(
                    study_terms.c.tenant_id == bindparam("tenant"), one.terms_where()
                )
                built = built.where(studies.c.id.in_(terms))
                if one.terms_suffice:
                    continue
            built = built.where(one.clause())
        return built

    def _params(self, criteria: list[Criterion], tenant: int, scope: Scope) -> dict[str, Any]:
        params: dict[str, Any] = {"tenant": tenant}
        for one in criteria:
            params.update(one.params)
        if scope.study_instance_uids is not None:
            params["scope"] = self._database.list_value(sorted(scope.study_instance_uids))
        return params

    def _scope_clause(self, level: Level) -> ColumnElement[bool]:
        visible = self._database.one_of(studies.c.study_instance_uid, "scope")
        if level is Level.PATIENT:
            return exists().where(studies.c.patient_fk == patients.c.id, visible)
        return visible


def searchable(keyword: str, level: Level) -> Attribute:
    """The attribute a filter or sort key names. Raises InvalidQuery: a filter must never vanish silently."""
    row = BY_KEYWORD.get(keyword)
    if row is None or not row.searchable:
        raise InvalidQuery(f"{keyword[:64]} cannot be searched")
    if row.level not in levels_down_to(level):
        raise InvalidQuery(
            f"{keyword} belongs to the {row.level.value} level and cannot be searched at {level.value} level"
        )
    return row


def is_single(query: Query, keyword: str) -> bool:
    """True when the query names one value of this unique key."""
    return any(
        one.keyword == keyword and (isinstance(one, Exact) or (isinstance(one, AnyOf) and len(one.values) == 1))
        for one in query.filters
    )


def _is_selective(one: object) -> bool:
    return isinstance(one, Exact | AnyOf) and one.keyword in _SELECTIVE


def _shape(criteria: list[Criterion]) -> tuple[object, ...]:
    return tuple(one.shape for one in criteria)


def column_of(row: Attribute, level: Level) -> Any:
    """Where an attribute stands for a query of this level; patients' attributes are copied to studies."""
    if row.level is Level.PATIENT and level is not Level.PATIENT:
        return studies.c[row.column]
    return TABLE_OF[row.level].c[row.column]


def _order(query: Query) -> list[Any]:
    keys: list[Any] = []
    last = False
    for one in query.order:
        row = searchable(one.keyword, query.level)
        column = studies.c.sort_key if one.keyword == "StudyDate" else column_of(row, query.level)
        keys.append(column.desc() if one.descending else column.asc())
        last = one.descending
    identity = TABLE_OF[query.level].c.id
    if keys:
        return [*keys, identity.desc() if last else identity.asc()]
    return _default_order(query)


def _default_order(query: Query) -> list[Any]:
    if query.level is Level.PATIENT:
        return [patients.c.patient_name, patients.c.id]
    keys: list[Any] = []
    if not is_single(query, "StudyInstanceUID") or query.level is Level.STUDY:
        keys += [studies.c.sort_key.desc(), studies.c.id.desc()]
    if query.level is Level.SERIES or (query.level is Level.IMAGE and not is_single(query, "SeriesInstanceUID")):
        keys += [series.c.series_number, series.c.id]
    if query.level is Level.IMAGE:
        keys += [instances.c.instance_number, instances.c.id]
    return keys


def _paged(built: Select[Any], query: Query) -> Select[Any]:
    if query.limit is not None:
        built = built.limit(bindparam("limit"))
    elif query.offset:
        # SQLite knows no OFFSET without LIMIT.
        built = built.limit(2**62)
    return built.offset(bindparam("offset")) if query.offset else built
