"""The resources of the service and what answers them; mounted under `/dicomweb`.

The order is that of frequency, because routes are tried one after the other.
"""

from typing import Final

from starlette.routing import BaseRoute, Route

from config.settings import Settings
from dicomweb import bulkdata, delete, frames, metadata, qido, rendered, stow, thumbnails, wado, wado_uri
from dicomweb.capabilities import described
from dicomweb.edge import Call, Endpoint, Handler, Web
from dicomweb.packed_replies import PackedReplies
from dicomweb.replies import Reply
from dicomweb.threads import Threads
from index.errors import NotFound
from storage.archive import Archive

_STUDY: Final = "/studies/{study}"
_SERIES: Final = _STUDY + "/series/{series}"
_INSTANCE: Final = _SERIES + "/instances/{instance}"

RESOURCES: Final[tuple[tuple[str, dict[str, Handler]], ...]] = (
    (_INSTANCE + "/frames/{frames}", {"GET": frames.retrieve_frames}),
    (_SERIES + "/metadata", {"GET": metadata.retrieve_series_metadata}),
    ("/studies", {"GET": qido.search_studies, "POST": stow.store}),
    (_INSTANCE + "/metadata", {"GET": metadata.retrieve_instance_metadata}),
    (_INSTANCE, {"GET": wado.retrieve_instance, "DELETE": delete.delete}),
    (_STUDY + "/series", {"GET": qido.search_series_of_study}),
    (_SERIES + "/instances", {"GET": qido.search_instances_of_series}),
    (_SERIES + "/thumbnail", {"GET": thumbnails.series_thumbnail}),
    (_INSTANCE + "/thumbnail", {"GET": thumbnails.instance_thumbnail}),
    (_INSTANCE + "/frames/{frames}/thumbnail", {"GET": thumbnails.frame_thumbnail}),
    (_INSTANCE + "/rendered", {"GET": rendered.render_instance}),
    (_INSTANCE + "/frames/{frames}/rendered", {"GET": rendered.render_frames}),
    (_INSTANCE + "/bulkdata/{path:path}", {"GET": bulkdata.retrieve_bulkdata}),
    (_SERIES, {"GET": wado.retrieve_series, "DELETE": delete.delete}),
    (_STUDY, {"GET": wado.retrieve_study, "POST": stow.store, "DELETE": delete.delete}),
    (_STUDY + "/metadata", {"GET": metadata.retrieve_study_metadata}),
    (_STUDY + "/instances", {"GET": qido.search_instances_of_study}),
    (_INSTANCE + "/bulkdata", {"GET": bulkdata.retrieve_instance_bulkdata}),
    (_SERIES + "/bulkdata", {"GET": bulkdata.retrieve_series_bulkdata}),
    (_STUDY + "/bulkdata", {"GET": bulkdata.retrieve_study_bulkdata}),
    (_INSTANCE + "/pixeldata", {"GET": bulkdata.retrieve_instance_pixel_data}),
    (_SERIES + "/pixeldata", {"GET": bulkdata.retrieve_series_pixel_data}),
    (_STUDY + "/pixeldata", {"GET": bulkdata.retrieve_study_pixel_data}),
    (_STUDY + "/thumbnail", {"GET": thumbnails.study_thumbnail}),
    (_SERIES + "/rendered", {"GET": rendered.render_series}),
    (_STUDY + "/rendered", {"GET": rendered.render_study}),
    ("/series", {"GET": qido.search_series}),
    ("/instances", {"GET": qido.search_instances}),
    ("/series/{series}/instances", {"GET": qido.search_instances_of_any_series}),
    ("/wado", {"GET": wado_uri.retrieve}),
    (_STUDY + "/reject/{code}", {"POST": delete.reject}),
    (_SERIES + "/reject/{code}", {"POST": delete.reject}),
    (_INSTANCE + "/reject/{code}", {"POST": delete.reject}),
    ("/reject", {"GET": delete.rejection_codes}),
)


async def _nothing(_call: Call) -> Reply:
    raise NotFound


def routes(archive: Archive, settings: Settings) -> list[BaseRoute]:
    """All routes of the service. `request.state.principal` is the caller's Principal, set by a middleware."""
    web = Web(
        archive,
        settings,
        readers=Threads(settings.web.threads, "web-read"),
        writers=Threads(settings.web.threads, "web-store"),
        packed_replies=PackedReplies(),
    )
    resources = (*RESOURCES, *described(RESOURCES))
    found: list[BaseRoute] = [Route(path, Endpoint(web, handlers)) for path, handlers in resources]
    # Methods are refused by the endpoints and what is left by this one, so that every error has the same shape.
    rest = Endpoint(web, dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), _nothing))
    return [*found, Route("/{rest:path}", rest, include_in_schema=False)]
