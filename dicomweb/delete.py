"""Deleting and rejecting studies, series and instances.

DICOMweb says nothing of deletion; DELETE on the resources is what other archives answer, 204 when it is done. The
paths of rejection are those of dcm4chee.
"""

import orjson

from dicomweb.edge import Call
from dicomweb.replies import Reply
from index.records import Origin
from index.removed.rejection import rules_from

_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


async def delete(call: Call) -> Reply:
    """Delete what the path names; it can be restored for a while."""
    study, series, instance = _named(call)
    await call.web.writers.run(call.archive.delete, call.principal, study, series, instance, origin=_origin(call))
    return Reply(204, ((b"cache-control", b"no-store"),))


async def reject(call: Call) -> Reply:
    """Store a rejection note for what the path names, and answer how many instances it has hidden."""
    code: str = call.scope["path_params"]["code"]
    rejection = await call.web.writers.run(call.archive.reject, call.principal, code, _named(call), _origin(call))
    return Reply(200, _JSON, (orjson.dumps({"count": rejection.instances}),))


async def rejection_codes(call: Call) -> Reply:
    """The titles that rejection notes may have."""
    rules = rules_from(call.web.settings.archive.rejections).values()
    codes = [dict(zip(("codeValue", "codingSchemeDesignator"), rule.code.split("^"), strict=True)) for rule in rules]
    named = [code | {"codeMeaning": rule.meaning} for code, rule in zip(codes, rules, strict=True)]
    return Reply(200, _JSON, (orjson.dumps(named),))


def _named(call: Call) -> tuple[str, str | None, str | None]:
    named = call.scope["path_params"]
    series, instance = (call.uid(name) if name in named else None for name in ("series", "instance"))
    return call.uid("study"), series, instance


def _origin(call: Call) -> Origin:
    return Origin("web", call.principal.address, call.principal.name)
