"""Reads every table with two independent readers, deltalake and polars, and prints row counts as JSON.

usage: read_tables.py TENANT_DIR    -> {"table": {"version": n, "deltalake": rows, "polars": rows}}
"""

import json
import pathlib
import sys

import polars
from deltalake import DeltaTable, QueryBuilder

counts = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if not (path / "_delta_log").is_dir():
        continue
    table = DeltaTable(str(path))
    # The same version for both, because the tables grow while they are read.
    version = table.version()
    # Counting a column reads it; count(*) alone would trust the log's statistics.
    column = "metric" if path.name.startswith("metrics") else "trace_id" if path.name == "traces" else "service_name"
    answer = QueryBuilder().register("t", table).execute(f"select count({column}) as n from t").read_all()
    rows = answer.column("n").to_pylist()[0]
    frame = polars.read_delta(str(path), version=version)
    counts[path.name] = {"version": version, "deltalake": rows, "polars": frame.height, "columns": frame.columns}
json.dump(counts, sys.stdout)
