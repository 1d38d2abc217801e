"""Rewrites a lake into partitioned Parquet with DuckDB.

    peer_copy.py LAKE OUT ORDER MEMORY SPILL

ORDER is a list of columns, or empty. Prints the number of rows that were written.
"""

import sys

import duckdb


def main() -> None:
    lake, out, order, memory, spill = sys.argv[1:6]
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute(f"SET memory_limit = '{memory}'")
    connection.execute(f"SET temp_directory = '{spill}'")
    by = f"ORDER BY {order}" if order else ""
    copied = connection.execute(
        f"COPY (SELECT * FROM read_parquet('{lake}/**/*.parquet', hive_partitioning = true) {by}) "
        f"TO '{out}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (YEAR, ELEMENT))"
    ).fetchone()
    print(copied[0])


if __name__ == "__main__":
    main()
