"""Makes `fixtures/spark`: small tables that Spark and Iceberg's Java library write and PyIceberg cannot.

    spark_tables.py FIXTURES_DIRECTORY

Run it with the interpreter that `environment.py TARGET requirements-spark.txt` prints; it needs a JDK.
The tables name their files `s3://spark/…`: whoever serves the folder as the bucket `spark` can read them.
`expected.json` says what queries, which any engine understands, give in Spark for each snapshot.
"""

import json
import shutil
import sys
from pathlib import Path

from spark_session import compiled, session

SCRIPTS = Path(__file__).resolve().parent


def main() -> None:
    fixtures = Path(sys.argv[1]).resolve()
    folder = fixtures / "spark"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spark = session(
        {
            "spark.driver.extraClassPath": compiled(SCRIPTS / "FolderFileSystem.java"),
            "spark.hadoop.fs.s3.impl": "FolderFileSystem",
            "spark.hadoop.folder.root": str(fixtures),
            "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.lake.type": "hadoop",
            "spark.sql.catalog.lake.warehouse": "s3://spark",
            "spark.sql.catalog.lake.cache-enabled": "false",
        }
    )
    expected = {}
    for name, (make, queries) in TABLES.items():
        make(spark, f"lake.{name}")
        expected[name] = what_spark_reads(spark, name, queries)
    for leftover in folder.rglob("version-hint.text"):
        leftover.unlink()
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (folder / "expected.json").write_text(text, encoding="utf-8")
    spark.stop()


PROPERTIES = {
    "write.delete.mode": "merge-on-read",
    "write.update.mode": "merge-on-read",
    "write.merge.mode": "merge-on-read",
    "write.distribution-mode": "none",
    "write.delete.distribution-mode": "none",
    "write.parquet.compression-codec": "zstd",
    # Old metadata files would be most of the bytes.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "1",
}


def create(spark, table: str, columns: str, partitioning: str = "", **properties: str) -> None:
    settings = PROPERTIES | {name.replace("__", "."): value for name, value in properties.items()}
    listed = ", ".join(f"'{name}' = '{value}'" for name, value in settings.items())
    spark.sql(f"CREATE TABLE {table} ({columns}) USING iceberg {partitioning} TBLPROPERTIES ({listed})")


def insert(spark, table: str, select: str) -> None:
    """One commit of one file a partition."""
    spark.sql(select).coalesce(1).writeTo(table).append()


def vectors(spark, table: str) -> None:
    """Deletion vectors: several in one file, one that replaces another, rows of every container of a bitmap."""
    create(spark, table, "thousand INT, rest INT, name STRING", **{"format-version": "3"})
    columns = "CAST(id DIV 1000 AS INT) AS thousand, CAST(id % 1000 AS INT) AS rest"
    insert(spark, table, f"SELECT {columns}, concat('a', id % 10) AS name FROM range(70000)")
    insert(spark, table, f"SELECT {columns}, 'b' AS name FROM range(70000, 70010)")
    # A run, single rows, and a place past the first 65,536.
    id = "thousand * 1000 + rest"
    spark.sql(f"DELETE FROM {table} WHERE {id} BETWEEN 10 AND 69980 OR {id} IN (1, 69990, 70003)")
    spark.sql(f"DELETE FROM {table} WHERE {id} IN (3, 69999)")


def positions(spark, table: str) -> None:
    """Position deletes of format version 2: for one file, for a whole partition, in an updated row."""
    create(
        spark,
        table,
        "id INT, day DATE, name STRING",
        "PARTITIONED BY (day)",
        **{"format-version": "2", "write__delete__granularity": "partition"},
    )
    day = "date_add(DATE '2024-01-01', CAST(id % 2 AS INT)) AS day"
    insert(spark, table, f"SELECT CAST(id AS INT) AS id, {day}, concat('n', id) AS name FROM range(12) ORDER BY day")
    insert(spark, table, f"SELECT CAST(id + 12 AS INT) AS id, {day}, CAST(NULL AS STRING) AS name FROM range(6) ORDER BY day")
    # Both files of a partition, in one delete file.
    spark.sql(f"DELETE FROM {table} WHERE day = DATE '2024-01-01' AND id IN (2, 4, 12)")
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('write.delete.granularity' = 'file')")
    spark.sql(f"UPDATE {table} SET name = 'new', day = DATE '2024-01-03' WHERE id IN (5, 13)")


def equality(spark, table: str) -> None:
    """Equality deletes, by Java's own writer: in one partition, of a null, and of rows that come again."""
    create(
        spark,
        table,
        "id INT, kind STRING, note STRING",
        "PARTITIONED BY (kind)",
        **{"format-version": "2"},
    )
    rows = "SELECT CAST(id AS INT) AS id, IF(id % 2 = 0, 'even', 'odd') AS kind, IF(id % 5 = 0, NULL, concat('n', id % 3)) AS note FROM range(12) ORDER BY kind"
    insert(spark, table, rows)
    delete_equal(spark, table, "kind=even", [{"id": 4}, {"id": 8}, {"id": 1}], ["id"])
    delete_equal(spark, table, "kind=odd", [{"note": None}, {"note": "n1"}], ["note"])
    insert(spark, table, "SELECT 4 AS id, 'even' AS kind, 'again' AS note")


def delete_equal(spark, table: str, partition: str, rows: list[dict], columns: list[str]) -> None:
    """Commits one equality delete file."""
    jvm, java = spark._jvm, spark._jvm.org.apache.iceberg
    loaded = java.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
    schema = loaded.schema()
    ids = spark.sparkContext._gateway.new_array(jvm.int, len(columns))
    for index, column in enumerate(columns):
        ids[index] = schema.findField(column).fieldId()
    chosen = schema.select(columns)
    factory = java.data.GenericAppenderFactory(schema, loaded.spec(), ids, chosen, None)
    path = f"{loaded.location()}/data/{partition}/equal-{'-'.join(columns)}.parquet"
    output = loaded.io().newOutputFile(path)
    encrypted = java.encryption.EncryptedFiles.plainAsEncryptedOutput(output)
    values = java.DataFiles.data(loaded.spec(), partition)
    writer = factory.newEqDeleteWriter(encrypted, java.FileFormat.PARQUET, values)
    for row in rows:
        record = java.data.GenericRecord.create(chosen)
        for name, value in row.items():
            record.setField(name, value)
        writer.write(record)
    writer.close()
    loaded.newRowDelta().addDeletes(writer.toDeleteFile()).commit()


def evolved(spark, table: str) -> None:
    """A schema and a partition spec that change between snapshots, a tag, a branch."""
    create(
        spark,
        table,
        "id INT, amount DECIMAL(9, 2), at TIMESTAMP_NTZ, place STRUCT<city: STRING, zip: INT>, tags ARRAY<STRING>",
        "PARTITIONED BY (days(at))",
        **{"format-version": "2"},
    )
    row = "CAST({id} AS INT) AS id, CAST({id} + 0.25 AS DECIMAL(9, 2)) AS amount, TIMESTAMP_NTZ '2024-02-0{day} 12:00:00.000001' AS at, named_struct('city', 'c{id}', 'zip', CAST({id} AS INT)) AS place, array('t{id}', NULL) AS tags"
    insert(spark, table, f"SELECT {row.format(id=1, day=1)}")
    spark.sql(f"ALTER TABLE {table} CREATE TAG first")
    spark.sql(f"ALTER TABLE {table} ALTER COLUMN id TYPE BIGINT")
    spark.sql(f"ALTER TABLE {table} RENAME COLUMN place.zip TO code")
    spark.sql(f"ALTER TABLE {table} ADD COLUMN place.country STRING")
    spark.sql(f"ALTER TABLE {table} ADD COLUMN kind STRING AFTER id")
    spark.sql(f"ALTER TABLE {table} DROP COLUMN tags")
    spark.sql(f"ALTER TABLE {table} ADD COLUMN tags ARRAY<INT>")
    spark.sql(f"ALTER TABLE {table} DROP PARTITION FIELD days(at)")
    spark.sql(f"ALTER TABLE {table} ADD PARTITION FIELD kind")
    insert(
        spark,
        table,
        "SELECT 5000000000 AS id, 'k' AS kind, CAST(NULL AS DECIMAL(9, 2)) AS amount, TIMESTAMP_NTZ '2024-02-02 00:00:00' AS at, named_struct('city', 'c2', 'code', 2, 'country', 'x') AS place, array(2) AS tags",
    )
    spark.sql(f"ALTER TABLE {table} CREATE BRANCH audit")


ALL = "SELECT * FROM {table}"
TABLES = {
    "vectors": (
        vectors,
        [
            "SELECT count(*), sum(thousand), sum(rest), min(name), max(name) FROM {table}",
            "SELECT * FROM {table} WHERE thousand = 0 AND rest < 20 OR thousand >= 69 AND rest > 975 OR thousand = 70",
        ],
    ),
    "positions": (
        positions,
        [ALL, "SELECT count(*) FROM {table}", "SELECT id FROM {table} WHERE day = DATE '2024-01-01' AND id > 2"],
    ),
    "equality": (
        equality,
        [ALL, "SELECT count(*) FROM {table}", "SELECT count(*) FROM {table} WHERE note IS NULL"],
    ),
    "evolved": (evolved, [ALL]),
}


def what_spark_reads(spark, name: str, queries: list[str]) -> dict:
    """The rows of each query over each snapshot, oldest first, and over the table as it is."""
    table = f"lake.{name}"
    loaded = spark._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
    metadata = loaded.operations().current().metadataFileLocation()
    snapshots = spark.sql(f"SELECT snapshot_id FROM {table}.snapshots ORDER BY committed_at").collect()
    versions = [None] + [snapshot for (snapshot,) in snapshots]
    answers = []
    for version in versions:
        versioned = table if version is None else f"{table} VERSION AS OF {version}"
        for query in queries:
            rows = spark.sql(query.format(table=versioned)).collect()
            lines = sorted("|".join(text(value) for value in row) for row in rows)
            answers.append({"query": query, "snapshot": version, "rows": lines})
    return {"metadata": metadata, "answers": answers}


def text(value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "[" + ", ".join("NULL" if item is None else text(item) for item in value) + "]"
    if hasattr(value, "asDict"):
        return "{" + ", ".join(f"{name}: {text(item)}" for name, item in value.asDict().items()) + "}"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


if __name__ == "__main__":
    main()
