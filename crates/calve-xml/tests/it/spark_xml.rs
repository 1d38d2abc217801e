//! The cases that spark-xml's own suite states about its test files, where they are at hand. A case
//! says so where calve differs on purpose.

use std::path::PathBuf;

use calve_testkit::shared_data;
use calve_xml::convert::Convert;
use calve_xml::infer::InferSchema;
use calve_xml::options::{Mode, Namespaces};
use calve_xml::schema::ddl::{parse_ddl, to_ddl};
use calve_xml::schema::xsd::{SchemaRequest, Xsd};
use calve_xml::{Input, XmlOptions};
use fs_err::File;
use serde_json::{Value, json};

use super::{convert, plain, to_json};

/// Where spark-xml's test files are.
fn folder() -> Option<PathBuf> {
    let folder = shared_data()?.join("xml/spark-xml");
    folder.is_dir().then_some(folder)
}

/// One statement about one file.
struct Case {
    file: &'static str,
    options: XmlOptions,
    /// The schema that is given; else it is inferred.
    given: Option<&'static str>,
    /// The schema that is inferred, if it is stated.
    inferred: Option<&'static str>,
    rows: usize,
    /// Values by JSON pointer into the list of rows.
    values: Value,
}

fn case(file: &'static str, row_tag: &str, rows: usize) -> Case {
    Case {
        file,
        options: XmlOptions::new(row_tag),
        given: None,
        inferred: None,
        rows,
        values: json!({}),
    }
}

impl Case {
    fn with(mut self, change: impl Fn(&mut XmlOptions)) -> Self {
        change(&mut self.options);
        self
    }

    fn given(mut self, ddl: &'static str) -> Self {
        self.given = Some(ddl);
        self
    }

    fn inferred(mut self, ddl: &'static str) -> Self {
        self.inferred = Some(ddl);
        self
    }

    fn values(mut self, values: Value) -> Self {
        self.values = values;
        self
    }

    #[track_caller]
    fn check(self) {
        let Some(folder) = folder() else {
            println!("skipped: spark-xml's test files are not at hand");
            return;
        };
        let path = folder.join(self.file);
        let schema = if let Some(ddl) = self.given {
            parse_ddl(ddl).unwrap()
        } else {
            let input = Input::new(self.file, File::open(&path).unwrap());
            let infer = InferSchema::new(self.options.clone());
            infer.run([Ok(input)]).unwrap().schema
        };
        if let Some(ddl) = self.inferred {
            let found = plain(&schema);
            assert_eq!(
                found,
                plain(&parse_ddl(ddl).unwrap()),
                "{}: {}",
                self.file,
                to_ddl(&found).unwrap()
            );
        }
        let bytes = fs_err::read(&path).unwrap();
        let (rows, report) = convert(&bytes, &schema, &self.options).unwrap();
        assert_eq!(rows.len(), self.rows, "{}: {report:?}", self.file);
        let rows = Value::Array(rows);
        for (pointer, expected) in self.values.as_object().unwrap() {
            let found = rows.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(found, expected, "{}: {pointer} in {rows}", self.file);
        }
    }

    /// The run ends with an error.
    #[track_caller]
    fn check_fails(self, expected: &str) {
        let Some(folder) = folder() else {
            println!("skipped: spark-xml's test files are not at hand");
            return;
        };
        let bytes = fs_err::read(folder.join(self.file)).unwrap();
        let schema = parse_ddl(self.given.unwrap()).unwrap();
        let error = convert(&bytes, &schema, &self.options).unwrap_err();
        assert!(
            error.to_string().contains(expected),
            "{}: {error}",
            self.file
        );
    }
}

const CARS: &str = "comment STRING, make STRING, model STRING, year BIGINT";

#[test]
fn cars() {
    case("cars.xml", "ROW", 3)
        .inferred(CARS)
        .values(json!({"/0/comment": "No comment", "/0/year": 2012}))
        .check();
    case("cars.xml.gz", "ROW", 3).inferred(CARS).check();
    case("cars.xml.bz2", "ROW", 3).inferred(CARS).check();
    case("cars-iso-8859-1.xml", "ROW", 3)
        .with(|options| options.encoding = Some("ISO-8859-1".to_owned()))
        .values(json!({"/0/comment": "No comment", "/0/year": 2012}))
        .check();
    case("cars-no-indentation.xml", "ROW", 3)
        .values(json!({"/0/model": "S", "/1/model": "E350", "/2/model": "Volt"}))
        .check();
    case("cars-unbalanced-elements.xml", "ROW", 3)
        .given("color STRING, year INT, make STRING, model STRING, comment STRING")
        .values(json!({"/0/year": 2015, "/1/year": null, "/0/color": "green"}))
        .check();
    case("cars-attribute.xml", "ROWSET", 1)
        .given("ROW STRING")
        .values(json!({"/0/ROW": "<year>2015</year>\n        <make>Chevy</make>\n        <model>Volt</model>\n        <comment foo=\"bar\">No</comment>"}))
        .check();
    // The attribute's column of the two: spark-xml has `date` as a struct as well.
    case("cars-mixed-attr-no-child.xml", "ROW", 3)
        .values(json!({"/0/date/_type": "string", "/1/date/_type": "struct", "/1/date/day": 2}))
        .check();
}

#[test]
fn malformed_rows() {
    let malformed = || case("cars-malformed.xml", "ROW", 3).given(CARS);
    let last = json!({"/0/make": "Chevy", "/0/model": "Volt", "/0/year": 2015});
    let mut dropped = malformed()
        .with(|options| options.mode = Mode::DropMalformed)
        .values(last);
    dropped.rows = 1;
    dropped.check();
    malformed()
        .with(|options| options.mode = Mode::FailFast)
        .check_fails("</ROW>");
    case("cars-malformed.xml", "ROW", 3)
        .with(|options| options.corrupt_record_column = "_malformed_records".to_owned())
        .inferred("_malformed_records STRING, make STRING, model STRING, year BIGINT")
        .values(json!({
            "/0/make": null, "/1/make": null, "/2/_malformed_records": null,
            "/2/make": "Chevy", "/2/model": "Volt", "/2/year": 2015,
            "/1/_malformed_records": "<ROW>\n        </year>\n        <make>Ford</make>\n        <model>E350</model>model></model>\n        <comment>Go get one now they are going fast</comment>\n    </ROW>",
        }))
        .check();
    case("unclosed_tag.xml", "book", 0)
        .given("_id STRING")
        .with(|options| options.mode = Mode::FailFast)
        .check_fails("line 3");
    case("books-malformed-attributes.xml", "book", 2)
        .with(|options| options.mode = Mode::DropMalformed)
        .values(json!({"/0/_id": "bk111", "/1/_id": "bk112"}))
        .check();
    case("empty.xml", "ROW", 0).given("column STRING").check();
}

const BOOK: &str = "_id STRING, author STRING, description STRING, genre STRING, price DOUBLE, publish_date DATE, title STRING";

#[test]
fn books() {
    case("books.xml", "book", 12)
        .inferred(BOOK)
        .values(json!({"/0/_id": "bk101", "/0/price": 44.95, "/0/publish_date": "2000-10-01"}))
        .check();
    case("books.xml", "book", 12)
        .with(|options| options.exclude_attributes = true)
        .inferred("author STRING, description STRING, genre STRING, price DOUBLE, publish_date DATE, title STRING")
        .check();
    case("books.xml", "book", 12)
        .given("_id STRING, author STRING, title STRING, genre STRING, xs_any ARRAY<STRING>")
        .values(json!({"/0/xs_any/0": "44.95", "/0/xs_any/1": "2000-10-01", "/0/xs_any/3": null}))
        .check();
    // spark-xml keeps the last of several elements that only the wildcard takes, and loses the others;
    // here the row counts as one that does not fit.
    case("books.xml", "book", 12)
        .given("_corrupt_record STRING, author STRING, title STRING, genre STRING, price DOUBLE, xs_any STRING")
        .values(json!({"/0/xs_any": "2000-10-01"}))
        .check();
    case("books-nested-object.xml", "book", 12)
        .inferred("_id STRING, author STRING, description STRING, genre STRING, price DOUBLE, publish_dates STRUCT<publish_date: DATE>, title STRING")
        .check();
    case("books-nested-array.xml", "book", 12)
        .inferred("_id STRING, author STRING, description STRING, genre STRING, price DOUBLE, publish_date ARRAY<DATE>, title STRING")
        .values(json!({"/0/publish_date": ["2000-10-01", "2000-10-02"]}))
        .check();
    case("books-complicated.xml", "book", 3)
        .inferred("_id STRING, author STRING, genre STRUCT<genreid: BIGINT, name: STRING>, price DOUBLE, \
                   publish_dates STRUCT<publish_date: ARRAY<STRUCT<_tag: STRING, day: BIGINT, month: BIGINT, year: BIGINT>>>, title STRING")
        .check();
    case("books-complicated-null-attribute.xml", "book", 3)
        .values(json!({"/0/_sequence": 1, "/1/_sequence": null}))
        .check();
    case("books-unicode-in-tag-name.xml", "書", 3).check();
}

#[test]
fn attributes_without_children() {
    // The price is a string there: `$5.95` is among the values.
    case("books-attributes-in-no-child.xml", "book", 12)
        .inferred("_id STRING, author STRING, price STRUCT<_VALUE: STRING, _unit: STRING>, publish_date DATE, title STRING")
        .values(json!({"/0/price/_unit": null, "/1/price/_unit": "$"}))
        .check();
    case("books-attributes-in-no-child.xml", "book", 12)
        .with(|options| {
            options.attribute_prefix = "@#".to_owned();
            options.value_tag = "#@@value".to_owned();
        })
        .inferred("`@#id` STRING, author STRING, price STRUCT<`#@@value`: STRING, `@#unit`: STRING>, publish_date DATE, title STRING")
        .check();
    case("ages.xml", "person", 3)
        .inferred("age STRUCT<_VALUE: BIGINT, _born: DATE>, name STRING")
        .values(json!({"/0/age/_born": "1990-02-24", "/1/age/_born": "1985-01-01"}))
        .check();
    case("ages-with-spaces.xml", "person", 3)
        .inferred("age STRUCT<_VALUE: BIGINT, _born: DATE>, name STRING")
        .values(json!({"/0/age/_born": "1990-02-24", "/1/age/_VALUE": 30, "/0/name": "Hyukjin"}))
        .check();
    case("ages-mixed-types.xml", "person", 3)
        .inferred("age STRUCT<_VALUE: BIGINT, _born: DATE>, name STRING")
        .values(json!({"/0/name": "<firstName>Hyukjin</firstName>", "/1/name": "Lars"}))
        .check();
    case("feed-with-spaces.xml", "entry", 4)
        .values(json!({"/0/id": "A", "/1/id": "B", "/2/id": "C", "/3/id": "D"}))
        .check();
}

#[test]
fn namespaces() {
    case("books-namespaces.xml", "book", 3)
        .with(|options| options.namespaces = Namespaces::Strip)
        .inferred("_id STRING, author STRING")
        .values(json!({"/0/author": "Gambardella, Matthew", "/1/_id": "bk102", "/2/_id": "bk103"}))
        .check();
    case("books-namespaces.xml", "book", 3)
        .with(|options| options.namespaces = Namespaces::Expand)
        .inferred("`_id` STRING, `_{abc}id` STRING, `_{def}id` STRING, author STRING, `{abc}author` STRING, `{def}author` STRING")
        .check();
    case("topics-namespaces.xml", "Topic", 1)
        .inferred("`_r:id` STRING, catid BIGINT")
        .check();
    for file in [
        "attributesStartWithNewLine.xml",
        "attributesStartWithNewLineCR.xml",
        "attributesStartWithNewLineLF.xml",
    ] {
        case(file, "note", 1)
            .with(|options| options.namespaces = Namespaces::Strip)
            .inferred("_schemaLocation STRING, _xmlns STRING, _xsi STRING, body STRING, from STRING, heading STRING, to STRING")
            .values(json!({"/0/to": "Tove"}))
            .check();
    }
}

#[test]
fn nulls() {
    case("gps-empty-field.xml", "ROW", 2)
        .with(|options| options.treat_empty_values_as_nulls = true)
        .values(json!({"/0/extensions/TrackPointExtension/hr": null, "/1/extensions/TrackPointExtension/hr": 119}))
        .check();
    case("gps-empty-field.xml", "ROW", 2)
        .with(|options| options.null_value = Some("2013-01-24T06:18:43Z".to_owned()))
        .values(json!({"/0/time": null, "/1/time": "2013-01-25T06:18:43Z"}))
        .check();
    case("null-numbers.xml", "ROW", 3)
        .given("name STRING, age STRING")
        .with(|options| options.ignore_surrounding_spaces = false)
        .values(json!({"/0/age": "35", "/1/age": "    "}))
        .check();
    case("null-numbers.xml", "ROW", 3)
        .given("name STRING, age INT")
        .with(|options| options.treat_empty_values_as_nulls = true)
        .values(json!({"/0/age": 35, "/1/age": null, "/2/age": 24}))
        .check();
    case("null-numbers-2.xml", "TEST", 1)
        .given("Header STRUCT<_Name: STRING, _SequenceNumber: BIGINT>, T ARRAY<STRUCT<_Number: BIGINT, _VALUE: DOUBLE, _Volume: DOUBLE>>")
        .with(|options| options.null_value = Some(String::new()))
        .values(json!({"/0/T/0/_Volume": 20.0, "/0/T/1/_Volume": null, "/0/T/1/_Number": 2}))
        .check();
    case("null-empty-string.xml", "row", 1)
        .with(|options| options.null_value = Some(String::new()))
        .values(json!({"/0/fruit": "grape", "/0/color": null}))
        .check();
    case("null-nested-struct.xml", "item", 2)
        .values(json!({"/0/b/es/e": 1, "/1/b/es": {}}))
        .check();
    case("null-nested-struct-2.xml", "item", 5)
        .given("b STRUCT<es: STRUCT<e: STRING, f: STRING>>")
        .with(|options| options.ignore_surrounding_spaces = false)
        .values(json!({
            "/0/b": {}, "/1/b": {"es": {}}, "/2/b": {"es": {"e": "E"}},
            "/3/b": {"es": {"e": "E", "f": " "}}, "/4/b": {"es": {"e": "E", "f": ""}},
        }))
        .check();
    case("self-closing-tag.xml", "ROW", 1)
        .given("`non-empty-tag` INT, `self-closing-tag` INT")
        .values(json!({"/0": {"non-empty-tag": 1}}))
        .check();
    // With Spark 4's default of ignoring white space around values this is null, not an error.
    case("whitespace_error.xml", "Books", 1)
        .given("Book STRUCT<Price: DOUBLE>, _corrupt_record STRING")
        .with(|options| options.ignore_surrounding_spaces = false)
        .values(json!({"/0/_corrupt_record": "<Books><Book><Price> </Price></Book></Books>"}))
        .check();
}

#[test]
fn nesting() {
    case("simple-nested-objects.xml", "ROW", 2)
        .given("c STRUCT<b: INT, a: INT>")
        .values(json!({"/0/c": {"a": 111, "b": 222}}))
        .check();
    case("nested-element-with-name-of-parent.xml", "parent", 2)
        .inferred("child STRING, parent STRUCT<child: STRING>")
        .values(json!({"/0/child": "Child 1.2", "/1/parent/child": "Child 2.1"}))
        .check();
    case(
        "nested-element-with-attributes-and-name-of-parent.xml",
        "parent",
        2,
    )
    .inferred("_ID BIGINT, child STRING, parent STRUCT<_ID: DOUBLE, child: STRING>")
    .check();
    case("struct_with_optional_child.xml", "Foo", 1)
        .values(json!({"/0/Bar/0/_bing": 123, "/0/Bar/1/_bing": 345, "/0/Bar/2": null}))
        .check();
    case("map-attribute.xml", "PMSetup", 1)
        .given("PMTarget MAP<STRING, STRING>")
        .values(json!({"/0/PMTarget": {"_measurementType": "TYPE1", "M1": "0", "M2": "0"}}))
        .check();
    case("fias_house.xml", "House", 37).check();
    case("fias_house.xml.gz", "House", 37).check();
    case("fias_house.xml.bz2", "House", 37).check();
    case("fias_house.large.xml", "House", 740).check();
    case("fias_house.large.xml.gz", "House", 740).check();
    case("fias_house.large.xml.bz2", "House", 740).check();
    case("basket.xml", "basket", 1)
        .values(json!({"/0/entry/0/key": 9027}))
        .check();
}

/// spark-xml reads these files in blocks of 500 and 8342 bytes, and finds each row once.
#[test]
fn rows_are_found_whatever_the_size_of_segments() {
    let Some(folder) = folder() else {
        println!("skipped: spark-xml's test files are not at hand");
        return;
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.unwrap();
    for (file, expected) in [("fias_house.xml", 37), ("fias_house.large.xml", 740)] {
        for suffix in ["", ".gz", ".bz2"] {
            for bytes in [1, 500, 8342] {
                let name = format!("{file}{suffix}");
                let input = Input::new(&*name, File::open(folder.join(&name)).unwrap());
                let schema = parse_ddl("_HOUSEID STRING").unwrap();
                let convert = Convert::new(&schema, XmlOptions::new("House")).unwrap();
                let convert = convert.with_segment_bytes(bytes);
                let report = convert.run_on([Ok(input)], &pool, |_| Ok(())).unwrap();
                assert_eq!(report.rows, expected, "{name} in pieces of {bytes}");
            }
        }
    }
}

/// spark-xml's `rowValidationXSDPath`.
#[test]
fn rows_are_validated() {
    let Some(folder) = folder() else {
        println!("skipped: spark-xml's test files are not at hand");
        return;
    };
    let read = |name: &str| fs_err::read_to_string(folder.join(name)).unwrap();
    let mut nothing = |_: &SchemaRequest<'_>| Ok(None);
    let xsd = Xsd::read("basket.xsd", &read("basket.xsd"), &mut nothing).unwrap();
    let ddl = "entry ARRAY<STRUCT<key: BIGINT, value: STRING>>, _corrupt_record STRING";
    let run = |file: &str| {
        let convert = Convert::new(&parse_ddl(ddl).unwrap(), XmlOptions::new("basket")).unwrap();
        let convert = convert.with_validator(xsd.row_validator("basket").unwrap());
        let mut rows = Vec::new();
        let input = Input::new(file, std::io::Cursor::new(read(file)));
        let report = convert.run([Ok(input)], |batch| {
            rows.extend(to_json(&batch));
            Ok(())
        });
        assert_eq!(rows.len(), 1);
        (rows.remove(0), report.unwrap())
    };
    let (row, report) = run("basket.xml");
    assert_eq!(
        (row["entry"][0]["key"].clone(), report.corrupt_rows),
        (json!(9027), 0)
    );
    assert_eq!(row.get("_corrupt_record"), None);
    let (row, report) = run("basket_invalid.xml");
    assert!(
        row["_corrupt_record"]
            .as_str()
            .unwrap()
            .starts_with("<basket>")
    );
    assert_eq!((row.get("entry"), report.corrupt_rows), (None, 1));
}

#[test]
fn mixed_content() {
    // Text beside children is under the value tag, as in Spark 4; spark-xml lost some of it.
    case("mixed_children.xml", "root", 1)
        .with(|options| options.ignore_surrounding_spaces = false)
        .values(json!({"/0/foo/bar": " lorem ", "/0/missing": " ipsum ", "/0/foo/_VALUE": [" issue ", " text ignored "]}))
        .check();
    case("mixed_children_2.xml", "root", 1)
        .with(|options| options.ignore_surrounding_spaces = false)
        .values(json!({"/0/foo/bar": " lorem ", "/0/foo/baz/bing": 2, "/0/missing": " ipsum "}))
        .check();
    case("processing.xml", "foo", 1)
        .values(json!({"/0/bar": "lorem ipsum"}))
        .check();
    let Some(folder) = folder() else { return };
    let bytes = fs_err::read(folder.join("mixed_children_as_string.xml")).unwrap();
    let schema = parse_ddl("text STRING").unwrap();
    let (rows, _) = convert(&bytes, &schema, &XmlOptions::new("book")).unwrap();
    let text = rows[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("Lorem ipsum dolor sit amet. Ut <i>voluptas</i> distinctio"),
        "{text}"
    );
    assert!(
        text.contains("repellat") || text.contains("<i>numquam</i> incidunt"),
        "{text}"
    );
}

#[test]
fn types() {
    case("textColumn.xml", "ROW", 3)
        .inferred("col1 BIGINT, col2 STRING, col3 DOUBLE")
        .values(json!({"/0/col1": 10}))
        .check();
    case("textColumn.xml", "ROW", 3)
        .given("col1 STRING, col2 STRING, col3 STRING")
        .values(json!({"/0/col1": "00010", "/0/col3": "0.00100"}))
        .check();
    case("date.xml", "book", 1)
        .inferred("author STRING, date DATE, date2 STRING")
        .values(json!({"/0/date": "2021-02-01", "/0/date2": "02-01-2021"}))
        .check();
    case("date.xml", "book", 1)
        .with(|options| options.date_format = Some("MM-dd-yyyy".to_owned()))
        .inferred("author STRING, date DATE, date2 DATE")
        .values(json!({"/0/date": "2021-02-01", "/0/date2": "2021-02-01"}))
        .check();
    let times = |format: Option<&'static str>, values| {
        case("time.xml", "book", 1)
            .with(|options| options.timestamp_format = format.map(str::to_owned))
            .values(values)
            .check();
    };
    times(
        None,
        json!({"/0/time": "2011-12-03T10:15:30Z", "/0/time2": "12-03-2011 10:15:30 PST", "/0/time3": "2011/12/03 06:15:30"}),
    );
    times(
        Some("MM-dd-yyyy HH:mm:ss z"),
        json!({"/0/time": "2011-12-03T10:15:30Z", "/0/time2": "2011-12-03T18:15:30Z"}),
    );
    times(
        Some("yyyy/MM/dd HH:mm:ss"),
        json!({"/0/time3": "2011-12-03T06:15:30Z"}),
    );
    times(
        Some("yyyy/MM/dd HH:mm:ss Z"),
        json!({"/0/time4": "2011-12-03T06:15:30Z"}),
    );
}

#[test]
fn values_that_do_not_fit() {
    case("datatypes-valid-and-invalid.xml", "ROW", 2)
        .given("integer_value INT, long_value BIGINT, float_value FLOAT, double_value DOUBLE, boolean_value BOOLEAN, string_value STRING, \
                integer_array ARRAY<INT>, integer_map MAP<STRING, INT>, _malformed_records STRING")
        .with(|options| options.corrupt_record_column = "_malformed_records".to_owned())
        .values(json!({
            "/0/integer_value": 10, "/0/long_value": 10, "/0/float_value": 10.0, "/0/double_value": 10.0, "/0/boolean_value": true,
            "/0/string_value": "Ten", "/0/integer_array": [1, 2], "/0/integer_map": {"a": 123, "b": 345}, "/0/_malformed_records": null,
            "/1/integer_value": null, "/1/long_value": null, "/1/float_value": null, "/1/double_value": null, "/1/boolean_value": null,
            "/1/string_value": "Ten", "/1/integer_array": [2], "/1/integer_map": null,
        }))
        .check();
    let Some(folder) = folder() else { return };
    let text = fs_err::read_to_string(folder.join("datatypes-valid-and-invalid.xml")).unwrap();
    let schema = parse_ddl("long_value BIGINT, _corrupt_record STRING").unwrap();
    let (rows, report) = convert(text.as_bytes(), &schema, &XmlOptions::new("ROW")).unwrap();
    let raw = rows[1]["_corrupt_record"].as_str().unwrap();
    assert!(
        raw.starts_with("<ROW>") && raw.ends_with("</ROW>") && text.contains(raw),
        "{raw}"
    );
    assert_eq!((report.rows, report.corrupt_rows), (2, 1));
    assert_eq!(report.first_rejects[0].place.line, 19);
    assert_eq!(
        report.first_rejects[0].reason.to_string(),
        "column `long_value`: `Ten` is no whole number of 64 bits"
    );
    // A column that is repeated, but is no list.
    case("manual_schema_corrupt_record.xml", "row", 1)
        .given("_corrupt_record STRING, _id INT, c2 STRING, c20 STRING, c46 STRING, c99 ARRAY<STRUCT<_VALUE: STRING, _m: INT>>")
        .values(json!({"/0/c46": "20210207", "/0/c99/1/_m": 2, "/0/c99/1/_VALUE": "IBAN"}))
        .check();
}
