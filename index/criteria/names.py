"""Person names -> SQL conditions: literal matching by component group, and `fuzzymatching` (PS3.4 C.2.2.2.1.1).

A names column holds the folded groups of a name as `=group=group=` (see `index.words.matching`); `study_terms` has
the same groups, their later words and the sounds of all words one by one, to look them up.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, or_, select

from index.attributes import Attribute, Matching
from index.criteria.criterion import Clause, Criterion, Place
from index.entries import SOUND_KINDS, TERM_KINDS, WORD_KINDS
from index.errors import InvalidQuery
from index.records import Level
from index.tables import patients, studies, study_terms
from index.words.matching import HIGHEST, group_expression, has_wildcard, like, name_patterns, name_words, prefix_of
from index.words.sounds import sound
from index.words.substrings import name_pieces, texts_in

_MOST_WORDS = 16
_BEFORE_WORDS = ("=", "^", " ", "-", ",")


def has_term(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The study has a term; with the sort key the index leads from the term straight to the study."""
    return exists().where(
        study_terms.c.tenant_id == studies.c.tenant_id,
        study_terms.c.sort_key == studies.c.sort_key,
        study_terms.c.study_fk == studies.c.id,
        condition,
    )


def name_criterion(row: Attribute, column: Any, pattern: str, place: Place) -> Criterion:
    """Each component group of the pattern is one of the name's, case and accent blind; or `fuzzymatching`."""
    name, query = place
    if row.matching is not Matching.NAME:
        raise InvalidQuery(f"{row.keyword} is no person name")
    if query.fuzzy:
        return _fuzzy_name(row, column, pattern, place)
    groups = name_patterns(pattern)
    params: dict[str, Any] = {}
    for number, alternatives in enumerate(groups):
        for other, alternative in enumerate(alternatives):
            params[f"{name}_{number}_{other}"] = _group_like(alternative)
    counts = tuple(len(alternatives) for alternatives in groups)

    def clause() -> ColumnElement[bool]:
        conditions = [
            or_(*(column.like(bindparam(f"{name}_{number}_{other}"), escape="!") for other in range(count)))
            for number, count in enumerate(counts)
        ]
        return and_(*conditions) if conditions else column == column

    terms = _name_terms(row, groups, params, name)
    inner = tuple(number for number, alternatives in enumerate(groups) if any(_is_inner(one) for one in alternatives))
    checked = _checked(clause, column, groups, inner, (params, name)) if inner else clause
    shape = ("name", row.keyword, name, counts, terms is not None, inner)
    texts = texts_in(column.table.name, column.name, name_pieces(groups))
    return Criterion(shape, params, checked, terms, len(groups) == 1, texts=texts)


def _group_like(pattern: str) -> str:
    """A pattern of one component group against a whole names column `=group=group=`."""
    head = "" if pattern.startswith("*") else "="
    tail = "" if pattern.endswith("*") else "="
    return f"%{head}{like(pattern.strip('*'))}{tail}%"


def _is_inner(pattern: str) -> bool:
    """Wild cards inside might match across the `=` between two groups."""
    return has_wildcard(pattern.strip("*"))


def _checked(clause: Clause, column: Any, groups: list[list[str]], inner: tuple[int, ...], context: Any) -> Clause:
    """The condition and, for wild cards inside a group, the same on the groups one by one."""
    params, name = context
    counts = {number: len(groups[number]) for number in inner}
    for number in inner:
        for other, alternative in enumerate(groups[number]):
            params[f"{name}_{number}_{other}_group"] = group_expression(alternative)

    def checked() -> ColumnElement[bool]:
        conditions = [clause()]
        for number, count in counts.items():
            names: list[Any] = [bindparam(f"{name}_{number}_{other}_group") for other in range(count)]
            conditions.append(or_(*(column.regexp_match(one) for one in names)))
        return and_(*conditions)

    return checked


def _term_of(level: Level, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    if level is not Level.PATIENT:
        return has_term(condition)
    # Not the patient's tenant, which is the same: the studies are looked up once and not for each patient.
    named = select(study_terms.c.study_fk).where(study_terms.c.tenant_id == bindparam("tenant"), condition)
    return exists().where(studies.c.patient_fk == patients.c.id, studies.c.id.in_(named))


def _name_terms(row: Attribute, groups: list[list[str]], params: dict[str, Any], name: str) -> Clause | None:
    """The condition on `study_terms` when the first group is a whole name or a prefix."""
    if not groups or len(groups[0]) != 1:
        return None
    pattern = groups[0][0]
    prefix = prefix_of(pattern)
    if prefix == "" or (prefix is None and has_wildcard(pattern)):
        return None
    low, high = f"{name}_low", f"{name}_high"
    params[low] = pattern if prefix is None else prefix
    params[high] = pattern if prefix is None else prefix + HIGHEST
    term = study_terms.c.term

    def terms() -> ColumnElement[bool]:
        return and_(study_terms.c.kind == TERM_KINDS[row.keyword], term >= bindparam(low), term <= bindparam(high))

    return terms


def _fuzzy_name(row: Attribute, column: Any, pattern: str, place: Place) -> Criterion:
    """Each word asked for begins a word of the name or sounds like one, in any order.

    A leading `*` makes it "occurs in a word"; words with wild cards are not compared by sound.
    """
    name, query = place
    words = name_words(pattern)
    if len(words) > _MOST_WORDS:
        raise InvalidQuery(f"{row.keyword}: a name has at most {_MOST_WORDS} words")
    params: dict[str, Any] = {}
    for number, word in enumerate(words):
        likes = _word_likes(word)
        params.update({f"{name}_{number}_{other}": text for other, text in enumerate(likes)})
        if key := sound(word):
            params[f"{name}_{number}_sound"] = key
    counts = tuple(len(_word_likes(word)) for word in words)
    sounds = tuple(bool(sound(word)) for word in words)

    def clause() -> ColumnElement[bool]:
        conditions = []
        for number, count in enumerate(counts):
            alternatives = [column.like(bindparam(f"{name}_{number}_{other}"), escape="!") for other in range(count)]
            if sounds[number]:
                alternatives.append(_sounds_like(row, query.level, f"{name}_{number}_sound"))
            conditions.append(or_(*alternatives))
        return and_(*conditions) if conditions else column == column

    terms = _word_terms(row, words, params, name)
    texts = texts_in(column.table.name, column.name, [word for word in words if not sound(word)])
    shape = ("fuzzy", row.keyword, name, counts, sounds, terms is not None and terms[0])
    return Criterion(shape, params, clause, terms[1] if terms else None, terms_suffice=False, texts=texts)


def _word_likes(word: str) -> list[str]:
    body = like(word.strip("*"))
    return [f"%{body}%"] if word.startswith("*") else [f"%{before}{body}%" for before in _BEFORE_WORDS]


def _sounds_like(row: Attribute, level: Level, name: str) -> ColumnElement[bool]:
    term = study_terms.c.term
    sounding = and_(study_terms.c.kind == SOUND_KINDS[row.keyword], term == bindparam(name, type_=term.type))
    return _term_of(level, sounding)


def _word_terms(row: Attribute, words: list[str], params: dict[str, Any], name: str) -> tuple[bool, Clause] | None:
    """The condition on `study_terms` for the longest word, which has the fewest names; and whether it has a sound."""
    plain = [word.rstrip("*") for word in words if not has_wildcard(word.rstrip("*"))]
    if not plain:
        return None
    longest = max(plain, key=len)
    low, high, key = f"{name}_low", f"{name}_high", f"{name}_sound"
    params[low], params[high] = longest, longest + HIGHEST
    heard = sound(longest) if longest in words else ""
    if heard:
        params[key] = heard
    kind, term = study_terms.c.kind, study_terms.c.term

    def terms() -> ColumnElement[bool]:
        begun = and_(term >= bindparam(low, type_=term.type), term <= bindparam(high, type_=term.type))
        ways = [and_(kind == kinds[row.keyword], begun) for kinds in (TERM_KINDS, WORD_KINDS)]
        if heard:
            ways.append(and_(kind == SOUND_KINDS[row.keyword], term == bindparam(key, type_=term.type)))
        return or_(*ways)

    return bool(heard), terms
