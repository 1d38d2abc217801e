"""Runs queries in DuckDB and scans in PyIceberg, and prints all rows as `calve sql` prints them.

    peer_queries.py QUERIES

QUERIES is a JSON list: `{"reader": "duckdb", "sql": "SELECT …"}` (tables are `iceberg_scan('…')`), or
`{"reader": "pyiceberg", "metadata": "…", "select": […], "filter": "…", "snapshot": 1}`. Printed is a
list, for each query, of its rows as lists of values, in no certain order. An error is a text instead.

The values are as in `calve sql --output-format json`: decimals and numbers that JSON lacks are
texts, bytes are hexadecimal, a map is an object, times are ISO.
"""

import datetime
import decimal
import json
import math
import sys
import uuid

import pyarrow as pa
from numbers_as_text import shortest, timespec
from read_table import EPOCH, UNITS_PER_SECOND, open_duckdb


def main() -> None:
    queries = json.loads(sys.argv[1])
    connection = None
    answers = []
    for query in queries:
        try:
            if query["reader"] == "duckdb":
                connection = connection or open_duckdb({})
                rows = connection.execute(query["sql"]).to_arrow_table()
            else:
                rows = scan(query)
            answers.append(rows_as_lists(rows))
        except Exception as error:  # whatever a reader fails with is its answer
            answers.append(f"{type(error).__name__}: {error}")
    print(json.dumps(answers))


def scan(query: dict) -> pa.Table:
    from pyiceberg.table import StaticTable

    options = {"snapshot_id": query.get("snapshot")}
    if query.get("filter"):
        options["row_filter"] = query["filter"]
    if query.get("select"):
        options["selected_fields"] = tuple(query["select"])
    rows = StaticTable.from_metadata(query["metadata"]).scan(**options).to_arrow()
    # A scan keeps the table's order of columns.
    return rows.select(query["select"]) if query.get("select") else rows


def rows_as_lists(table: pa.Table) -> list[list]:
    columns = [[value_of(value, column.type) for value in plain(column)] for column in table.columns]
    return [list(row) for row in zip(*columns)]


def plain(column: pa.ChunkedArray) -> list:
    """Python's values, but numbers for timestamps, since Python's own end with the year 9999."""
    return pa.chunked_array([counted(chunk) for chunk in column.chunks], counted_type(column.type)).to_pylist()


def counted_type(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def counted(chunk: pa.Array) -> pa.Array:
    return chunk.cast(pa.int64()) if pa.types.is_timestamp(chunk.type) else chunk


def value_of(value, kind: pa.DataType):
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        if isinstance(value, datetime.datetime):
            naive = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
            value = (naive - EPOCH) // datetime.timedelta(microseconds=1) * UNITS_PER_SECOND[kind.unit] // 10**6
        return timestamp(value, kind)
    if pa.types.is_map(kind):
        return {str(key): value_of(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        return {field.name: value_of(value[field.name], field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [value_of(item, kind.value_type) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return shortest(value) if pa.types.is_float32(kind) else value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.time):
        return value.isoformat(timespec=timespec(value.microsecond))
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def timestamp(value: int, kind: pa.TimestampType) -> str:
    units = UNITS_PER_SECOND[kind.unit]
    whole = EPOCH + datetime.timedelta(seconds=value // units)
    nanoseconds = (value % units) * (10**9 // units)
    digits = f"{nanoseconds:09d}"
    while digits.endswith("000") and digits:
        digits = digits[:-3]
    return whole.isoformat() + (f".{digits}" if digits else "") + ("Z" if kind.tz else "")


if __name__ == "__main__":
    main()
