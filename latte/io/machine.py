"""Readable errors for faults of the machine, such as a full disk; not for bugs."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latte.interfaces import LatteError

_SPACE = "free some space and start again: finished work is kept"
_RIGHTS = (
    "give this user read and write permission there, or choose another place: `output`, LATTE_CACHE"
)
_MEMORY = (
    "stop other programs that use memory, or lower `evaluate.batch_size` and "
    "`train.micro_batch_size`"
)
_HINTS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "allow larger files (ulimit -f), and start again",
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: "check the disk or the network file system, then start again",
    errno.EMFILE: "allow more open files (ulimit -n), and start again",
    errno.ENFILE: "stop other programs that have files open, and start again",
    errno.ENOMEM: _MEMORY,
}
_GPU_LACKS_MEMORY = "OutOfMemoryError"
"""Name of torch's class of errors; torch is not imported here."""
_RUST_ERROR_NUMBER = re.compile(r"\(os error (\d+)\)")


@contextmanager
def machine_errors() -> Iterator[None]:
    """Raise `LatteError` for an error that the machine caused; bugs stay as they are."""
    try:
        yield
    except LatteError:
        raise
    except Exception as error:
        if readable_error := machine_error(error):
            raise readable_error from error
        raise


def machine_error(error: BaseException) -> LatteError | None:
    """Return a readable error if the machine caused `error`, and None for a bug.

    Examples are a full disk, missing permission, too little memory, and missing torch.
    """
    seen_ids: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen_ids:
        seen_ids.add(id(cause))
        if readable_error := _explained(cause):
            return readable_error
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if this machine or its GPU has too little memory."""
    is_refused_allocation = isinstance(error, RuntimeError) and "can't allocate memory" in str(
        error
    )
    return (
        isinstance(error, MemoryError)
        or is_refused_allocation
        or type(error).__name__ == _GPU_LACKS_MEMORY
    )


def _explained(error: BaseException) -> LatteError | None:
    # Errors of torch and safetensors are recognised by name: this module imports neither.
    name, text = type(error).__name__, str(error)
    if is_out_of_memory(error):
        owner = "the GPU has" if name == _GPU_LACKS_MEMORY else "there is"
        return LatteError(f"{owner} not enough memory", hint=_MEMORY)
    if isinstance(error, ModuleNotFoundError) and error.name in ("torch", "torchvision"):
        hint = "pip install torch torchvision, in the build for your GPU"
        return LatteError(f"{error.name} is not installed in this environment", hint=hint)
    number = error.errno if isinstance(error, OSError) else None
    if name == "SafetensorError" and (match := _RUST_ERROR_NUMBER.search(text)):
        number = int(match.group(1))
    if number is None or number not in _HINTS:
        return None
    what, where, file = os.strerror(number), None, getattr(error, "filename", None)
    if isinstance(file, str | bytes):
        path = Path(os.fsdecode(file))
        where = str(path.parent if path.suffix == ".tmp" else path)
    return LatteError(what[0].lower() + what[1:], where=where, hint=_HINTS[number])
