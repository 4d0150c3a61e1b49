"""A small server with every virtue and vice a download can meet."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from doorkeeper import Doorkeeper
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

DATA = bytes(range(256)) * 4096  # 1 MiB
events: list[str] = []  # what the app itself noticed; emptied by each test that looks
KEEPERS = {"basic": Doorkeeper("Basic"), "digest": Doorkeeper(algorithm="SHA-256", opaque="o")}


@asynccontextmanager
async def lifespan(_app: FastAPI):
    events.append("up")
    yield
    events.append("down")


app = FastAPI(lifespan=lifespan)


@app.get("/data")
@app.head("/data")
async def data(request: Request) -> Response:
    wanted = request.headers.get("range")
    if not wanted:
        return Response(DATA, media_type="application/octet-stream")
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    headers = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
    return Response(DATA[start:], status_code=206, headers=headers)


@app.get("/known/{kind}")
@app.head("/known/{kind}")
async def known(kind: str, request: Request) -> Response:
    keeper = KEEPERS[kind]
    if keeper.lets_in(request.method, str(request.url), request.headers.get("authorization", "")):
        return Response(DATA[:1000])
    return Response(b"who are you?", status_code=401, headers={"WWW-Authenticate": keeper.challenge()})


@app.get("/echo/{rest:path}")
async def echo(rest: str, request: Request) -> JSONResponse:
    raw = {"rest": rest, "path": request.scope["raw_path"].decode(), "query": request.scope["query_string"].decode()}
    headers = [[name.decode(), value.decode()] for name, value in request.scope["headers"]]
    return JSONResponse({"headers": headers, "decoded": request.scope["path"], **raw})


@app.get("/chunked")
async def chunked() -> StreamingResponse:
    async def body():
        for size in (1, 1023, 1, 3000, 70_000, 5):
            yield bytes([size % 251]) * size

    return StreamingResponse(body())


@app.get("/short")
async def short() -> StreamingResponse:
    async def body():
        yield b"x" * 600

    return StreamingResponse(body(), headers={"Content-Length": "1000"})


@app.get("/broken")
async def broken() -> StreamingResponse:
    async def body():
        yield b"x" * 600
        raise OSError("the disk is gone")

    return StreamingResponse(body())


@app.get("/stall")
async def stall() -> StreamingResponse:
    async def body():
        yield b"x" * 600
        await asyncio.sleep(0.75)
        yield b"y" * 600

    return StreamingResponse(body())


@app.get("/late")
async def late() -> Response:
    await asyncio.sleep(0.75)
    return Response(b"late")


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def body():
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0.001)
        finally:
            events.append("left")

    return StreamingResponse(body())


@app.get("/moved")
async def moved() -> RedirectResponse:
    return RedirectResponse("https://elsewhere.example/data", status_code=302)


@app.get("/zipped")
async def zipped() -> Response:
    return Response(b"not really gzip", headers={"Content-Encoding": "gzip", "X-Twice": "a"})


@app.get("/nothing")
async def nothing() -> Response:
    return Response(status_code=204)


@app.get("/bug")
async def bug() -> Response:
    raise KeyError("a mistake in the app")
