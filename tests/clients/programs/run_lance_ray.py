"""lance-ray writes and reads Lance datasets, adds columns and builds an index, each against what Lance itself says."""

import sys

import lance
import pyarrow as pa
import ray
from lance_ray import add_columns, create_scalar_index, read_lance, write_lance

ray.init(num_cpus=2)
place = f"{sys.argv[1]}/table.lance"
rows = [{"id": i, "name": f"n{i % 7}", "x": i / 2} for i in range(1000)]
write_lance(ray.data.from_items(rows, override_num_blocks=4), place, min_rows_per_file=100)
assert lance.dataset(place).to_table().sort_by("id").to_pylist() == rows

read = read_lance(place, columns=["id", "x"], filter="id >= 990")
assert sorted(row["id"] for row in read.take_all()) == list(range(990, 1000))
assert read.columns() == ["id", "x"]
assert read_lance(place).map_batches(lambda batch: {"twice": batch["id"] * 2}).sum("twice") == 999_000

more = ray.data.from_items([{"id": 1000, "name": "n", "x": 0.0}])
write_lance(more, place, mode="append")
assert lance.dataset(place).count_rows() == 1001


def squared(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([pa.array([x * x for x in batch["x"].to_pylist()])], ["squared"])


add_columns(place, transform=squared, read_columns=["x"])
table = lance.dataset(place).to_table(columns=["x", "squared"]).to_pylist()
assert len(table) == 1001 and all(row["squared"] == row["x"] ** 2 for row in table)

create_scalar_index(place, column="id", index_type="BTREE", num_workers=2)
found = lance.dataset(place)
assert {index["name"] for index in found.list_indices()} == {"id_idx"}
assert found.to_table(filter="id = 77", columns=["id"]).to_pylist() == [{"id": 77}]
print("ok")
