"""The error tree. Each class carries its answer in both protocols; the edges only translate."""

from typing import ClassVar

from index.reasons import Code, Reason


class PacsError(Exception):
    """The request failed."""

    http_status: ClassVar[int] = 500
    dimse_status: ClassVar[int] = 0xC000
    code: ClassVar[Code] = Code.PROCESSING_FAILURE

    def __init__(self, detail: str = "", *, code: Code | None = None, attributes: tuple[str, ...] = ()) -> None:
        """`detail` is shown to the peer: it must not hold patient data. Default: the class's docstring.

        `attributes` are those at fault, as in `Reason`.
        """
        super().__init__(detail or (type(self).__doc__ or "").splitlines()[0])
        self.reason_code = code or self.code
        self.attributes = attributes

    @property
    def detail(self) -> str:
        """The message."""
        return str(self)

    def reason(self) -> Reason:
        """This error as a failure reason of C-STORE or STOW-RS."""
        return Reason(self.reason_code, self.detail, self.attributes)


class NotFound(PacsError):
    """There is no such resource."""

    http_status = 404
    dimse_status = 0x0112


class NotPermitted(PacsError):
    """This is not permitted."""

    http_status = 403
    dimse_status = 0x0124
    code = Code.NOT_AUTHORISED


class InvalidQuery(PacsError):
    """The query cannot be understood."""

    http_status = 400
    dimse_status = 0xA900
    code = Code.DATA_SET_MISMATCH


class Conflict(PacsError):
    """The request conflicts with what is stored."""

    http_status = 409
    dimse_status = 0xC110
    code = Code.DUPLICATE_INSTANCE


class CannotUnderstand(PacsError):
    """The data cannot be understood."""

    http_status = 400
    dimse_status = 0xC000
    code = Code.CANNOT_UNDERSTAND


class DataSetMismatch(CannotUnderstand):
    """The data set contradicts the request that carries it."""

    dimse_status = 0xA900
    code = Code.DATA_SET_MISMATCH


class NotAcceptable(PacsError):
    """None of the wanted representations can be made."""

    http_status = 406
    dimse_status = 0x0122
    code = Code.TRANSFER_SYNTAX_NOT_SUPPORTED


class TooLarge(CannotUnderstand):
    """A limit was exceeded."""

    http_status = 413


class OutOfResources(PacsError):
    """There is no room left."""

    http_status = 507
    dimse_status = 0xA700
    code = Code.OUT_OF_RESOURCES


class Lost(PacsError):
    """The stored object is lost or damaged; the server's log says which."""


class TooLong(OutOfResources):
    """The query takes too long; narrow it, for instance by a date range."""


class TooBroad(OutOfResources):
    """The query is too broad (PS3.18 10.6.3.1)."""

    http_status = 413


class NoTables(OutOfResources):
    """The index has not been set up yet: `pacs db upgrade` does it."""


class Unreachable(OutOfResources):
    """A service that the archive needs does not answer; the same request may succeed later."""

    http_status = 503
