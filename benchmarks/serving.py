"""Images a second over HTTP: `vertebra serve` against the usual script, FastAPI around a network.

inline   the usual script's handler is `async def`: one image after the other
threads  it is `def`: FastAPI runs it in threads, one image in each

Both answer the same photo from the same number of clients, each of which sends its next request
when it has its answer, on the same machine. Each server is a process of its own; they work in turn
(A B A B ...), and a ratio is of one round. Weights are random. On a machine that does other work,
one thread for torch (OMP_NUM_THREADS=1) keeps its threads from waiting for each other.

    uv run python benchmarks/serving.py --model resnet18 --clients 1 8 32
    uv run python benchmarks/serving.py --model resnet18 --clients 8 --peer threads
"""

import argparse
import multiprocessing as mp
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from importlib.resources import files
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias

from records import note
from vertebra.bench.latency import Spread

Serve: TypeAlias = Callable[[Connection], None]
"""Is called in the process: tells its port, and answers there for ever."""

FORM = "multipart/form-data; boundary=cut"


class Found(NamedTuple):
    """What clients saw: answers a second of all together, and the median time to one."""

    rate: float
    latency_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--peer", choices=("inline", "threads"), default="inline")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of a round, for each")
    parser.add_argument("--batch-size", type=int, default=32, help="ours")
    parser.add_argument("--record", type=Path, help="append what is found to this file")
    given = parser.parse_args()
    sides: dict[str, Serve] = {
        "peer": partial(usual, given.model, in_threads=given.peer == "threads"),
        "ours": partial(ours, given.model, given.batch_size),
    }
    ports = {side: start(serve) for side, serve in sides.items()}
    for clients in given.clients:
        found = turns(ports, clients, rounds=given.rounds, seconds=given.seconds)
        pairs = zip(found["ours"], found["peer"], strict=True)
        ratio = Spread.of([our.rate / their.rate for our, their in pairs])
        told = "; ".join(f"{side} {said(each)}" for side, each in found.items())
        print(
            f"{given.model}, {clients} clients: {ratio.p50:.2f} times ({ratio.p25:.2f} to "
            f"{ratio.p75:.2f}); {told}",
            flush=True,
        )
        note(
            given.record,
            ratio,
            work=f"serving, {clients} clients",
            against=f"FastAPI around timm, {given.peer}",
            name=given.model,
            rounds=given.rounds,
        )


def said(found: list[Found]) -> str:
    rate, latency = (median(each) for each in zip(*found, strict=True))
    return f"{rate:.1f} images/s, {latency:.0f} ms to an answer"


def start(serve: Serve) -> int:
    """Returns the port of a server in a process of its own."""
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(there,), daemon=True).start()
    return here.recv()


def turns(
    ports: Mapping[str, int], clients: int, *, rounds: int, seconds: float
) -> dict[str, list[Found]]:
    """Returns what each side gave in each round, after one that does not count."""
    found: dict[str, list[Found]] = {side: [] for side in ports}
    for number in range(rounds + 1):
        for side, port in ports.items():
            given = load(port, clients, seconds if number else min(1, seconds))
            if number:
                found[side].append(given)
    return found


def load(port: int, clients: int, seconds: float) -> Found:
    """Returns what so many clients see in so much time."""
    photo = files("sklearn.datasets").joinpath("images/china.jpg").read_bytes()
    head = b'--cut\r\nContent-Disposition: form-data; name="image"; filename="china.jpg"\r\n\r\n'
    body = b"%s%s\r\n--cut--\r\n" % (head, photo)
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        took = pool.map(lambda _: client(port, body, began + seconds), range(clients))
        latencies = [each for one in took for each in one]
    return Found(len(latencies) / (time.perf_counter() - began), 1000 * median(latencies))


def client(port: int, body: bytes, end: float) -> list[float]:
    """Returns how long each answer took, of requests sent until `end`."""
    connection = HTTPConnection("127.0.0.1", port)
    took: list[float] = []
    while (began := time.perf_counter()) < end:
        connection.request("POST", "/predict", body, {"Content-Type": FORM})
        reply = connection.getresponse()
        told = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{reply.status}: {told[:200]!r}")
        took.append(time.perf_counter() - began)
    connection.close()
    return took


def ours(name: str, batch_size: int, pipe: Connection) -> None:
    import torch

    from vertebra.data.preprocess import Preprocess
    from vertebra.engine.execution import Execution
    from vertebra.export.desk import Desk
    from vertebra.export.limits import Limits
    from vertebra.export.listening import Port, Server
    from vertebra.export.serving import application
    from vertebra.models.shelf import find_spec
    from vertebra.recipes.deploy import Deployed
    from vertebra.recipes.serving import ServedRun
    from vertebra.recipes.shelf import load as load_recipe
    from vertebra.recipes.vary import vary
    from vertebra.tasks.classify import create_model

    execution, device = Execution(device="cpu"), torch.device("cpu")
    execution.settle(device)
    torch.manual_seed(0)
    deployed = Deployed(
        model=execution.place(create_model(name, num_classes=1000), device).eval(),
        classes=tuple(map(str, range(1000))),
        preprocess=Preprocess(),
        recipe=vary(load_recipe("baseline"), {"model": find_spec(name)}),
        execution=execution,
        device=device,
    )
    served = ServedRun(deployed, batch_size=batch_size)
    port = Port.take("127.0.0.1", 0)
    with Desk(served, Limits(batch_size=batch_size)) as desk:
        pipe.send(port.socket.getsockname()[1])
        Server(application(desk, page="", facts=served.facts()), port).answer()


def usual(name: str, pipe: Connection, *, in_threads: bool) -> None:
    import io

    import timm
    import torch
    import uvicorn
    from fastapi import FastAPI, UploadFile
    from PIL import Image
    from torchvision import transforms

    from vertebra.export.listening import Port

    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(*statistics),
        ]
    )

    def answer(content: bytes) -> list[dict[str, float]]:
        images = prepare(Image.open(io.BytesIO(content)).convert("RGB"))[None]
        with torch.inference_mode():
            best = model(images)[0].softmax(0).topk(5)
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [{str(place): share} for place, share in pairs]

    def later(image: UploadFile) -> list[dict[str, float]]:
        return answer(image.file.read())

    async def at_once(image: UploadFile) -> list[dict[str, float]]:
        return answer(await image.read())

    app = FastAPI()
    app.post("/predict")(later if in_threads else at_once)
    port = Port.take("127.0.0.1", 0).socket
    pipe.send(port.getsockname()[1])
    config = uvicorn.Config(app, log_level="error", access_log=False)
    uvicorn.Server(config).run([port])


if __name__ == "__main__":
    main()
