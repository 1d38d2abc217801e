"""A local Spark with Iceberg's Java runtime, from the environment that `requirements-spark.txt` describes."""

import subprocess
import tempfile
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession


def iceberg_jars() -> list[str]:
    site_packages = Path(pyspark.__file__).parent.parent
    return sorted(str(jar) for jar in site_packages.glob("snowpark_connect_deps_iceberg/jars/*_2.12-*.jar"))


def compiled(source: Path) -> str:
    """The folder of the classes of a Java file, compiled against Spark's own jars."""
    classes = tempfile.mkdtemp(prefix="calve-classes-")
    jars = Path(pyspark.__file__).parent / "jars"
    subprocess.run(["javac", "-nowarn", "-cp", f"{jars}/*", "-d", classes, source], check=True)
    return classes


def session(settings: dict[str, str], jars: list[str] | None = None) -> SparkSession:
    """Starts Spark in this process. Its time zone is UTC; it talks to nobody."""
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", ",".join(iceberg_jars() + (jars or [])))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
    )
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark
