"""Renditions in queries about instances: which transfer syntaxes an instance is available in."""

from typing import Any

from sqlalchemy import ColumnElement, select

from index.tables import instances, renditions


def of_instances() -> Any:
    """The transfer syntax of an instance's rendition, for each row of a query about instances; null: it has none."""
    mine = renditions.c.original_key == instances.c.blob_key
    found = select(renditions.c.transfer_syntax_uid).where(mine, renditions.c.blob_key != "")
    return found.correlate(instances).scalar_subquery()


def has_rendition(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Instances with a rendition that meets a condition."""
    mine = renditions.c.original_key == instances.c.blob_key
    found = select(renditions.c.id).where(mine, renditions.c.blob_key != "", condition)
    return found.correlate(instances).exists()
