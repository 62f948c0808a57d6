"""Reads every table with three independent readers: deltalake, polars, and DuckDB over Arrow. Prints JSON.

usage: read_tables.py TENANT_DIR
    -> {"table": {"version": n, "columns": [..], "deltalake": rows, "polars": rows, "duckdb": rows, "duckdb_null_offsets": 0}}

DuckDB reads the files that deltalake names, as an Arrow dataset: its own delta extension is a download at run time.
"""

import json
import pathlib
import sys

import duckdb
import polars
from deltalake import DeltaTable, QueryBuilder

counts = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if not (path / "_delta_log").is_dir():
        continue
    table = DeltaTable(str(path))
    # The same version for all, because the tables grow while they are read.
    version = table.version()
    # Counting a column reads it; count(*) alone would trust the log's statistics.
    column = "metric" if path.name.startswith("metrics") else "trace_id" if path.name == "traces" else "service_name"
    answer = QueryBuilder().register("t", table).execute(f"select count({column}) as n from t").read_all()
    rows = answer.column("n").to_pylist()[0]
    frame = polars.read_delta(str(path), version=version)
    dataset = table.to_pyarrow_dataset()
    duck = duckdb.connect()
    duck.register("t", dataset)
    # A filter on a column that every row passes: pruning by statistics must leave out no file.
    seen, missing = duck.execute(
        f"select count({column}), count(*) filter (where log_offset is null) from t where log_offset >= 0"
    ).fetchone()
    counts[path.name] = {
        "version": version,
        "columns": frame.columns,
        "deltalake": rows,
        "polars": frame.height,
        "duckdb": seen,
        "duckdb_null_offsets": missing,
    }
json.dump(counts, sys.stdout)
