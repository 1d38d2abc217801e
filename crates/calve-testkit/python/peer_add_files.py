"""PyIceberg's `Table.add_files` over all Parquet files of a folder, as a speed peer.

    peer_add_files.py FOLDER WORK_FOLDER

PyIceberg does not read partition values from paths, so the table is not partitioned.
Prints the number of files added.
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.catalog import load_catalog


def main() -> None:
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    catalog = load_catalog(
        "peer", type="sql", uri=f"sqlite:///{work}/peer.db", warehouse=f"file://{work}/warehouse"
    )
    files = sorted(str(path) for path in folder.rglob("*.parquet"))
    catalog.create_namespace("peer")
    # Not `read_schema` of the path: the Hive folders above the file would add columns.
    with open(files[0], "rb") as first:
        schema = pq.read_schema(first)
    table = catalog.create_table("peer.lake", schema=schema)
    table.add_files(files)
    print(json.dumps({"added_files_count": len(files)}))


if __name__ == "__main__":
    main()
