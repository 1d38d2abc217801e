"""Compares, by value, Parquet files with what readers find in the tables that the files were added to.

    compare_files.py LIST.json

LIST.json holds one object per file: `file`, `metadata` (the table's metadata file) and `rows` (a
Parquet file with the rows that another reader found in the table, or null).

Printed is one JSON object: file -> {"direct", "duckdb", "pyiceberg", "rows"}. `direct` is the number of
rows that DuckDB reads from the file itself, or an error; the others are "equal", "different: …" or
"error: …". DuckDB compares bags of rows (EXCEPT ALL), for `rows` too; PyIceberg's table is compared with
the file as PyArrow reads it, where a NULL list or map counts as an empty one: PyIceberg 0.12 reads them
so in files without field ids.
"""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from read_table import canonical, open_duckdb


def main() -> None:
    with open(sys.argv[1]) as opened:
        entries = json.load(opened)
    connection = open_duckdb({})
    found = {}
    for entry in entries:
        file = entry["file"]
        direct = "direct"
        try:
            source = f"read_parquet({text(file)}, hive_partitioning = false)"
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {direct} AS SELECT * FROM {source}")
            count = rows_of(connection, direct)
        except Exception as error:
            count = short(error)
        verdicts = {"direct": count}
        table = f"iceberg_scan({text(entry['metadata'].removeprefix('file://'))})"
        if isinstance(count, int):
            verdicts["duckdb"] = guarded(lambda: compare_in_duckdb(connection, direct, table))
        if isinstance(count, int) and entry["rows"]:
            rows = f"read_parquet({text(entry['rows'])}, hive_partitioning = false)"
            verdicts["rows"] = guarded(lambda: compare_in_duckdb(connection, direct, rows))
        verdicts["pyiceberg"] = guarded(lambda: compare_in_pyarrow(file, entry["metadata"]))
        found[file] = verdicts
    print(json.dumps(found))


def guarded(compare) -> str:
    try:
        return compare()
    except Exception as error:
        return short(error)


def short(error: Exception) -> str:
    return "error: " + str(error).replace("\n", " ")[:300]


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows_of(connection, relation: str) -> int:
    return connection.execute(f"SELECT count(*) FROM {relation}").fetchone()[0]


def types_of(connection, relation: str) -> dict:
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {name: data_type for name, data_type, *_ in described}


def compare_in_duckdb(connection, direct: str, other: str) -> str:
    of_file, of_other = types_of(connection, direct), types_of(connection, other)
    if [name.lower() for name in of_file] != [name.lower() for name in of_other]:
        return f"different: columns {list(of_file)} and {list(of_other)}"
    counts = rows_of(connection, direct), rows_of(connection, other)
    if counts[0] != counts[1]:
        return f"different: {counts[0]} rows and {counts[1]}"
    pairs = zip(of_file.items(), of_other.items())
    left = ", ".join(as_type(name, data_type, wanted) for (name, data_type), (_, wanted) in pairs)
    right = ", ".join(quoted(name) for name in of_other)
    only = f"SELECT {left} FROM {direct} EXCEPT ALL SELECT {right} FROM {other}"
    row = connection.execute(f"SELECT * FROM ({only}) LIMIT 1").fetchone()
    return "equal" if row is None else f"different: only the file has {str(row)[:300]}"


def as_type(name: str, data_type: str, wanted: str) -> str:
    column = quoted(name)
    if data_type == wanted:
        return column
    if data_type == "UUID" and wanted == "BLOB":
        return f"unhex(replace({column}::VARCHAR, '-', ''))"
    return f"CAST({column} AS {wanted})"


def compare_in_pyarrow(file: str, metadata: str) -> str:
    from pyiceberg.table import StaticTable

    scanned = StaticTable.from_metadata(metadata).scan().to_arrow()
    with open(file, "rb") as opened:
        direct = pq.read_table(opened, coerce_int96_timestamp_unit="us")
    if direct.num_rows != scanned.num_rows:
        return f"different: {direct.num_rows} rows and {scanned.num_rows}"
    for name in scanned.column_names:
        other = plain(scanned.column(name))
        own = plain(direct.column(name))
        if own.type != other.type:
            own = own.cast(other.type)
        if own.equals(other):
            continue
        own, other = soft_values(own), soft_values(other)
        for index, (left, right) in enumerate(zip(own, other)):
            if left != right:
                return f"different: column {name}, row {index}: {str(left)[:150]} and {str(right)[:150]}"
    return "equal"


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without the name that an extension type (UUID, JSON) gives its values."""
    if isinstance(column.type, pa.BaseExtensionType):
        storage = column.type.storage_type
        return pa.chunked_array([chunk.storage for chunk in column.chunks], storage)
    return column


def soft_values(column: pa.ChunkedArray) -> list:
    values = column.cast(pa.int64()) if pa.types.is_temporal(column.type) and column.type.bit_width == 64 else column
    return [soft(value, values.type) for value in values.to_pylist()]


def soft(value, data_type: pa.DataType):
    """A comparable value in which NULL lists and maps are empty ones, and NaN is equal to itself."""
    if pa.types.is_map(data_type):
        pairs = [[soft(k, data_type.key_type), soft(v, data_type.item_type)] for k, v in value or []]
        return sorted(pairs, key=json.dumps)
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        return [soft(item, data_type.value_type) for item in value or []]
    if pa.types.is_struct(data_type) and value is not None:
        return [soft(value[field.name], field.type) for field in data_type]
    return canonical(value, data_type)


if __name__ == "__main__":
    main()
