"""Decodes the rows of an XML file with lxml, by a schema, and compares them with rows that were read.

    python check_xml_rows.py FILE ROW_TAG SCHEMA ROWS

SCHEMA is a JSON file: a type is a name, {"list": type} or {"struct": [[name, xml name, type], ...]}.
ROWS has one JSON object a line, without nulls. Prints {"rows": ..., "values": ..., "differences": [...]},
where values counts the attributes and texts of the document's rows.
"""

import datetime
import json
import re
import sys

from lxml import etree

SPACE = " \t\r\n"


def main() -> None:
    document, row_tag, schema_file, rows_file = sys.argv[1:5]
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    with open(rows_file, encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    root = etree.parse(document, etree.XMLParser(huge_tree=True, resolve_entities=True, no_network=True)).getroot()
    differences, values, count = [], 0, 0
    for row in rows(root, row_tag):
        values += sum(1 for _ in texts(row))
        if count < len(found):
            compare(struct(row, schema["struct"]), found[count], f"{count}", differences)
        count += 1
    if count != len(found):
        differences.append(f"{count} rows in the document, {len(found)} were read")
    print(json.dumps({"rows": count, "values": values, "differences": differences[:10]}))


def rows(element, row_tag):
    """The outermost elements of the row's name."""
    if written(element.tag, element) == row_tag:
        yield element
        return
    for child in children(element):
        yield from rows(child, row_tag)


def children(element):
    return [child for child in element if isinstance(child.tag, str)]


def written(name, element):
    """A name as it is written in the document."""
    qualified = etree.QName(name)
    if qualified.namespace is None:
        return qualified.localname
    if name == element.tag:
        return f"{element.prefix}:{qualified.localname}" if element.prefix else qualified.localname
    if qualified.namespace == "http://www.w3.org/XML/1998/namespace":
        return f"xml:{qualified.localname}"
    prefixes = [prefix for prefix, uri in element.nsmap.items() if uri == qualified.namespace and prefix]
    return f"{prefixes[0]}:{qualified.localname}"


def attributes(element):
    parent = element.getparent()
    outer = parent.nsmap if parent is not None else {}
    for prefix, uri in element.nsmap.items():
        if outer.get(prefix) != uri:
            yield (f"xmlns:{prefix}" if prefix else "xmlns"), uri
    for name, value in element.attrib.items():
        yield written(name, element), value


def pieces(element):
    """The runs of text between children; comments and instructions do not end them."""
    piece = element.text or ""
    for child in element:
        if isinstance(child.tag, str):
            yield piece
            piece = child.tail or ""
        else:
            piece += child.tail or ""
    yield piece


def texts(element):
    """All attributes and texts that are not blank."""
    for _, value in attributes(element):
        if value.strip(SPACE):
            yield value
    for piece in pieces(element):
        if piece.strip(SPACE):
            yield piece
    for child in children(element):
        yield from texts(child)


def struct(element, fields):
    by_name = {xml_name: (column, data_type) for column, xml_name, data_type in fields}
    row = {}

    def put(name, convert):
        if name not in by_name:
            raise SystemExit(f"no column for {name} of {element.tag}")
        column, data_type = by_name[name]
        if isinstance(data_type, dict) and "list" in data_type:
            row.setdefault(column, []).append(convert(data_type["list"]))
        else:
            if column in row:
                raise SystemExit(f"{name} of {element.tag} is repeated")
            row[column] = convert(data_type)

    for name, value in attributes(element):
        put(f"_{name}", lambda data_type, value=value: scalar(value, data_type))
    for child in children(element):
        name = written(child.tag, child)
        put(name, lambda data_type, child=child: value_of(child, data_type))
    for piece in pieces(element):
        if piece.strip(SPACE):
            put("_VALUE", lambda data_type, piece=piece: scalar(piece, data_type))
    return {name: value for name, value in row.items() if value is not None}


def value_of(element, data_type):
    if isinstance(data_type, dict):
        return struct(element, data_type["struct"])
    if children(element):
        if data_type != "string":
            raise SystemExit(f"{element.tag} has children, but is {data_type}")
        return element
    return scalar("".join(pieces(element)), data_type)


def scalar(text, data_type):
    text = text.strip(SPACE)
    if data_type == "string":
        return text
    if not text:
        return None
    if data_type == "long":
        return int(text)
    if data_type == "double":
        return float(text)
    if data_type == "boolean":
        return {"true": True, "false": False}[text.lower()]
    if data_type == "date":
        return datetime.date.fromisoformat(text).isoformat()
    if data_type == "timestamp":
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
    raise SystemExit(f"the type {data_type} is not known")


def compare(expected, found, path, differences):
    if isinstance(expected, datetime.datetime):
        same = datetime.datetime.fromisoformat(found.replace("Z", "+00:00")) == expected
    elif isinstance(expected, etree._Element):
        same = canonical(expected) == canonical_text(found, expected)
    elif isinstance(expected, dict):
        if not isinstance(found, dict) or expected.keys() != found.keys():
            same = False
        else:
            for name, value in expected.items():
                compare(value, found[name], f"{path}.{name}", differences)
            return
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(expected) != len(found):
            same = False
        else:
            for index, (one, other) in enumerate(zip(expected, found)):
                compare(one, other, f"{path}[{index}]", differences)
            return
    else:
        same = type(expected) is type(found) and expected == found
    if not same:
        differences.append(f"{path}: {show(expected)} is {show(found)}")


def show(value):
    return re.sub(r"\s+", " ", repr(value))[:200]


def canonical(element):
    """What an element holds, but for white space around it."""
    parts = [(element.text or "").lstrip(SPACE)]
    for child in children(element):
        parts.append((child.tag, sorted(child.attrib.items()), canonical_inner(child)))
        parts.append(child.tail or "")
    parts[-1] = parts[-1].rstrip(SPACE) if isinstance(parts[-1], str) else parts[-1]
    return parts


def canonical_inner(element):
    parts = [element.text or ""]
    for child in children(element):
        parts.append((child.tag, sorted(child.attrib.items()), canonical_inner(child)))
        parts.append(child.tail or "")
    return parts


def canonical_text(raw, like):
    declared = " ".join(
        f'xmlns{":" + prefix if prefix else ""}="{uri}"' for prefix, uri in like.nsmap.items() if prefix != "xml"
    )
    return canonical(etree.fromstring(f"<raw {declared}>{raw}</raw>".encode()))


if __name__ == "__main__":
    main()
