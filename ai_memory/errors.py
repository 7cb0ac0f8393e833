"""The errors that a person or a client may see.

A subclass says what was wrong in its docstring or its message; `status` is what HTTP answers and
`exit_code` what the command line returns. One translator per door turns them into answers.

    AiMemoryError                     500  exit 1
    ├── BadRequestError               400  exit 2
    │   └── ScopeUnresolvedError
    ├── NotFoundError                 404  exit 1
    ├── ConflictError                 409  exit 1
    ├── TooLargeError                 413  exit 1
    ├── BusyError                     429  exit 1
    ├── ConfigError                   500  exit 2
    ├── DirectoryInUseError           503  exit 3
    ├── StorageError                  507  exit 3
    └── ServerUnreachableError        502  exit 4
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class AiMemoryError(Exception):
    """Something went wrong that the caller can understand and act on."""

    status = 500
    exit_code = 1
    #: More for a program that reads the answer, beside the sentence.
    details: Mapping[str, object] = MappingProxyType({})

    def __str__(self) -> str:
        """Give the message, or the class's own sentence when there is none."""
        return super().__str__() or (type(self).__doc__ or "").splitlines()[0]


class BadRequestError(AiMemoryError):
    """The request is not one that this server understands."""

    status = 400
    exit_code = 2


class NotFoundError(AiMemoryError):
    """There is no such thing here."""

    status = 404


class ConflictError(AiMemoryError):
    """Somebody else was faster, or the thing exists already."""

    status = 409


class TooLargeError(AiMemoryError):
    """The request is larger than the server takes."""

    status = 413


class BusyError(AiMemoryError):
    """Too much is in flight: come back later, nothing was taken."""

    status = 429


class ScopeUnresolvedError(BadRequestError):
    """No workspace and project could be told for sure, so nothing was written."""


class ConfigError(AiMemoryError):
    """The configuration holds a value that cannot be used."""

    exit_code = 2


class DirectoryInUseError(AiMemoryError):
    """Another server owns this data directory."""

    status = 503
    exit_code = 3


class StorageError(AiMemoryError):
    """The data directory could not be written; nothing was acknowledged."""

    status = 507
    exit_code = 3


class ServerUnreachableError(AiMemoryError):
    """No server answered."""

    status = 502
    exit_code = 4
