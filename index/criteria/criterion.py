"""What a filter becomes: a condition of SQL, whose shape is kept apart from its values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select

from index.query import Query
from index.words.substrings import Texts

Clause = Callable[[], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A condition: equal shapes have equal SQL. `terms` is the same condition on `study_terms`, when there is one.

    `terms`, `one_term` and `texts` are how few rows are found that may meet it, see `index.paths`.
    """

    shape: tuple[object, ...]
    params: dict[str, Any]
    clause: Clause
    terms: Clause | None = None
    terms_suffice: bool = True
    """The condition on the terms is all of it; otherwise the rows that they lead to are compared once more."""
    one_term: bool = False
    """`terms` is met by one term alone, so that its studies can be read newest first."""
    texts: Texts | None = None
    owners: Callable[[], Select[Any]] | None = None
    """Ids of all rows of `owner_column` that meet it, when an index leads to them."""
    owner_column: Any = None

    def terms_where(self) -> ColumnElement[bool]:
        """The condition on `study_terms`; only for criteria that have one."""
        if self.terms is None:
            raise ValueError("This criterion has no terms")
        return self.terms()


Place = tuple[str, Query]
"""Name of the bound values, and the query that the filter is part of."""
