"""`app-config.js` of OHIF 3.13: everything on our own origin, as much done by the server as there can be."""

from importlib.resources import files
from typing import Any, Final

import orjson

from config.settings import Settings
from pacs.auth import guard

EXTENSIONS: Final = {f"/viewer-{name}": name for name in ("safeguards.js", "images.js", "priors.js")}
"""Extensions of OHIF that it loads from us when it starts: address -> file beside this module."""

_LOOPS: Final = ("US", "IVUS", "XA", "RF", "ES", "OT")
"""Modalities whose images with a frame time are loops: they play when they are opened."""

_DICOMWEB: Final = "/dicomweb"
_DATA_SOURCE: Final = "@ohif/extension-default.dataSourcesModule.dicomweb"


def script(settings: Settings) -> bytes:
    """The whole file. OHIF loads it before all else, so it also brings what waits for a new sign-in."""
    template = files(__package__).joinpath("app-config.js").read_bytes()
    values = orjson.dumps(configuration(settings), option=orjson.OPT_INDENT_2)
    return template.replace(b"$CONFIG", values, 1) + guard.script(settings)


def configuration(settings: Settings) -> dict[str, Any]:
    """The value of `window.config`."""
    return {
        "routerBasename": "/viewer/",
        "showStudyList": True,
        "modes": [],
        "extensions": list(EXTENSIONS),
        "customizationService": {
            "global": {
                # No tour over the first picture.
                "ohif.tours": {"$set": []},
                "autoCineModalities": {"$set": list(_LOOPS)},
            }
        },
        "autoPlayCine": True,
        "investigationalUseDialog": {"option": "never"},
        "maxNumberOfWebWorkers": 3,
        "strictZSpacingForVolumeViewport": True,
        "showErrorDetails": "production",
        "defaultDataSourceName": "pacs",
        "dataSources": [{"namespace": _DATA_SOURCE, "sourceName": "pacs", "configuration": _source(settings)}],
    }


def _source(settings: Settings) -> dict[str, Any]:
    return {
        "friendlyName": "PACS",
        "name": "pacs",
        # Relative: it works behind any host name, and cookies go with every request.
        "qidoRoot": _DICOMWEB,
        "wadoRoot": _DICOMWEB,
        "wadoUriRoot": f"{_DICOMWEB}/wado",
        "qidoSupportsIncludeField": True,
        "supportsReject": False,
        "supportsFuzzyMatching": True,
        "supportsWildcard": True,
        "imageRendering": "wadors",
        # JPEGs made here; otherwise the viewer fetches a whole frame of every series.
        "thumbnailRendering": "thumbnail",
        "thumbnailRequestStrategy": "fetch",
        "enableStudyLazyLoad": True,
        "singlepart": "bulkdata,video,pdf",
        "bulkDataURI": {"enabled": True},
        "omitQuotationForMultipartRequest": True,
        "dicomUploadEnabled": False,
        "queryLimit": min(501, settings.web.query_maximum_limit),
    }
