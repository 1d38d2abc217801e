"""Rewrites a lake into a partitioned Iceberg table with Spark's CTAS, in a session that is warm.

    peer_ctas.py LAKE ORDER

ORDER is a list of columns, or empty. Rows are distributed by partition, as Iceberg's writers want them, and sorted
within it. Prints `wall_seconds` of the statement alone, the second time it runs, and the number of `rows`.
"""

import json
import shutil
import sys
import tempfile
import time

from spark_session import session


def main() -> None:
    lake, order = sys.argv[1:3]
    folder = tempfile.mkdtemp(prefix="calve-ctas-")
    spark = session(
        {
            "spark.sql.catalog.files": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.files.type": "hadoop",
            "spark.sql.catalog.files.warehouse": folder,
            "spark.sql.shuffle.partitions": "2",
            "spark.driver.memory": "4g",
        }
    )
    spark.read.parquet(lake).createOrReplaceTempView("lake")
    by = f"DISTRIBUTE BY YEAR, ELEMENT SORT BY YEAR, ELEMENT, {order}" if order else ""
    seconds = 0.0
    # Classes are loaded and code is compiled before the clock runs.
    for name in ("warm", "ghcn"):
        start = time.perf_counter()
        spark.sql(
            f"CREATE TABLE files.noaa.{name} USING iceberg PARTITIONED BY (YEAR, ELEMENT) "
            f"TBLPROPERTIES ('write.parquet.compression-codec' = 'zstd') AS SELECT * FROM lake {by}"
        )
        seconds = time.perf_counter() - start
    rows = spark.sql("SELECT count(*) FROM files.noaa.ghcn").collect()[0][0]
    print(json.dumps({"wall_seconds": seconds, "rows": rows}))
    spark.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
