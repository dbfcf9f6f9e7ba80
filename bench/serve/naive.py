"""The server one writes in an afternoon: a web framework, torch, a function per request. What the service is compared with.

    python -m bench.serve.naive ARTIFACT [--threads N]

The same weights over the same items: the request brings the history, the transformer runs for it alone, scores of all items are sorted out
by an exact top-10 without the history. No store, no filter, no properties, no batching, no record of what was shown: it does less than
the service does, which favours it. Handlers are plain functions in the framework's thread pool, as FastAPI runs them; Starlette alone
spares it FastAPI's own cost.
"""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.models.base import Query
from tastemaker.recommend import artifact


def app(folder: Path) -> Starlette:
    recommender = artifact.load(folder)
    model, ids = recommender.model, recommender.items.ids.to_pylist()
    codes = {item: code for code, item in enumerate(ids, start=2)}

    def best(history: list[str], limit: int) -> list[dict[str, object]]:
        items = torch.tensor([codes[item] for item in history if item in codes], dtype=torch.int64)
        query = Query(
            torch.tensor([UNKNOWN]), items, torch.zeros_like(items), torch.ones(len(items)), torch.tensor([0, len(items)])
        )
        with torch.no_grad():
            scores = (model.encode_user(query) @ model.encode_item().T)[0]
            scores[:2] = scores[items] = -torch.inf
            found = scores.topk(limit)
        return [
            {"item_id": ids[code - 2], "rank": rank, "score": score}
            for rank, (code, score) in enumerate(zip(found.indices.tolist(), found.values.tolist(), strict=True), start=1)
        ]

    async def recommend(request: Request) -> JSONResponse:
        asked = await request.json()
        return JSONResponse({"items": await run_in_threadpool(best, asked["history"], asked.get("limit", 10))})

    async def ready(request: Request) -> JSONResponse:
        return JSONResponse({})

    return Starlette(routes=[Route("/recommend", recommend, methods=["POST"]), Route("/readyz", ready)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--threads", type=int, default=None, help="of torch; its own choice unless given")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    application = app(asked.artifact)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    uvicorn.Server(uvicorn.Config(application, log_level="error", access_log=False)).run(sockets=[listening])


if __name__ == "__main__":
    main()
