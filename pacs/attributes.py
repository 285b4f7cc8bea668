"""`pacs attributes list`, `add` and `remove`: which attributes are searchable besides those with columns."""

from collections.abc import Iterator, Sequence

from config.settings import Settings
from index.attribute_paths import Path, Step, name_of, parse
from index.declared import FILLING, Declaration
from index.records import Level
from pacs.auth.local import local_principal
from pacs.services import build

_LATER = (
    " from now on; the worker fills in what is stored already (see `pacs attributes list`), and answers say so until "
    "it is done."
)
_HEADING = f"{'level':<8}{'VR':<4}{'state':<16}attribute"


def list_all(settings: Settings) -> Iterator[str]:
    """Lines for a person: every declared attribute and how far it is filled."""
    services = build(settings)
    try:
        yield _HEADING
        for one in services.archive.declarations(local_principal(settings)).rows:
            yield f"{one.level.value:<8}{one.vr:<4}{_state(one):<16}{one.name}"
    finally:
        services.close()


def add(settings: Settings, names: Sequence[str], level: str, creator: str, vr: str) -> Iterator[str]:
    """Declare attributes; what was done, for a person. Raises InvalidQuery, Conflict."""
    services = build(settings)
    try:
        for path in [_path(name, creator) for name in names]:
            made = services.archive.declare(local_principal(settings), path, Level(level), vr)
            yield f"{made.name} is searchable at level {level}{_LATER if made.state == FILLING else '.'}"
    finally:
        services.close()


def remove(settings: Settings, names: Sequence[str], level: str, creator: str) -> Iterator[str]:
    """Give attributes up; what was done, for a person. Raises InvalidQuery, NotFound."""
    services = build(settings)
    try:
        for path in [_path(name, creator) for name in names]:
            services.archive.give_up(local_principal(settings), path, Level(level))
            yield f"{name_of(path)} is no longer searchable at level {level}."
    finally:
        services.close()


def _path(name: str, creator: str) -> Path:
    """The path of a name; `creator` is that of all private attributes in it that do not name their own."""
    steps = parse(name)
    if not creator:
        return steps
    return tuple(Step(step.tag, creator) if step.is_private and not step.creator else step for step in steps)


def _state(one: Declaration) -> str:
    return f"{one.percent} % filled" if one.state == FILLING else one.state
