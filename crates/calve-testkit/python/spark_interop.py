"""Reads tables with Spark and Iceberg's Java library, as the interop suite asks, in one session.

    spark_interop.py REQUEST

REQUEST is a JSON file:

    {"uri": "/…/calve.db", "warehouse": "/…", "sqlite_jdbc": {"jar": "…", "library": "…"} or null,
     "tables": {"db.t": "/…/metadata.json"}, "queries": ["SELECT … FROM files.db.t", …]}

`files` has each table by its metadata file alone; `default`, which is the name that calve's entries in
the SQLite file go by, is Java's own `JdbcCatalog` over it, where its driver is given. Printed is, for each query, its columns
(`[name, type]`) and its rows as lists of values as `calve sql --output-format json` prints them; an
error is a text instead.
"""

import datetime
import decimal
import json
import math
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

# Python's side of Spark gives instants in the zone of the process.
os.environ["TZ"] = "UTC"
time.tzset()

from numbers_as_text import shortest, timespec  # noqa: E402
from pyspark.sql import types  # noqa: E402
from spark_session import session  # noqa: E402


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    folder = tempfile.mkdtemp(prefix="calve-interop-")
    for name, metadata in request["tables"].items():
        put(Path(folder, *name.split("."), "metadata"), metadata)
    spark = session(settings(request, folder))
    answers = []
    for query in request["queries"]:
        try:
            answers.append(answer(spark.sql(query)))
        except Exception as error:  # whatever Spark fails with is its answer
            answers.append(f"{type(error).__name__}: {str(error)[:2000]}")
    print(json.dumps(answers))
    spark.stop()
    shutil.rmtree(folder)


def put(folder: Path, metadata: str) -> None:
    """Makes a table of a Hadoop catalog, which is its newest metadata file and that file's number."""
    folder.mkdir(parents=True)
    shutil.copy(metadata.removeprefix("file://"), folder / "v1.metadata.json")
    (folder / "version-hint.text").write_text("1", encoding="utf-8")


def settings(request: dict, folder: str) -> dict[str, str]:
    chosen = {
        "spark.sql.catalog.files": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.files.type": "hadoop",
        "spark.sql.catalog.files.warehouse": folder,
    }
    driver = request["sqlite_jdbc"]
    if driver:
        folder, library = os.path.split(driver["library"])
        chosen |= {
            # Drivers are looked for where Spark itself is loaded from.
            "spark.driver.extraClassPath": driver["jar"],
            "spark.driver.extraJavaOptions": f"-Dorg.sqlite.lib.path={folder} -Dorg.sqlite.lib.name={library}",
            "spark.sql.catalog.default": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.default.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
            "spark.sql.catalog.default.io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
            "spark.sql.catalog.default.uri": f"jdbc:sqlite:{request['uri']}",
            "spark.sql.catalog.default.warehouse": request["warehouse"],
            "spark.sql.catalog.default.jdbc.schema-version": "V1",
        }
    return chosen


def answer(frame) -> dict:
    fields = frame.schema.fields
    rows = [[value_of(row[index], field.dataType) for index, field in enumerate(fields)] for row in frame.collect()]
    return {"columns": [[field.name, field.dataType.simpleString()] for field in fields], "rows": rows}


def value_of(value, kind: types.DataType):
    if value is None:
        return None
    if isinstance(kind, types.StructType):
        return {field.name: value_of(value[index], field.dataType) for index, field in enumerate(kind.fields)}
    if isinstance(kind, types.ArrayType):
        return [value_of(item, kind.elementType) for item in value]
    if isinstance(kind, types.MapType):
        return {str(key): value_of(item, kind.valueType) for key, item in value.items()}
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return shortest(value) if isinstance(kind, types.FloatType) else value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, decimal.Decimal):
        # Spark gives them with more zeros than their type has.
        scale = kind.scale if isinstance(kind, types.DecimalType) else 0
        return f"{value:.{scale}f}"
    if isinstance(value, datetime.datetime):
        zone = "Z" if isinstance(kind, types.TimestampType) else ""
        return value.isoformat(timespec=timespec(value.microsecond)) + zone
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


if __name__ == "__main__":
    main()
