"""Compacts a table with Spark's `rewrite_data_files`, in a session that is warm.

    peer_rewrite.py METADATA

METADATA is the metadata file of a table; Spark works on a copy of it, so that the table stays as it is. Prints
`wall_seconds` of the call alone, and how many files it `rewritten` and `added`.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from spark_session import session


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="calve-rewrite-"))
    table = folder / "iot" / "readings" / "metadata"
    table.mkdir(parents=True)
    shutil.copy(sys.argv[1].removeprefix("file://"), table / "v1.metadata.json")
    (table / "version-hint.text").write_text("1", encoding="utf-8")
    spark = session(
        {
            "spark.sql.catalog.files": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.files.type": "hadoop",
            "spark.sql.catalog.files.warehouse": str(folder),
            "spark.driver.memory": "4g",
        }
    )
    # Classes are loaded and code is compiled before the clock runs.
    spark.sql("CREATE TABLE files.iot.warm (id INT) USING iceberg")
    for value in range(6):
        spark.sql(f"INSERT INTO files.iot.warm VALUES ({value})")
    rewrite(spark, "iot.warm")
    start = time.perf_counter()
    row = rewrite(spark, "iot.readings")
    seconds = time.perf_counter() - start
    print(json.dumps({"wall_seconds": seconds, "rewritten": row[0], "added": row[1]}))
    spark.stop()
    shutil.rmtree(folder)


def rewrite(spark, table: str):
    return spark.sql(f"CALL files.system.rewrite_data_files(table => '{table}')").collect()[0]


if __name__ == "__main__":
    main()
