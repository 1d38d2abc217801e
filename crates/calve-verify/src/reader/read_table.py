"""Reads an Iceberg table with another reader than calve, for `calve verify --reader`.

Standard input is one JSON object: `reader` (`pyiceberg` or `duckdb`), `metadata_location`, `snapshot_id`
(null for the current one), `columns` (which to read; null to tell the schema only) and `properties`, those
of the catalog by Iceberg's names. They may hold secrets, which is why they are not arguments.

Standard output is an Arrow IPC stream. The metadata of its schema says which reader it was. Standard error
is whatever the reader has to say; after a failure, its last line is a JSON object with `error` and, where
a package is missing, `package`.
"""

import json
import os
import sys

# A script given as an argument would import from the working directory first.
sys.path = [folder for folder in sys.path if folder]

MISSING = 3
FAILED = 4
BATCH_ROWS = 65536


def main() -> None:
    request = json.load(sys.stdin)
    # Nothing but the stream gets to standard output.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    reader = {"pyiceberg": pyiceberg_batches, "duckdb": duckdb_batches}[request["reader"]]
    try:
        import pyarrow as pa

        name, batches = reader(request)
        schema = batches.schema.with_metadata({"calve.reader": name})
        with pa.ipc.new_stream(output, schema) as stream:
            if request["columns"] is not None:
                for batch in batches:
                    stream.write_batch(batch.replace_schema_metadata(schema.metadata))
        output.close()
    except ModuleNotFoundError as error:
        fail(MISSING, error=str(error), package=(error.name or "").split(".")[0])
    except Exception as error:
        fail(FAILED, error=f"{type(error).__name__}: {error}")


def fail(status: int, **what) -> None:
    sys.stderr.write("\n" + json.dumps(what) + "\n")
    sys.stderr.flush()
    # A reader's threads may still be at work.
    os._exit(status)


def pyiceberg_batches(request):
    import pyiceberg
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(request["metadata_location"], request["properties"])
    columns = request["columns"]
    scan = table.scan(
        snapshot_id=request["snapshot_id"],
        selected_fields=("*",) if columns is None else tuple(columns),
    )
    return f"pyiceberg {pyiceberg.__version__}", scan.to_arrow_batch_reader()


def duckdb_batches(request):
    import duckdb

    location = request["metadata_location"]
    connection = duckdb_connection(duckdb, location, request["properties"])
    scan = text(location.removeprefix("file://"))
    if request["snapshot_id"] is not None:
        scan += f", snapshot_from_id={int(request['snapshot_id'])}"
    scan = f"iceberg_scan({scan})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()
    types = {row[0]: row[1] for row in described}
    wanted = request["columns"]
    limit = ""
    if wanted is None:
        wanted, limit = list(types), " LIMIT 0"
    columns = ", ".join(duckdb_column(name, types.get(name)) for name in wanted)
    result = connection.execute(f"SELECT {columns} FROM {scan}{limit}")
    to_reader = getattr(result, "to_arrow_reader", None) or result.fetch_record_batch
    return f"duckdb {duckdb.__version__}", to_reader(BATCH_ROWS)


def duckdb_column(name: str, data_type) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if data_type == "UUID":
        # DuckDB gives Arrow the text of it.
        return f"unhex(replace(CAST({quoted} AS VARCHAR), '-', '')) AS {quoted}"
    return quoted


def duckdb_connection(duckdb, location: str, properties: dict):
    """A connection with the extensions for Iceberg: from Python packages where there are any, or DuckDB's own way."""
    import importlib.util
    from pathlib import Path

    remote = location.split("://")[0] in ("s3", "s3a", "s3n")
    names = ["avro", "httpfs", "iceberg"]
    folders = {}
    for name in names:
        found = importlib.util.find_spec(f"duckdb_extension_{name}")
        if found and found.origin:
            folders[name] = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}"
    if len(folders) == len(names):
        connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        for name in names:
            connection.execute(f"LOAD {text(str(folders[name] / name) + '.duckdb_extension')}")
    else:
        connection = duckdb.connect()
        for name in names:
            connection.execute(f"INSTALL {name}")
            connection.execute(f"LOAD {name}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    if remote:
        connection.execute(duckdb_secret(connection, properties))
    return connection


def duckdb_secret(connection, properties: dict) -> str:
    def first(*names):
        return next((properties[name] for name in names if properties.get(name)), None)

    options = {"REGION": first("s3.region", "client.region", "glue.region") or "us-east-1"}
    key = first("s3.access-key-id", "client.access-key-id")
    if key:
        options["KEY_ID"] = key
        options["SECRET"] = first("s3.secret-access-key", "client.secret-access-key") or ""
        token = first("s3.session-token", "client.session-token")
        if token:
            options["SESSION_TOKEN"] = token
    else:
        connection.execute("INSTALL aws")
        connection.execute("LOAD aws")
        options["PROVIDER"] = "credential_chain"
    endpoint = first("s3.endpoint")
    ssl = ""
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        options["ENDPOINT"] = host.rstrip("/")
        options["URL_STYLE"] = "vhost" if properties.get("s3.path-style-access") == "false" else "path"
        ssl = ", USE_SSL false" if scheme == "http" else ""
    settings = "".join(f", {name} {text(value)}" for name, value in options.items())
    return f"CREATE SECRET (TYPE s3{settings}{ssl})"


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
