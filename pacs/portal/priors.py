"""The earlier studies of a patient as JSON, for the study list and for whoever reports a study."""

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from index.errors import PacsError
from index.priors.ranking import Compared, Prior, Ranking
from index.priors.score import HIDDEN_BELOW
from storage.archive import Archive

_UID: Final = re.compile(r"[0-9.]{1,64}")
_MOST: Final = 500
_PARAMETERS: Final = frozenset(("study", "all", "limit"))
_SIDE_BY_SIDE: Final = "/viewer/viewer?StudyInstanceUIDs={current},{prior}&hangingProtocolId=pacs-compare"


def routes(archive: Archive) -> list[Route]:
    """The one resource."""

    async def listed(request: Request) -> JSONResponse:
        study, everything, limit = _asked(request)
        try:
            ranking = await run_in_threadpool(archive.priors, request.state.principal, study)
        except PacsError as error:
            raise HTTPException(error.http_status, error.detail) from error
        return JSONResponse(_answer(ranking, everything, limit), headers={"Cache-Control": "no-store"})

    return [Route("/api/priors", listed, methods=["GET"])]


def _asked(request: Request) -> tuple[str, bool, int]:
    """The study, whether all priors are wanted, and how many. What cannot be read is refused."""
    asked = request.query_params
    unknown = sorted(set(asked) - _PARAMETERS)
    if unknown:
        raise HTTPException(400, f"There is no parameter {unknown[0][:64]!r}; known are all, limit and study")
    if len(asked.multi_items()) > len(asked):
        raise HTTPException(400, "Each parameter is given once")
    study = asked.get("study", "")
    if not _UID.fullmatch(study):
        raise HTTPException(400, "study: a Study Instance UID is needed")
    everything = asked.get("all", "false")
    if everything not in ("true", "false"):
        raise HTTPException(400, "all: true or false")
    limit = asked.get("limit", str(_MOST))
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= _MOST:
        raise HTTPException(400, f"limit: a number from 1 to {_MOST}")
    return study, everything == "true", int(limit)


def _answer(ranking: Ranking, everything: bool, limit: int) -> Mapping[str, Any]:
    shown = [prior for prior in ranking.priors if everything or prior.score.total >= HIDDEN_BELOW]
    current = ranking.current
    return {
        **_study(current),
        "hidden": len(ranking.priors) - len(shown),
        "priors": [_prior(current.study_instance_uid, prior) for prior in shown[:limit]],
    }


def _prior(current: str, prior: Prior) -> dict[str, Any]:
    points = {name: round(value, 1) for name, value in prior.score._asdict().items()}
    link = _SIDE_BY_SIDE.format(current=current, prior=prior.study.study_instance_uid)
    return {**_study(prior.study), "days": prior.days, "score": prior.score.total, "points": points, "viewer": link}


def _study(study: Compared) -> dict[str, Any]:
    examination = study.examination
    return {
        "StudyInstanceUID": study.study_instance_uid,
        "StudyDate": examination.date,
        "StudyTime": examination.time,
        "StudyDescription": study.description,
        "ModalitiesInStudy": study.modalities,
        "NumberOfStudyRelatedSeries": study.series,
        "NumberOfStudyRelatedInstances": study.instances,
        "regions": study.regions,
        "laterality": examination.side,
        "has_report": examination.has_report,
    }
