"""Reads an Iceberg table with PyIceberg or DuckDB and prints what it found as canonical JSON.

    read_table.py --metadata LOCATION                                    a metadata file
    read_table.py --catalog NAME --property k=v ... --table db.t         a catalog, by PyIceberg

`--reader duckdb` reads with DuckDB (a catalog is then only asked for the metadata file). Both
readers' answers go through Arrow and the same conversion, so that equal tables print equal JSON:
rows are sorted, decimals and NaN are strings, binary is hex, times are ISO, a map is a sorted list
of pairs.

Printed: `metadata_location`, `columns` (name -> Arrow type), `count`, `aggregates` (column -> nulls,
min, max) and, with `--rows`, `rows` as lists of values in the order of the columns.
"""

import argparse
import datetime
import decimal
import json
import math
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

EPOCH = datetime.datetime(1970, 1, 1)
UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def main() -> None:
    arguments = parse_arguments()
    properties = dict(pair.split("=", 1) for pair in arguments.property)
    metadata = arguments.metadata
    table = None
    if metadata is None:
        from pyiceberg.catalog import load_catalog

        table = load_catalog(arguments.catalog, **properties).load_table(arguments.table)
        metadata = table.metadata_location
    columns = arguments.select.split(",") if arguments.select else None
    if arguments.reader == "duckdb":
        rows = read_with_duckdb(metadata, properties, columns, arguments.filter, arguments.snapshot)
    else:
        rows = read_with_pyiceberg(table, metadata, properties, columns, arguments.filter, arguments.snapshot)
    print(json.dumps(describe(rows, metadata, arguments.rows)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reader", choices=["pyiceberg", "duckdb"], default="pyiceberg")
    parser.add_argument("--metadata")
    parser.add_argument("--catalog", default="default")
    parser.add_argument("--property", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--table")
    parser.add_argument("--select", help="comma-separated columns")
    parser.add_argument("--filter", help="a condition in the reader's own syntax")
    parser.add_argument("--snapshot", type=int)
    parser.add_argument("--rows", action="store_true", help="print the rows too")
    return parser.parse_args()


def read_with_pyiceberg(table, metadata, properties, columns, condition, snapshot) -> pa.Table:
    if table is None:
        from pyiceberg.table import StaticTable

        table = StaticTable.from_metadata(metadata, properties)
    options = {"snapshot_id": snapshot}
    if condition:
        options["row_filter"] = condition
    if columns:
        options["selected_fields"] = tuple(columns)
    return table.scan(**options).to_arrow()


def read_with_duckdb(metadata, properties, columns, condition, snapshot) -> pa.Table:
    connection = open_duckdb(properties)
    wanted = ", ".join(f'"{name}"' for name in columns) if columns else "*"
    version = f", snapshot_from_id={snapshot}" if snapshot is not None else ""
    where = f" WHERE {condition}" if condition else ""
    path = metadata.removeprefix("file://").replace("'", "''")
    return connection.execute(f"SELECT {wanted} FROM iceberg_scan('{path}'{version}){where}").to_arrow_table()


def open_duckdb(properties):
    """A DuckDB connection with its Iceberg extension, which can read what the `s3.*` properties open."""
    import duckdb
    import duckdb_extension_iceberg

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    site_packages = Path(duckdb_extension_iceberg.__file__).parent.parent
    for name in ["avro", "httpfs", "iceberg"]:
        folder = site_packages / f"duckdb_extension_{name}" / "extensions" / f"v{duckdb.__version__}"
        connection.execute(f"LOAD '{folder / name}.duckdb_extension'")
    connection.execute("SET TimeZone = 'UTC'")
    # A long query would draw its bar on stdout, between us and our reader.
    connection.execute("SET enable_progress_bar = false")
    endpoint = properties.get("s3.endpoint")
    if endpoint:
        scheme, host = endpoint.split("://", 1)
        connection.execute(
            "CREATE SECRET (TYPE s3, KEY_ID '{}', SECRET '{}', REGION '{}', ENDPOINT '{}', URL_STYLE 'path', USE_SSL {})".format(
                properties.get("s3.access-key-id", ""),
                properties.get("s3.secret-access-key", ""),
                properties.get("s3.region", properties.get("client.region", "us-east-1")),
                host.rstrip("/"),
                "true" if scheme == "https" else "false",
            )
        )
    return connection


def describe(rows: pa.Table, metadata: str, with_rows: bool) -> dict:
    description = {
        "metadata_location": metadata,
        "columns": {field.name: str(field.type) for field in rows.schema},
        "count": rows.num_rows,
        "aggregates": {field.name: aggregate(rows.column(index)) for index, field in enumerate(rows.schema)},
    }
    if with_rows:
        columns = [canonical_column(column) for column in rows.columns]
        description["rows"] = sorted((list(row) for row in zip(*columns)), key=lambda row: json.dumps(row))
    return description


def aggregate(column: pa.ChunkedArray) -> dict:
    found = {"nulls": column.null_count}
    if not pa.types.is_nested(column.type):
        ordered = column.cast(pa.binary()) if pa.types.is_fixed_size_binary(column.type) else column
        if ordered.type != pa.null() and not isinstance(ordered.type, pa.BaseExtensionType):
            bounds = pc.min_max(ordered)
            found["min"] = canonical_column(pa.chunked_array([pa.array([bounds["min"].as_py()], ordered.type)]))[0]
            found["max"] = canonical_column(pa.chunked_array([pa.array([bounds["max"].as_py()], ordered.type)]))[0]
    return found


def canonical_column(column: pa.ChunkedArray) -> list:
    """The values for JSON. Timestamps go by their number, since Python's own end with the year 9999."""
    data_type = column.type
    if pa.types.is_timestamp(data_type):
        return [canonical_timestamp(value, data_type) for value in column.cast(pa.int64()).to_pylist()]
    return [canonical(value, data_type) for value in column.to_pylist()]


def canonical(value, data_type: pa.DataType):
    if value is None:
        return None
    if pa.types.is_map(data_type):
        pairs = [[canonical(k, data_type.key_type), canonical(v, data_type.item_type)] for k, v in value]
        return sorted(pairs, key=json.dumps)
    if pa.types.is_struct(data_type):
        return {field.name: canonical(value[field.name], field.type) for field in data_type}
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type) or pa.types.is_fixed_size_list(data_type):
        return [canonical(item, data_type.value_type) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            return value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat() + "Z"
        return value.isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


def canonical_timestamp(value: int | None, data_type: pa.TimestampType) -> str | None:
    if value is None:
        return None
    units = UNITS_PER_SECOND[data_type.unit]
    zone = "Z" if data_type.tz else ""
    try:
        whole = EPOCH + datetime.timedelta(seconds=value // units)
    except OverflowError:
        return f"{value}{data_type.unit}{zone}"
    fraction = (value % units) * (10**9 // units)
    digits = f"{fraction:09d}".removesuffix("000") if fraction else ""
    return whole.isoformat() + (f".{digits}" if digits else "") + zone


if __name__ == "__main__":
    main()
