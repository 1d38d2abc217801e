//! Whatever people write as schemas, patterns and mappings is understood or refused, and never panics; what
//! is understood is written down as it can be read again.

use calve_xml::convert::Convert;
use calve_xml::mapping::Mapping;
use calve_xml::schema::ddl::{parse_ddl, to_ddl};
use calve_xml::schema::hints::Hints;
use calve_xml::schema::parse_schema;
use calve_xml::schema::spark_json::{parse_json, to_spark_json};
use calve_xml::schema::xsd::{ColumnOptions, Xsd};
use calve_xml::{FieldPath, XmlOptions};

/// Reads a text as everything that a person may write.
pub fn check(text: &str) {
    let _ = parse_schema(text);
    if let Ok(schema) = parse_ddl(text)
        && let Ok(written) = to_ddl(&schema)
    {
        let again = parse_ddl(&written).expect("what was written can be read");
        assert_eq!(to_ddl(&again).ok(), Some(written));
    }
    if let Ok(schema) = parse_json(text)
        && let Ok(written) = to_spark_json(&schema)
    {
        let again = parse_json(&written.to_string()).expect("what was written can be read");
        assert_eq!(to_spark_json(&again).ok(), Some(written));
    }
    if let Ok(xsd) = Xsd::read("schema.xsd", text, &mut |_| Ok(None)) {
        let _ = xsd.schema(&ColumnOptions::default());
        let _ = xsd.row_schema("row", &ColumnOptions::default());
        if let Ok(validator) = xsd.row_validator("row") {
            let _ = validator.validate("<row><a>1</a></row>");
        }
    }
    let _ = Mapping::from_json(text);
    let _ = text.parse::<FieldPath>();
    let _ = Hints::new().with_type(text);
    let mut options = XmlOptions::new("row");
    options.date_format = Some(text.to_owned());
    options.timestamp_format = Some(text.to_owned());
    if let Ok(schema) = parse_schema("d DATE, t TIMESTAMP")
        && let Ok(convert) = Convert::new(&schema, options)
    {
        let row = "<all><row><d>2024-01-02</d><t>01/02/2024 11:12:13 PM</t></row></all>";
        let input = calve_xml::Input::new("document", row.as_bytes());
        let _ = convert.run([Ok(input)], |_| Ok(()));
    }
}
