use std::path::PathBuf;

use proptest::prelude::*;

use super::{ColumnOptions, RowValidator, SchemaRequest, Xsd};
use crate::Result;
use crate::schema::ddl::to_ddl;

type Loaded = Result<Option<(String, String)>, Box<dyn std::error::Error + Send + Sync>>;

/// No other documents.
#[expect(clippy::unnecessary_wraps, reason = "loaders may fail")]
fn nothing(_: &SchemaRequest<'_>) -> Loaded {
    Ok(None)
}

/// The schema with these parts; `xs` is bound, and what has no prefix has no namespace.
fn schema_of(parts: &str) -> Result<Xsd> {
    let text =
        format!("<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">\n{parts}</xs:schema>");
    Xsd::read("test.xsd", &text, &mut nothing)
}

#[track_caller]
fn check(parts: &str, expected: &str) {
    let schema = schema_of(parts)
        .unwrap()
        .schema(&ColumnOptions::default())
        .unwrap();
    assert_eq!(to_ddl(&schema).unwrap(), expected);
}

#[track_caller]
fn check_error(parts: &str, expected: &str) {
    assert_eq!(schema_of(parts).unwrap_err().to_string(), expected);
}

/// The schemas of spark-xml's tests, beside the workspace where they are at hand.
fn fixtures() -> Option<PathBuf> {
    let found = calve_testkit::shared_data().map(|data| data.join("xml/spark-xml"));
    if found.is_none() {
        eprintln!("skipped: the data of spark-xml's tests is not at hand");
    }
    found
}

fn read_fixture(name: &str) -> Option<Xsd> {
    let path = fixtures()?.join(name);
    let mut load = |request: &SchemaRequest<'_>| -> Loaded {
        let Some(location) = request.location else {
            return Ok(None);
        };
        let path = PathBuf::from(request.base).parent().unwrap().join(location);
        let text = fs_err::read_to_string(&path)?;
        Ok(Some((path.to_string_lossy().into_owned(), text)))
    };
    let text = fs_err::read_to_string(&path).unwrap();
    Some(Xsd::read(&path.to_string_lossy(), &text, &mut load).unwrap())
}

/// The schema is the one that spark-xml's `XSDToSchemaSuite` expects, written as DDL.
#[track_caller]
fn check_fixture(name: &str, expected: &str) {
    if let Some(xsd) = read_fixture(name) {
        let schema = xsd.schema(&ColumnOptions::default()).unwrap();
        assert_eq!(to_ddl(&schema).unwrap(), expected, "{name}");
    }
}

#[test]
fn schemas_of_the_peers_suite() {
    let basket = "basket STRUCT<entry: ARRAY<STRUCT<key: STRING, value: STRING>>> NOT NULL";
    check_fixture("basket.xsd", basket);
    check_fixture("include-example/first.xsd", basket);
    check_fixture(
        "catalog.xsd",
        "catalog STRUCT<product: STRUCT<catalog_item: ARRAY<STRUCT<item_number: STRING NOT NULL, \
         price: FLOAT NOT NULL, size: ARRAY<STRUCT<color_swatch: ARRAY<STRUCT<_VALUE: STRING, \
         _image: STRING>>, _description: STRING>>, _gender: STRING>>, _description: STRING, \
         _product_image: STRING> NOT NULL> NOT NULL",
    );
    check_fixture(
        "choice.xsd",
        "el STRUCT<foo: STRING, bar: STRING, baz: STRING> NOT NULL",
    );
    // The peer gives elements of the top level in the order of a hash map; here it is the document's.
    check_fixture(
        "twoelements.xsd",
        "foo STRING NOT NULL, bar STRING NOT NULL",
    );
    check_fixture(
        "decimal-with-restriction.xsd",
        "decimal_type_1 DECIMAL(38,18) NOT NULL, decimal_type_2 DECIMAL(38,2) NOT NULL, \
         decimal_type_3 DECIMAL(12,6) NOT NULL",
    );
    check_fixture(
        "xsany.xsd",
        "root STRUCT<foo: STRUCT<xs_any: STRING> NOT NULL, bar: STRUCT<xs_any: STRING NOT NULL> NOT NULL, \
         baz: STRUCT<xs_any: ARRAY<STRING> NOT NULL> NOT NULL, bing: STRUCT<xs_any: STRING> NOT NULL> NOT NULL",
    );
    check_fixture("long.xsd", "test STRUCT<userId: BIGINT NOT NULL> NOT NULL");
    let book = "name: STRING NOT NULL, author: STRING NOT NULL, isbn: STRING NOT NULL";
    check_fixture(
        "ref-attribute.xsd",
        &format!(
            "book STRUCT<{book}> NOT NULL, bookList STRUCT<book: ARRAY<STRUCT<{book}>>> NOT NULL"
        ),
    );
    check_fixture(
        "complex-content-extension.xsd",
        "employee STRUCT<firstname: STRING NOT NULL, lastname: STRING NOT NULL, address: STRING NOT NULL, \
         city: STRING NOT NULL, country: STRING NOT NULL> NOT NULL",
    );
}

#[test]
fn built_in_types_are_those_of_spark() {
    for (name, expected) in [
        ("anyType", "STRING"),
        ("anySimpleType", "STRING"),
        ("anyURI", "STRING"),
        ("base64Binary", "STRING"),
        ("boolean", "BOOLEAN"),
        ("byte", "TINYINT"),
        ("date", "DATE"),
        ("dateTime", "TIMESTAMP"),
        ("decimal", "DECIMAL(38,18)"),
        ("double", "DOUBLE"),
        ("duration", "STRING"),
        ("ENTITIES", "STRING"),
        ("float", "FLOAT"),
        ("gDay", "STRING"),
        ("gYear", "STRING"),
        ("hexBinary", "STRING"),
        ("ID", "STRING"),
        ("int", "INT"),
        ("integer", "DECIMAL(38,0)"),
        ("long", "BIGINT"),
        ("negativeInteger", "DECIMAL(38,0)"),
        ("nonNegativeInteger", "DECIMAL(38,0)"),
        ("positiveInteger", "DECIMAL(38,0)"),
        ("QName", "STRING"),
        ("short", "SMALLINT"),
        ("string", "STRING"),
        ("time", "STRING"),
        ("token", "STRING"),
        ("unsignedByte", "SMALLINT"),
        ("unsignedInt", "BIGINT"),
        ("unsignedLong", "DECIMAL(38,0)"),
        ("unsignedShort", "INT"),
    ] {
        let part = format!("<xs:element name='e' type='xs:{name}'/>");
        check(&part, &format!("e {expected} NOT NULL"));
    }
}

#[test]
fn decimals_can_have_all_their_digits_before_the_point() {
    let decimal = |total: u32, fraction: u32| {
        format!(
            "<xs:element name='e'><xs:simpleType><xs:restriction base='xs:decimal'>\
             <xs:totalDigits value='{total}'/><xs:fractionDigits value='{fraction}'/>\
             </xs:restriction></xs:simpleType></xs:element>"
        )
    };
    let options = ColumnOptions {
        extend_decimal_precision: true,
        ..ColumnOptions::default()
    };
    for (total, fraction, plain, extended) in [
        (12, 6, "DECIMAL(12,6)", "DECIMAL(18,6)"),
        (20, 5, "DECIMAL(20,5)", "DECIMAL(25,5)"),
        (30, 20, "DECIMAL(30,20)", "DECIMAL(38,20)"),
        (5, 18, "DECIMAL(5,5)", "DECIMAL(10,5)"),
    ] {
        let part = decimal(total, fraction);
        check(&part, &format!("e {plain} NOT NULL"));
        let schema = schema_of(&part).unwrap().schema(&options).unwrap();
        assert_eq!(to_ddl(&schema).unwrap(), format!("e {extended} NOT NULL"));
    }
}

/// An element `e` of a complex type with this inside.
fn complex(inside: &str) -> String {
    format!("<xs:element name='e'><xs:complexType>{inside}</xs:complexType></xs:element>")
}

#[test]
fn what_may_repeat_is_a_list() {
    let (a, b) = (
        "<xs:element name='a' type='xs:int'/>",
        "<xs:element name='b' type='xs:int'/>",
    );
    check(
        &complex(&format!(
            "<xs:choice maxOccurs='unbounded'>{a}{b}</xs:choice>"
        )),
        "e STRUCT<a: ARRAY<INT>, b: ARRAY<INT>> NOT NULL",
    );
    check(
        &complex(&format!(
            "<xs:sequence minOccurs='0'>{a}<xs:choice>{b}{a}</xs:choice></xs:sequence>"
        )),
        "e STRUCT<a: ARRAY<INT>, b: INT> NOT NULL",
    );
    check(
        &complex(&format!("<xs:all>{a}{b}</xs:all>")),
        "e STRUCT<a: INT NOT NULL, b: INT NOT NULL> NOT NULL",
    );
    check(
        &complex(
            "<xs:sequence><xs:element name='a' maxOccurs='0'/><xs:element name='n' type='xs:int' nillable='true'/></xs:sequence>",
        ),
        "e STRUCT<n: INT> NOT NULL",
    );
}

#[test]
fn groups_references_and_derivations_are_resolved() {
    check(
        "<xs:group name='g'><xs:sequence><xs:element name='x' type='code'/></xs:sequence></xs:group>
         <xs:attributeGroup name='ag'><xs:attribute name='k' type='xs:int' use='required'/></xs:attributeGroup>
         <xs:attribute name='top' type='xs:date'/>
         <xs:simpleType name='code'><xs:restriction base='number'/></xs:simpleType>
         <xs:simpleType name='number'><xs:restriction base='xs:int'><xs:maxInclusive value='9'/></xs:restriction></xs:simpleType>
         <xs:element name='e'><xs:complexType><xs:group ref='g' maxOccurs='2'/>
           <xs:attributeGroup ref='ag'/><xs:attribute ref='top'/><xs:attribute ref='xml:lang'/></xs:complexType></xs:element>",
        "e STRUCT<x: ARRAY<INT> NOT NULL, _k: INT NOT NULL, _top: DATE, `_xml:lang`: STRING> NOT NULL",
    );
    let types = "<xs:complexType name='money'><xs:simpleContent><xs:extension base='xs:decimal'>
           <xs:attribute name='currency' use='required'/></xs:extension></xs:simpleContent></xs:complexType>
         <xs:complexType name='base'><xs:sequence><xs:element name='a' type='xs:int'/></xs:sequence><xs:attribute name='k'/></xs:complexType>";
    check(
        &format!("{types}<xs:element name='e'><xs:complexType><xs:simpleContent><xs:restriction base='money'>
           <xs:totalDigits value='9'/><xs:fractionDigits value='2'/></xs:restriction></xs:simpleContent></xs:complexType></xs:element>"),
        "e STRUCT<_VALUE: DECIMAL(9,2), _currency: STRING NOT NULL> NOT NULL",
    );
    check(
        &format!("{types}<xs:element name='e'><xs:complexType><xs:complexContent><xs:restriction base='base'>
           <xs:sequence><xs:element name='a' type='xs:byte'/></xs:sequence><xs:attribute name='k' use='prohibited'/>
           </xs:restriction></xs:complexContent></xs:complexType></xs:element>"),
        "e STRUCT<a: TINYINT NOT NULL> NOT NULL",
    );
    check(
        "<xs:element name='shape' abstract='true'/><xs:element name='circle' type='xs:int' substitutionGroup='shape'/>
         <xs:element name='square' type='xs:int' substitutionGroup='shape'/>
         <xs:element name='e'><xs:complexType><xs:sequence><xs:element ref='shape'/></xs:sequence></xs:complexType></xs:element>",
        "shape STRING NOT NULL, circle INT NOT NULL, square INT NOT NULL, e STRUCT<circle: INT, square: INT> NOT NULL",
    );
}

#[test]
fn lists_unions_and_mixed_content() {
    check(
        "<xs:element name='e'><xs:simpleType><xs:list itemType='xs:int'/></xs:simpleType></xs:element>",
        "e STRING NOT NULL",
    );
    let union = |members: &str| {
        format!(
            "<xs:element name='e'><xs:simpleType><xs:union memberTypes='{members}'/></xs:simpleType></xs:element>"
        )
    };
    check(&union("xs:int xs:date"), "e STRING NOT NULL");
    check(&union("xs:int xs:int"), "e INT NOT NULL");
    check(
        "<xs:element name='e'><xs:complexType mixed='true'><xs:sequence><xs:element name='i' type='xs:string' \
         minOccurs='0'/></xs:sequence></xs:complexType></xs:element>",
        "e STRUCT<_VALUE: STRING, i: STRING> NOT NULL",
    );
    check(&complex(""), "e STRING NOT NULL");
    check("<xs:element name='e'/>", "e STRING NOT NULL");
}

#[test]
fn types_may_contain_themselves_and_be_derived_inside_themselves() {
    check(
        "<xs:complexType name='clade'><xs:sequence><xs:element name='name' type='xs:string'/>
           <xs:element name='clade' type='clade' minOccurs='0' maxOccurs='unbounded'/></xs:sequence></xs:complexType>
         <xs:element name='e' type='clade'/>",
        "e STRUCT<name: STRING NOT NULL, clade: ARRAY<STRING>> NOT NULL",
    );
    check(
        "<xs:element name='e' type='expr'/>
         <xs:complexType name='expr'><xs:sequence><xs:element name='not' type='negation' minOccurs='0'/>
           <xs:element name='v' type='xs:int'/></xs:sequence></xs:complexType>
         <xs:complexType name='negation'><xs:complexContent><xs:extension base='expr'>
           <xs:attribute name='k' type='xs:int'/></xs:extension></xs:complexContent></xs:complexType>",
        "e STRUCT<not: STRUCT<not: STRING, v: INT NOT NULL, _k: INT>, v: INT NOT NULL> NOT NULL",
    );
    check_error(
        "<xs:complexType name='a'><xs:complexContent><xs:extension base='a'/></xs:complexContent></xs:complexType>",
        "test.xsd: line 2: `a` derives from itself",
    );
    check_error(
        "<xs:group name='g'><xs:sequence><xs:group ref='g'/></xs:sequence></xs:group>
         <xs:element name='e'><xs:complexType><xs:group ref='g'/></xs:complexType></xs:element>",
        "test.xsd: line 2: definitions lead into one another without end",
    );
}

#[test]
fn types_that_contain_one_another_in_many_ways_are_refused() {
    let types = 12;
    let children: Vec<String> = (0..types)
        .map(|it| format!("<xs:element name='c{it}' type='t{it}'/>"))
        .collect();
    let children = children.concat();
    let parts: Vec<String> = (0..types)
        .map(|it| format!("<xs:complexType name='t{it}'><xs:sequence>{children}</xs:sequence></xs:complexType>"))
        .collect();
    let parts = format!("<xs:element name='e' type='t0'/>{}", parts.concat());
    let error = schema_of(&parts)
        .unwrap()
        .schema(&ColumnOptions::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the XML Schema makes more than 100000 columns"
    );
}

#[test]
fn includes_and_imports_are_loaded() {
    let main = "<schema xmlns='http://www.w3.org/2001/XMLSchema' xmlns:o='urn:o' xmlns:t='urn:t' targetNamespace='urn:t'>
      <include schemaLocation='common.xsd'/><import namespace='urn:o' schemaLocation='other.xsd'/>
      <import namespace='urn:gone'/>
      <element name='e'><complexType><sequence><element name='a' type='t:code'/><element ref='o:b'/></sequence>
      <attribute xmlns:g='urn:gone' ref='g:href'/></complexType></element></schema>";
    let mut asked = Vec::new();
    let mut load = |request: &SchemaRequest<'_>| -> Loaded {
        asked.push((
            request.location.map(str::to_owned),
            request.namespace.map(str::to_owned),
        ));
        // A document without namespace takes the includer's, and may include in circles.
        let text = match request.location {
            Some("common.xsd") => {
                "<s:schema xmlns:s='http://www.w3.org/2001/XMLSchema'><s:include schemaLocation='common.xsd'/>
                 <s:simpleType name='code'><s:restriction base='inner'/></s:simpleType>
                 <s:simpleType name='inner'><s:restriction base='s:short'/></s:simpleType></s:schema>"
            }
            Some("other.xsd") => {
                "<s:schema xmlns:s='http://www.w3.org/2001/XMLSchema' targetNamespace='urn:o'>
                 <s:element name='b' type='s:date'/></s:schema>"
            }
            _ => return Ok(None),
        };
        Ok(Some((
            request.location.unwrap().to_owned(),
            text.to_owned(),
        )))
    };
    let xsd = Xsd::read("main.xsd", main, &mut load).unwrap();
    let schema = xsd.schema(&ColumnOptions::default()).unwrap();
    assert_eq!(
        to_ddl(&schema).unwrap(),
        "e STRUCT<a: SMALLINT NOT NULL, b: DATE NOT NULL, _href: STRING> NOT NULL"
    );
    assert_eq!(asked.len(), 4);
    // Columns can be made without the document that is gone, but rows cannot be judged.
    assert!(xsd.row_validator("e").is_err());
}

#[test]
fn wrong_schemas_are_refused_where_they_go_wrong() {
    check_error(
        "<xs:element/>",
        "test.xsd: line 2: `xs:element` lacks its name",
    );
    check_error(
        "\n<xs:element name='e' type='t'/>",
        "test.xsd: line 3: the type `t` is not defined",
    );
    check_error(
        "<xs:element name='e' type='q:t'/>",
        "test.xsd: line 2: the prefix `q` is not declared",
    );
    check_error(
        "<xs:element name='e' type='xs:t'/>",
        "test.xsd: line 2: XML Schema has no type `t`",
    );
    check_error(
        "<xs:include schemaLocation='gone.xsd'/>",
        "test.xsd: line 2: `gone.xsd` is not there to include",
    );
    check_error(
        "<xs:redefine schemaLocation='x'/>",
        "test.xsd: line 2: `xs:redefine` is not supported: write the definitions as they are to be",
    );
    assert!(schema_of("<xs:element name='e'").is_err());
    assert!(Xsd::read("a.xsd", "<a/>", &mut nothing).is_err());
    assert!(Xsd::read("a.xsd", "", &mut nothing).is_err());
}

#[test]
fn row_tags_name_elements() {
    let Some(xsd) = read_fixture("catalog.xsd") else {
        return;
    };
    let options = ColumnOptions::default();
    let expected =
        "color_swatch ARRAY<STRUCT<_VALUE: STRING, _image: STRING>>, _description STRING";
    for row_tag in [
        "size",
        "catalog/product/catalog_item/size",
        "product/catalog_item/size",
        "p:size",
    ] {
        let schema = xsd.row_schema(row_tag, &options).unwrap();
        assert_eq!(to_ddl(&schema).unwrap(), expected, "{row_tag}");
    }
    let price = xsd.row_schema("price", &options).unwrap();
    assert_eq!(to_ddl(&price).unwrap(), "_VALUE FLOAT");
    assert!(xsd.row_schema("catalog/size", &options).is_err());
    assert!(xsd.row_schema("", &options).is_err());
}

#[test]
fn names_of_columns_follow_the_options() {
    let part = complex(
        "<xs:simpleContent><xs:extension base='xs:int'><xs:attribute name='k'/></xs:extension></xs:simpleContent>",
    );
    let options = ColumnOptions {
        attribute_prefix: "@".to_owned(),
        value_tag: "#text".to_owned(),
        ..ColumnOptions::default()
    };
    let xsd = schema_of(&part).unwrap();
    assert_eq!(
        to_ddl(&xsd.schema(&options).unwrap()).unwrap(),
        "e STRUCT<`#text`: INT, `@k`: STRING> NOT NULL"
    );
    let options = ColumnOptions {
        exclude_attributes: true,
        ..options
    };
    assert_eq!(
        to_ddl(&xsd.schema(&options).unwrap()).unwrap(),
        "e INT NOT NULL"
    );
}

/// The rows are valid, or not for this reason.
#[track_caller]
fn check_rows(validator: &RowValidator, rows: &[(&str, &str)]) {
    for (row, expected) in rows {
        let found = validator
            .validate(row)
            .err()
            .map(|it| it.reason.to_string());
        assert_eq!(found.unwrap_or_default(), *expected, "{row}");
    }
}

/// A schema with a facet of each kind.
fn orders() -> RowValidator {
    let xsd = schema_of(
        "<xs:simpleType name='sku'><xs:restriction base='xs:string'><xs:pattern value='[A-Z]{2}\\d+'/>
           <xs:maxLength value='5'/></xs:restriction></xs:simpleType>
         <xs:element name='order'><xs:complexType><xs:sequence>
           <xs:element name='id' type='xs:positiveInteger'/>
           <xs:element name='item' maxOccurs='2'><xs:complexType><xs:simpleContent><xs:extension base='sku'>
             <xs:attribute name='n' use='required'><xs:simpleType><xs:restriction base='xs:int'>
               <xs:minInclusive value='1'/><xs:maxExclusive value='100'/></xs:restriction></xs:simpleType></xs:attribute>
           </xs:extension></xs:simpleContent></xs:complexType></xs:element>
           <xs:element name='note' minOccurs='0' nillable='true' type='xs:date'/>
           <xs:element name='state' minOccurs='0'><xs:simpleType><xs:restriction base='xs:token'>
             <xs:enumeration value='open'/><xs:enumeration value='shut'/></xs:restriction></xs:simpleType></xs:element>
           <xs:element name='sizes' minOccurs='0'><xs:simpleType><xs:restriction><xs:simpleType><xs:list itemType='xs:int'/></xs:simpleType>
             <xs:length value='2'/></xs:restriction></xs:simpleType></xs:element>
           <xs:any minOccurs='0' processContents='skip'/>
         </xs:sequence><xs:attribute name='v' fixed='1'/></xs:complexType></xs:element>",
    )
    .unwrap();
    xsd.row_validator("order").unwrap()
}

const ITEM: &str = "<item n='1'>AB1</item>";

/// An order with an item and this besides.
fn order(inside: &str) -> String {
    format!("<order><id>1</id>{ITEM}{inside}</order>")
}

#[test]
fn rows_that_are_as_the_schema_says_are_valid() {
    let validator = orders();
    for row in [
        order(""),
        order(ITEM),
        order("<note xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:nil='true'/>"),
        order("<state> shut </state><other><deep/></other>"),
        order("<sizes>1\n 2</sizes>"),
        format!("<p:order xmlns:p='urn:p' v='1'><id> +007 </id><!-- c -->{ITEM}</p:order>"),
    ] {
        assert_eq!(validator.validate(&row), Ok(()), "{row}");
    }
}

#[test]
fn rows_that_are_not_say_why() {
    let validator = orders();
    check_rows(
        &validator,
        &[
            (
                "<order><id>1</id></order>",
                "order: `item` is missing at the end",
            ),
            (
                &order(&ITEM.repeat(3)),
                "order: `item` stands where nothing more is to be",
            ),
            (
                "<order><id>0</id></order>",
                "order/id: `0` is no xs:positiveInteger",
            ),
            (
                "<order><id>1</id>x</order>",
                "order: the text `x` may not stand here",
            ),
            (
                "<order v='2'><id>1</id></order>",
                "order: attribute `v`: `2` is not `1`",
            ),
            (
                "<order w='2'/>",
                "order: the attribute `w` may not stand here",
            ),
            (
                "<order><id>1</id><item>AB1</item></order>",
                "order/item: the attribute `n` is missing",
            ),
            (
                "<order><id>1</id><item n='100'>AB1</item></order>",
                "order/item: attribute `n`: `100` is not below 100",
            ),
            (
                "<order><id>1</id><item n='1'>ab1</item></order>",
                "order/item: `ab1` does not match the pattern of its type",
            ),
            (
                "<order><id>1</id><item n='1'>AB1234</item></order>",
                "order/item: `AB1234` is too long",
            ),
            (
                "<order><id>1</id><item n='1'>AB1<b/></item></order>",
                "order/item: `b` may not stand here",
            ),
            (&order("<note/>"), "order/note: `` is no xs:date"),
            (
                &order("<state>lost</state>"),
                "order/state: `lost` is none of the values of its type",
            ),
            (
                &order("<sizes>1 2 3</sizes>"),
                "order/sizes: `1 2 3` has a length of 3",
            ),
            (
                &order("<sizes>1 b</sizes>"),
                "order/sizes: `b` is no xs:int",
            ),
            ("<order><id>1</order>", "`</order>` closes `<id>`"),
        ],
    );
}

#[test]
fn empty_elements_stand_for_their_defaults() {
    let xsd = schema_of(
        "<xs:element name='e'><xs:complexType><xs:sequence>
           <xs:element name='d' type='xs:int' default='5' minOccurs='0'/>
           <xs:element name='f' type='xs:decimal' fixed='1.50' minOccurs='0'/>
           <xs:element name='n' type='xs:int' minOccurs='0'/>
         </xs:sequence></xs:complexType></xs:element>",
    )
    .unwrap();
    check_rows(
        &xsd.row_validator("e").unwrap(),
        &[
            ("<e><d/><f/></e>", ""),
            ("<e><d>6</d><f> 1.5 </f></e>", ""),
            ("<e><f>2</f></e>", "e/f: `2` is not `1.50`"),
            ("<e><n/></e>", "e/n: `` is no xs:int"),
        ],
    );
}

#[test]
fn the_baskets_of_the_peers_suite() {
    let Some(xsd) = read_fixture("basket.xsd") else {
        return;
    };
    let validator = xsd.row_validator("basket").unwrap();
    for (name, is_valid) in [("basket.xml", true), ("basket_invalid.xml", false)] {
        let text = fs_err::read_to_string(fixtures().unwrap().join(name)).unwrap();
        let mut valid = true;
        for row in text
            .split_inclusive("</basket>")
            .filter(|it| it.contains("<basket>"))
        {
            let row = &row[row.find("<basket>").unwrap()..];
            valid &= validator.validate(row).is_ok();
        }
        assert_eq!(valid, is_valid, "{name}");
    }
}

#[test]
fn what_rows_cannot_be_judged_by_is_refused() {
    let xsd = schema_of(
        "<xs:element name='e'><xs:simpleType><xs:restriction base='xs:string'><xs:pattern value='\\p{IsGreek}'/>
         </xs:restriction></xs:simpleType></xs:element>",
    )
    .unwrap();
    let error = xsd.row_validator("e").unwrap_err().to_string();
    assert!(error.contains("IsGreek"), "{error}");
}

proptest! {
    #[test]
    fn no_schema_panics(parts in prop::collection::vec(
        prop::sample::select(vec![
            "<xs:element name='a' type='t'>", "<xs:element ref='a'/>", "</xs:element>", "<xs:complexType name='t'>",
            "<xs:complexType>", "</xs:complexType>", "<xs:sequence maxOccurs='unbounded'>", "</xs:sequence>",
            "<xs:choice>", "</xs:choice>", "<xs:any/>", "<xs:complexContent>", "</xs:complexContent>",
            "<xs:extension base='t'>", "</xs:extension>", "<xs:group ref='g'/>", "<xs:group name='g'>", "</xs:group>",
            "<xs:attribute name='k' type='xs:int'/>", "<xs:simpleType name='t'>", "</xs:simpleType>",
            "<xs:union memberTypes='t xs:int'/>", "<xs:list itemType='t'/>", "<xs:restriction base='t'>", "</xs:restriction>",
        ]), 0..12)) {
        if let Ok(xsd) = schema_of(&parts.concat()) {
            let _ = xsd.schema(&ColumnOptions::default());
            if let Ok(validator) = xsd.row_validator("a") {
                let _ = validator.validate("<a k='x'><a/>text</a>");
            }
        }
    }
}
