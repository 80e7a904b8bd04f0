"""A body that arrives. Data flow: chunks > file, as they come; too many or too slow end it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path


class TooLarge(Exception):
    """More bytes than are allowed."""


class TooSlow(Exception):
    """A client that sends nothing, or takes too long."""


async def receive(
    chunks: AsyncIterator[bytes], path: Path, *, limit: int, idle: float, whole: float
) -> int:
    """Writes a body to a new file, on the disk when this returns.

    Args:
        chunks: The body.
        path: The file.
        limit: Bytes, at most.
        idle: Seconds to the next chunk, at most.
        whole: Seconds in all, at most.

    Returns:
        Number of bytes.

    Raises:
        TooLarge: As soon as there are more bytes.
        TooSlow: As soon as either time is over.
    """
    size = 0
    try:
        with path.open("xb") as file:
            async with asyncio.timeout(whole):
                while (chunk := await asyncio.wait_for(anext(chunks, None), idle)) is not None:
                    size += len(chunk)
                    if size > limit:
                        raise TooLarge
                    file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
    except TimeoutError as error:
        raise TooSlow from error
    return size
