"""Counts what is in the tables of a tenant in an S3 bucket, with the deltalake package.

usage: count_s3.py ENDPOINT S3_URL    -> {"spans": [rows, distinct], "logs": [rows, distinct], "traced": spans in traces}
"""

import sys

from deltalake import DeltaTable, QueryBuilder

from answer import answer

endpoint, base = sys.argv[1:]
options = {
    "AWS_ENDPOINT_URL": endpoint,
    "AWS_ALLOW_HTTP": "true",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "reader",
    "AWS_SECRET_ACCESS_KEY": "reader",
}


def ask(table, query):
    opened = DeltaTable(f"{base}/{table}", storage_options=options)
    told = QueryBuilder().register("t", opened).execute(query).read_all()
    return [column.to_pylist()[0] for column in told.columns]


newest = "select span_count, row_number() over (partition by trace_id order by version desc) as place from t"
answer(
    {
        "spans": ask("spans", "select count(*), count(distinct span_id) from t"),
        "logs": ask("logs", "select count(*), count(distinct body) from t"),
        "traced": ask("traces", f"select sum(span_count) from ({newest}) where place = 1")[0],
    }
)
