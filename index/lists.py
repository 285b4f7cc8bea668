"""Lists of bound values in statements that are compiled once.

A list is padded to the next of a few sizes by repeating its last member, so that the number of different
statements stays small whatever the number of members.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam

LARGEST = 4096
"""Members of one list; more must be asked for in pieces. PostgreSQL binds at most 65,535 values."""


def padded_size(number: int) -> int:
    """The number of bound values for so many members: 1, 4, 16, 64, 256, 1024, 4096."""
    size = 1
    while size < number:
        size *= 4
    return size


def one_of(column: ColumnElement[Any], name: str, size: int) -> ColumnElement[bool]:
    """`column IN (:name_0, :name_1, …)`."""
    return column.in_([bindparam(f"{name}_{number}", type_=column.type) for number in range(size)])


def bound(name: str, values: Sequence[Any], size: int) -> dict[str, Any]:
    """The values for `one_of`; there must be at least one."""
    last = len(values) - 1
    return {f"{name}_{number}": values[min(number, last)] for number in range(size)}
