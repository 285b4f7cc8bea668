"""Query + Scope -> answers: ids first, then the documents of one page of ids after the other."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select

from index.access import Scope
from index.answers import PARTS, merge, needed_parts
from index.database import Database, Prepared
from index.priors.ranking import Priors
from index.query import Query
from index.records import Answer, Level
from index.selection import FROM, TABLE_OF, Selection
from index.tables import documents, instances, patients, studies
from index.texts import TEXTS, escaped, written

_PAGE = 256


class Search:
    """The one search of the archive: QIDO-RS, C-FIND and the page lists."""

    def __init__(self, database: Database) -> None:
        """Compiles on demand."""
        self._database = database
        self._selection = Selection(database)
        self.priors = Priors(database, self._selection)
        self._pages: dict[object, Prepared] = {}

    def find(self, scope: Scope, query: Query) -> Iterator[Answer]:
        """All matches in order. Raises InvalidQuery at once, before the first match is asked for.

        The ids are read at the call, the documents while the answers are taken, without holding a connection.
        """
        ids = self._selection.ids(scope, query)
        return self._answers(ids, query, needed_parts(query))

    def find_texts(self, scope: Scope, query: Query, root: str) -> list[bytes]:
        """All matches in order as DICOM JSON, each with its Retrieve URL below `root`. Raises InvalidQuery."""
        ids = self._selection.ids(scope, query)
        names = needed_parts(query)
        address = escaped(root)
        build = TEXTS.get(names) if not query.paths else None
        if build is None:
            return [written(address, query.level, answer) for answer in self._answers(ids, query, names)]
        texts: list[bytes] = []
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            rows = {row[0]: row for row in self._rows(page, query.level, names)}
            texts += [build(address, *rows[number][1:]) for number in page if number in rows]
        return texts

    def count(self, scope: Scope, query: Query, most: int | None = None) -> int:
        """Number of matches without limit and offset; counting stops at `most`."""
        return self._selection.count(scope, query, most)

    def _answers(self, ids: Sequence[int], query: Query, names: tuple[str, ...]) -> Iterator[Answer]:
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            rows = {row[0]: row for row in self._rows(page, query.level, names)}
            for number in page:
                # A row may have been taken out since the ids were read.
                row = rows.get(number)
                if row is not None:
                    yield merge(names, row[1:], query)

    def _rows(self, page: Sequence[int], level: Level, names: tuple[str, ...]) -> list[Any]:
        shape = (level, names)
        statement = self._pages.get(shape)
        if statement is None:
            statement = self._pages[shape] = self._database.prepare(self._page(level, names))
        return self._database.rows(statement, {"page": self._database.list_value(page)})

    def _page(self, level: Level, names: tuple[str, ...]) -> Any:
        identity = TABLE_OF[level].c.id
        source = FROM[level]
        if level is not Level.PATIENT and "patient counters" in names:
            source = source.join(patients, studies.c.patient_fk == patients.c.id)
        if "body" in names:
            source = source.join(documents, documents.c.instance_fk == instances.c.id)
        # Two parts may read the same column; labels keep both.
        columns = [column for name in names for column in PARTS[name].columns]
        labelled = [column.label(f"c{number}") for number, column in enumerate(columns)]
        return select(identity, *labelled).select_from(source).where(self._database.one_of(identity, "page"))
