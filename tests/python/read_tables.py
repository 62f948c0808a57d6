"""Reads every table with three independent readers: deltalake, polars, and DuckDB over Arrow. Prints JSON.

usage: read_tables.py TENANT_DIR
    -> {"table": {"version": n, "columns": [..], "deltalake": rows, "polars": rows, "duckdb": rows, "duckdb_null_offsets": 0}}

DuckDB reads the files that deltalake names, as an Arrow dataset: its own delta extension is a download at run time.
"""

import pathlib
import sys

import duckdb
import polars
from deltalake import DeltaTable, QueryBuilder

from answer import answer

# What three engines are asked about columns of attributes, with filters that they prune files by.
ATTRIBUTES = {
    "spans": ("attr_string:http.route", "/pay"),
    "logs": ("attr_int:order.items", 2),
}


def with_attribute(name, table, frame, duck):
    """Rows with an attribute, by its column and a filter on it: {column: [deltalake, polars, duckdb]}."""
    column, value = ATTRIBUTES.get(name, (None, None))
    if column not in frame.columns:
        return {}
    sql = f"select count(*) as n from t where \"{column}\" = " + (f"'{value}'" if isinstance(value, str) else str(value))
    told = QueryBuilder().register("t", table).execute(sql).read_all()
    found = [told.column("n").to_pylist()[0], frame.filter(polars.col(column) == value).height]
    found.append(duck.execute(sql).fetchone()[0])
    for other in ["attr_bool:order.paid", "attr_double:order.total"] if name == "logs" else []:
        assert frame[other].null_count() == frame[column].null_count(), other
    return {column: found}


counts = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if not (path / "_delta_log").is_dir():
        continue
    table = DeltaTable(str(path))
    # The same version for all, because the tables grow while they are read.
    version = table.version()
    # Counting a column reads it; count(*) alone would trust the log's statistics.
    column = {"traces": "trace_id", "edges": "caller"}.get(path.name, "service_name")
    column = "metric" if path.name.startswith("metrics") else column
    told = QueryBuilder().register("t", table).execute(f"select count({column}) as n from t").read_all()
    rows = told.column("n").to_pylist()[0]
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
        "attributes": with_attribute(path.name, table, frame, duck),
    }
answer(counts)
