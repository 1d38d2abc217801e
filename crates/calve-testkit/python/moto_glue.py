"""Serves AWS's interfaces (S3, Glue, Athena, …) on a free loopback port, by moto.

Prints one line of JSON, `{"port": N}`, and ends when its standard input does: when the program that
started it ends, however that happens.

What moto lets pass and AWS does not is put right here: `VersionId` locks UpdateTable, SkipArchive
keeps no old version, lists come in pages, GetPartitions knows segments, batches have a limit, and
conditional writes to S3 have one winner. Athena's queries are run, by DuckDB, over the Iceberg tables of
Glue that lie in this machine's files, unless their results were put in moto's queue before.
"""

import json
import os
import re
import sys
import threading

from moto.athena.models import AthenaBackend, QueryResults
from moto.athena.responses import AthenaResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.glue.models import glue_backends
from moto.glue.responses import GlueResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.responses import S3Response
from werkzeug.serving import make_server

# As AWS documents them.
BATCH_LIMITS = {
    "batch_create_partition": ("PartitionInputList", 100),
    "batch_update_partition": ("Entries", 100),
    "batch_delete_partition": ("PartitionsToDelete", 25),
    "batch_get_partition": ("PartitionsToGet", 1000),
    "batch_delete_table": ("TablesToDelete", 100),
}
PAGES = {
    "get_databases": ("DatabaseList", 100),
    "get_tables": ("TableList", 100),
    "get_partitions": ("Partitions", 1000),
}

# Athena's functions that DuckDB calls otherwise.
MACROS = ["to_utf8(x) AS encode(x)", "is_nan(x) AS isnan(x)", "to_hex(x) AS hex(x)"]
WORDS = {"length(": "octet_length(", "cardinality(": "len("}
TABLE = re.compile(r'FROM "([^"]+)"\."([^"]+)"(?: FOR VERSION AS OF (\d+))?')
# A page of Athena's results has a thousand rows; tests should not need so many.
RESULTS_PAGE = 4

lock = threading.RLock()
failures = {}


def main() -> None:
    GlueResponse.update_table = update_table
    GlueResponse.create_table = one_at_a_time(GlueResponse.create_table)
    for name, (field, limit) in BATCH_LIMITS.items():
        setattr(GlueResponse, name, limited(getattr(GlueResponse, name), field, limit))
    for name, (field, limit) in PAGES.items():
        setattr(GlueResponse, name, paged(getattr(GlueResponse, name), field, limit))
    AthenaBackend.start_query_execution = running(AthenaBackend.start_query_execution)
    AthenaResponse.get_query_execution = telling_failures(AthenaResponse.get_query_execution)
    AthenaResponse.get_query_results = results_in_pages
    S3Response.put_object = one_at_a_time(S3Response.put_object)
    server = make_server(
        "127.0.0.1",
        0,
        DomainDispatcherApplication(create_backend_app),
        threaded=True,
        request_handler=QuietHandler,
    )
    threading.Thread(target=end_with_the_starter, daemon=True).start()
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    server.serve_forever()


class QuietHandler(MotoRequestHandler):
    def log(self, *_arguments) -> None:
        pass


def end_with_the_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def one_at_a_time(answer):
    def answer_alone(self, *arguments, **named):
        with lock:
            return answer(self, *arguments, **named)

    return answer_alone


def update_table(self):
    wanted = self.parameters.get("VersionId")
    table_input = self.parameters["TableInput"]
    with lock:
        table = self.glue_backend.get_table(self.parameters["DatabaseName"], table_input["Name"])
        current = str(table._current_version)
        if wanted and wanted != current:
            raise JsonRESTError(
                "ConcurrentModificationException", "Update table failed due to concurrent modifications."
            )
        table.update(table_input)
        if self.parameters.get("SkipArchive"):
            table.versions.pop(current, None)
    return EmptyResult()


def limited(answer, field: str, limit: int):
    def answer_within_limit(self):
        count = len(self.parameters.get(field) or [])
        if count > limit:
            raise JsonRESTError(
                "InvalidInputException",
                f"Value at '{field}' failed to satisfy constraint: Member must have length less than or equal to {limit}",
            )
        return answer(self)

    return answer_within_limit


def paged(answer, field: str, limit: int):
    def answer_in_pages(self):
        items = answer(self).result[field]
        segment = self.parameters.get("Segment")
        if segment is not None:
            items = items[segment["SegmentNumber"] :: segment["TotalSegments"]]
        start = int(self.parameters.get("NextToken") or 0)
        end = start + min(int(self.parameters.get("MaxResults") or limit), limit)
        page = {field: items[start:end]}
        if end < len(items):
            page["NextToken"] = str(end)
        return ActionResult(page)

    return answer_in_pages


def running(start):
    """Runs a query when it is started, if no results were put in the queue for it."""

    def start_and_run(self, query, *arguments, **named):
        query_id = start(self, query, *arguments, **named)
        if query_id not in self.query_results:
            try:
                self.query_results[query_id] = run(self, query)
            except Exception as error:
                failures[query_id] = str(error)
        return query_id

    return start_and_run


def run(backend, query: str) -> QueryResults:
    import duckdb
    import read_table

    def scan(match) -> str:
        database, name, snapshot = match.groups()
        table = glue_backends[backend.account_id][backend.region_name].get_table(database, name)
        location = table.as_dict()["Parameters"]["metadata_location"].removeprefix("file://")
        version = f", snapshot_from_id={snapshot}" if snapshot else ""
        return f"FROM iceberg_scan('{location}'{version})"

    connection = read_table.open_duckdb({})
    for macro in MACROS:
        connection.execute(f"CREATE MACRO {macro}")
    for ours, theirs in WORDS.items():
        query = query.replace(ours, theirs)
    answer = connection.execute(TABLE.sub(scan, query))
    names = [column[0] for column in answer.description]
    text = {True: "true", False: "false"}
    rows = [
        [None if value is None else str(text.get(value, value) if isinstance(value, bool) else value) for value in row]
        for row in answer.fetchall()
    ]
    heads = [{"Name": name, "Type": "varchar"} for name in names]
    return QueryResults([results_row(names)] + [results_row(row) for row in rows], heads)


def results_row(values) -> dict:
    return {"Data": [{} if value is None else {"VarCharValue": value} for value in values]}


def telling_failures(answer):
    def answer_with_failure(self):
        told = json.loads(answer(self))
        execution = told["QueryExecution"]
        reason = failures.get(execution["QueryExecutionId"])
        if reason and execution["Status"]["State"] == "SUCCEEDED":
            execution["Status"].update(State="FAILED", StateChangeReason=reason)
        return json.dumps(told)

    return answer_with_failure


def results_in_pages(self):
    results = self.athena_backend.get_query_results(self._get_param("QueryExecutionId")).to_dict()
    start = int(self._get_param("NextToken") or 0)
    rows = results["ResultSet"]["Rows"]
    results["ResultSet"]["Rows"] = rows[start : start + RESULTS_PAGE]
    if start + RESULTS_PAGE < len(rows):
        results["NextToken"] = str(start + RESULTS_PAGE)
    return json.dumps(results)


if __name__ == "__main__":
    main()
