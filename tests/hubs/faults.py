"""What goes wrong between a hub and us, for `Server.inject`; each is a function that spoils an answer.

None of them knows a hub. Offsets are those of the file, whatever range of it was asked for.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from tests.hubs.serving import Fault, Request, Response, Server, Wire, without

ERROR_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def flip(at: int, bit: int = 0) -> Fault:
    """One bit of the byte at `at` is turned; negative counts from the file's end."""

    def fault(_: Request, response: Response) -> Response | None:
        total = len(response.body if response.whole is None else response.whole)
        index = (at % total if total else 0) - response.start
        if response.status not in (200, 206) or not 0 <= index < len(response.body):
            return None
        body = bytearray(response.body)
        body[index] ^= 1 << bit
        return replace(response, body=bytes(body))

    return fault


def shorten(by: int) -> Fault:
    """The file ends `by` bytes early (late, where negative), and the server says so honestly."""

    def fault(_: Request, response: Response) -> Response | None:
        whole = response.body if response.whole is None else response.whole
        end = response.start + len(response.body)
        if response.status not in (200, 206) or end < len(whole):
            return None
        body = response.body[:-by] if by > 0 else response.body + bytes(-by)
        headers = {**response.headers}
        headers.pop("content-length", None)
        if "content-range" in headers:
            last = response.start + len(body) - 1
            headers["content-range"] = f"bytes {response.start}-{last}/{len(whole) - by}"
        return replace(response, headers=headers, body=body)

    return fault


def truncate(at: int) -> Fault:
    """The connection is closed after `at` bytes of the body, though more were announced."""
    return _cut(Wire(at, "close"))


def reset(at: int) -> Fault:
    """The connection is reset after `at` bytes of the body."""
    return _cut(Wire(at, "reset"))


def stall(at: int) -> Fault:
    """After `at` bytes of the body nothing comes any more, and the connection stays."""
    return _cut(Wire(at, "stall"))


def slow(rate: int) -> Fault:
    """The body comes at `rate` bytes per second."""

    def fault(_: Request, response: Response) -> Response | None:
        return replace(response, wire=replace(response.wire, rate=rate)) if response.body else None

    return fault


@contextmanager
def held(server: Server) -> Generator[None]:
    """No body leaves the server before this is over: what others do meanwhile, they do in the middle of a download."""
    gate = threading.Event()

    def fault(_: Request, response: Response) -> Response | None:
        return replace(response, wire=replace(response.wire, gate=gate)) if response.body else None

    server.inject(fault)
    try:
        yield
    finally:
        gate.set()


def wrong_etag(etag: str = '"0000000000000000000000000000000000000000"') -> Fault:
    """Every etag in the headers is another one."""

    def fault(_: Request, response: Response) -> Response | None:
        names = {"etag", "x-linked-etag"} & set(response.headers)
        return (
            replace(response, headers={**response.headers, **dict.fromkeys(names, etag)}) if names else None
        )

    return fault


def gzipped() -> Fault:
    """The body comes compressed, whatever was accepted."""

    def fault(_: Request, response: Response) -> Response | None:
        if not response.body:
            return None
        spoiled = without(response, "content-length")
        headers = {**spoiled.headers, "content-encoding": "gzip"}
        return replace(spoiled, headers=headers, body=gzip.compress(response.body, 1))

    return fault


def error_page(status: int = 200) -> Fault:
    """A page for people comes instead, as from a captive portal or a proxy."""
    return lambda _, __: Response(status, {"content-type": "text/html"}, ERROR_PAGE)


def refuse(status: int, **headers: str) -> Fault:
    """Another status without a body; underscores in names of headers become hyphens."""
    return lambda _, __: Response(status, {k.replace("_", "-"): v for k, v in headers.items()})


def redirect(url: str, status: int = 302) -> Fault:
    """The client is sent to the same target at another origin (`http://host:port`)."""
    return lambda request, _: Response(status, {"location": url + request.target})


def no_ranges() -> Fault:
    """Range is ignored: the whole file comes, with status 200."""

    def fault(_: Request, response: Response) -> Response | None:
        if response.whole is None or response.status not in (206, 416):
            return None
        spoiled = without(response, "content-range", "accept-ranges")
        return replace(spoiled, status=200, body=response.whole, start=0)

    return fault


def wrong_range(by: int = 1) -> Fault:
    """Another range than the one asked for comes, `by` bytes later, and the headers say so."""

    def fault(_: Request, response: Response) -> Response | None:
        if response.whole is None or response.status != 206:
            return None
        start = response.start + by
        body = response.whole[start : start + len(response.body)]
        told = f"bytes {start}-{start + len(body) - 1}/{len(response.whole)}"
        return replace(response, headers={**response.headers, "content-range": told}, body=body, start=start)

    return fault


def _cut(wire: Wire) -> Fault:
    def fault(_: Request, response: Response) -> Response | None:
        return replace(response, wire=wire) if len(response.body) > (wire.upto or 0) else None

    return fault
