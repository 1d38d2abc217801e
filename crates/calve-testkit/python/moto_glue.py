"""Serves AWS's interfaces (S3, Glue, Athena, …) on a free loopback port, by moto.

Prints one line of JSON, `{"port": N}`, and ends when its standard input does: when the program that
started it ends, however that happens.

What moto lets pass and AWS does not is put right here: `VersionId` locks UpdateTable, SkipArchive
keeps no old version, lists come in pages, GetPartitions knows segments, batches have a limit, and
conditional writes to S3 have one winner.
"""

import json
import os
import sys
import threading

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
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

lock = threading.RLock()


def main() -> None:
    GlueResponse.update_table = update_table
    GlueResponse.create_table = one_at_a_time(GlueResponse.create_table)
    for name, (field, limit) in BATCH_LIMITS.items():
        setattr(GlueResponse, name, limited(getattr(GlueResponse, name), field, limit))
    for name, (field, limit) in PAGES.items():
        setattr(GlueResponse, name, paged(getattr(GlueResponse, name), field, limit))
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


if __name__ == "__main__":
    main()
