"""Query + Scope -> the ids of the rows that match, in order.

Theory. The SQL depends only on the shape of a query: its level, which attributes are filtered in which way, its
order, and the way to its rows (`index.plans`). It is compiled once a shape and kept; values are bound. The answer is
ids alone, so that the database can work in narrow indexes; `index.search` fetches the documents of one page of ids
afterwards.

Databases guess badly how many rows a filter leaves, so each way is written such that they have no other choice: an
index that must not be used gets a sum instead of its column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, literal_column, select
from sqlalchemy.sql import visitors

from index.access import Scope
from index.attributes import BY_KEYWORD, OF_STUDY, Attribute, has_key
from index.criteria.criterion import Criterion
from index.criteria.declared import declared_criteria
from index.criteria.kinds import criterion
from index.database import Database, Prepared
from index.errors import InvalidQuery, TooLong
from index.plans import Plan, Planner, Way, is_all, is_newest, newest_rows, term_rows, too_broad
from index.query import AnyOf, Exact, Query
from index.records import Level
from index.tables import instances, patients, series, studies, study_terms, tenants

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

_CHOSEN = study_terms.alias("chosen")
"""The term whose studies are read newest first; an alias, because conditions may ask for other terms of a study."""


class Selection:
    """Finds ids; shared by search and retrieve, so that both see the same rows."""

    def __init__(self, database: Database) -> None:
        """Compiles on demand."""
        self._database = database
        self._planner = Planner(database)
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
        if query.limit == 0:
            self._criteria(query)  # Raises what is wrong with them.
            return []
        wanted = None if query.limit is None else query.offset + query.limit
        paging = (query.order, query.limit is None, bool(query.offset))

        def build(criteria: Sequence[Criterion], plan: Plan, restricted: bool) -> Select[Any]:
            built = self._where(select(_identity(query, plan)), query, criteria, plan, restricted)
            return _paged(built.order_by(*_order(query, plan, restricted)), query)

        return [row[0] for row in self._rows(scope, query, wanted, (("ids", *paging), build))]

    def count(self, scope: Scope, query: Query, most: int | None = None) -> int:
        """Number of matching rows, without limit and offset; counting stops at `most`."""

        def build(criteria: Sequence[Criterion], plan: Plan, restricted: bool) -> Select[Any]:
            identity = _identity(query, plan)
            if most is None:
                return self._where(select(func.count(identity)), query, criteria, plan, restricted)
            some = self._where(select(identity), query, criteria, plan, restricted).limit(bindparam("most"))
            return select(func.count()).select_from(some.subquery())

        rows = self._rows(scope, query, most, (("count", most is None), build), {"most": most})
        return int(rows[0][0]) if rows else 0

    def _rows(
        self, scope: Scope, query: Query, wanted: int | None, what: Any, more: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """The rows of a statement, `what` is its name and the function that builds it. None are visible: no rows."""
        criteria = self._criteria(query)
        plan = Plan(Way.LIST)
        try:
            tenant = self.tenant_id(scope.tenant)
            if tenant is None or scope.study_instance_uids == frozenset():
                return []
            plan = self._planner.plan(query, criteria, tenant, wanted)
            restricted = scope.study_instance_uids is not None
            name, build = what
            if not restricted and wanted and _takes_newest(query, criteria, plan):
                plan = replace(plan, newest=True)
            shape = (name, query.level, _shape(criteria), plan.shape, _has_many_keys(query), restricted)
            statement = self._shapes.get(shape)
            if statement is None:
                statement = self._remember(shape, build(criteria, plan, restricted))
            params = self._params(criteria, tenant, scope, plan)
            return self._database.rows(
                statement, {**params, "limit": query.limit, "offset": query.offset, "reached": wanted, **(more or {})}
            )
        except TooLong as exc:
            raise too_broad(query, plan) from exc

    def _remember(self, shape: object, built: Select[Any]) -> Prepared:
        if len(self._shapes) >= _MAXIMUM_SHAPES:
            self._shapes.clear()
        statement = self._shapes[shape] = self._database.prepare(built)
        return statement

    def _criteria(self, query: Query) -> list[Criterion]:
        if len(query.filters) + len(query.declared) > _MAXIMUM_FILTERS:
            raise InvalidQuery(f"More than {_MAXIMUM_FILTERS} filters")
        made = []
        for number, one in enumerate(query.filters):
            row = searchable(one.keyword, query.level)
            made.append(criterion(self._database, row, one, (f"f{number}", query)))
        return made + declared_criteria(self._database, query)

    def _where(
        self, built: Select[Any], query: Query, criteria: Sequence[Criterion], plan: Plan, restricted: bool
    ) -> Select[Any]:
        if plan.way is Way.TERM and plan.newest:
            return self._follow(built, query, criteria[plan.position], plan)
        built = built.select_from(_source(query.level, plan))
        owner = patients if query.level is Level.PATIENT else studies
        by_list = plan.way in (Way.KEY, Way.LIST)
        # With the sum no index serves the tenant: SQLite would walk the whole list to look each study up in the terms.
        built = built.where(_hidden(owner.c.tenant_id, not by_list) == bindparam("tenant"))
        if query.level is Level.IMAGE:
            named = any(one.keyword == "SOPInstanceUID" for one in query.filters)
            # Or it would sort all instances of the tenant, rather than take those of the newest studies.
            built = built.where(_hidden(instances.c.tenant_id, not named) == bindparam("tenant"))
        if restricted:
            built = built.where(self._scope_clause(query.level))
        for number, one in enumerate(criteria):
            if number == plan.position:
                built = self._follow(built, query, one, plan)
                if plan.way in (Way.TERM, Way.LOOKUP) and one.terms_suffice:
                    continue
            clause = one.clause()
            built = built.where(_by_chosen(clause) if plan.way is Way.TERM else clause)
        return built

    def _follow(self, built: Select[Any], query: Query, one: Criterion, plan: Plan) -> Select[Any]:
        """The condition that leads to the rows."""
        if plan.way is Way.TERM:
            return built.where(_CHOSEN.c.tenant_id == bindparam("tenant"), _by_chosen(one.terms_where(), study_terms))
        if plan.way is Way.LOOKUP:
            return built.where(studies.c.id.in_(newest_rows(one) if plan.newest else term_rows(one)))
        owner = patients if query.level is Level.PATIENT else studies
        column = owner.c.id if one.owner_column is None else one.owner_column
        return built.where(self._database.one_of(column, "rows"))

    def _params(self, criteria: Sequence[Criterion], tenant: int, scope: Scope, plan: Plan) -> dict[str, Any]:
        params: dict[str, Any] = {"tenant": tenant}
        for one in criteria:
            params.update(one.params)
        if scope.study_instance_uids is not None:
            params["scope"] = self._database.list_value(sorted(scope.study_instance_uids))
        if plan.way is Way.ROWS:
            params["rows"] = self._database.list_value(plan.rows)
        return params

    def _scope_clause(self, level: Level) -> ColumnElement[bool]:
        visible = self._database.one_of(studies.c.study_instance_uid, "scope")
        if level is Level.PATIENT:
            return exists().where(studies.c.patient_fk == patients.c.id, visible)
        return visible


def _identity(query: Query, plan: Plan) -> Any:
    return _CHOSEN.c.study_fk if plan.way is Way.TERM and plan.newest else TABLE_OF[query.level].c.id


def _source(level: Level, plan: Plan) -> Any:
    if plan.way is not Way.TERM:
        return FROM[level]
    source = _CHOSEN.join(studies, _CHOSEN.c.study_fk == studies.c.id)
    if level in (Level.SERIES, Level.IMAGE):
        source = source.join(series, series.c.study_fk == studies.c.id)
    if level is Level.IMAGE:
        source = source.join(instances, instances.c.series_fk == series.c.id)
    return source


def _hidden(column: Any, hide: bool) -> Any:
    """A number column that no index serves."""
    return column + literal_column("0") if hide else column


def _by_chosen(clause: ColumnElement[bool], table: Any = None) -> ColumnElement[bool]:
    """The same condition on the term whose studies are read: on `table`, else on the sort key, which is the study's.

    So a range of dates is a range of the term's studies.
    """

    def replaced(element: Any, **_: Any) -> Any:
        if table is not None:
            return _CHOSEN.c[element.name] if getattr(element, "table", None) is table else None
        return _CHOSEN.c.sort_key if element is studies.c.sort_key else None

    found: ColumnElement[bool] = visitors.replacement_traverse(clause, {}, replaced)
    return found


def searchable(keyword: str, level: Level) -> Attribute:
    """The attribute a filter or sort key names. Raises InvalidQuery: a filter must never vanish silently."""
    row = BY_KEYWORD.get(keyword)
    if row is None or not row.searchable:
        raise InvalidQuery(f"{keyword[:64]} cannot be searched")
    if not has_key(level, row):
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


def _takes_newest(query: Query, criteria: Sequence[Criterion], plan: Plan) -> bool:
    """True when the newest of the studies that have a term are the list, so that no other row is looked at."""
    sole = plan.way in (Way.LOOKUP, Way.TERM) and is_all(criteria, plan.position)
    return sole and query.level is Level.STUDY and is_newest(query)


def _has_many_keys(query: Query) -> bool:
    return any(isinstance(one, AnyOf) for one in query.filters)


def _shape(criteria: Sequence[Criterion]) -> tuple[object, ...]:
    return tuple(one.shape for one in criteria)


def column_of(row: Attribute, level: Level) -> Any:
    """Where an attribute stands for a query of this level; patients' attributes are copied to studies."""
    if level is Level.STUDY and row.keyword in OF_STUDY:
        return studies.c[OF_STUDY[row.keyword]]
    if row.level is Level.PATIENT and level is not Level.PATIENT:
        return studies.c[row.column]
    return TABLE_OF[row.level].c[row.column]


def _order(query: Query, plan: Plan, restricted: bool) -> list[Any]:
    if query.order and plan.way is not Way.TERM:
        keys: list[Any] = []
        for one in query.order:
            row = searchable(one.keyword, query.level)
            column = studies.c.sort_key if one.keyword == "StudyDate" else column_of(row, query.level)
            keys.append(column.desc() if one.descending else column.asc())
        identity = TABLE_OF[query.level].c.id
        return [*keys, identity.desc() if query.order[-1].descending else identity.asc()]
    if query.level is Level.PATIENT:
        return [patients.c.patient_name, patients.c.id]
    # A list of keys is looked up key by key; the order must not tempt anybody to read the whole list for it.
    return _default_order(query, _newest(plan, hide=restricted or (plan.way is Way.KEY and _has_many_keys(query))))


def _newest(plan: Plan, *, hide: bool) -> list[Any]:
    if plan.way is Way.TERM:
        return [_CHOSEN.c.sort_key.desc(), _CHOSEN.c.study_fk.desc()]
    return [_hidden(studies.c.sort_key, hide).desc(), studies.c.id.desc()]


def _default_order(query: Query, newest: list[Any]) -> list[Any]:
    keys: list[Any] = []
    if not is_single(query, "StudyInstanceUID") or query.level is Level.STUDY:
        keys += newest
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
