use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// The events of a document, one after another, and how it ends.
fn events(text: &str) -> (String, Result<(), String>) {
    let mut told = String::new();
    let mut lexer = Lexer::new(text);
    loop {
        let event = match lexer.next_event() {
            Ok(event) => event,
            Err(error) => return (told, Err(format!("{}: {}", error.offset, error.reason))),
        };
        match event {
            Event::Start(tag) => {
                write!(told, "({}", tag.name).unwrap();
                assert_eq!(tag.attributes().collect::<Vec<_>>(), lexer.attributes());
                for attribute in tag.attributes() {
                    write!(told, " {}={}", attribute.name, attribute.value).unwrap();
                }
                told.push('|');
            }
            Event::End(_) => told.push(')'),
            Event::Text(text) => write!(told, "[{}]", lexer.unescape(text)).unwrap(),
            Event::CData(text) => write!(told, "[[{text}]]").unwrap(),
            Event::Eof => return (told, Ok(())),
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(events(text), (expected.to_owned(), Ok(())));
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let (_, end) = events(text);
    assert_eq!(end, Err(expected.to_owned()), "{text}");
}

#[test]
fn events_come_in_the_order_of_the_text() {
    check("<a/>", "(a|)");
    check("<a></a>", "(a|)");
    check("<a\n/>", "(a|)");
    check("<a >x</a >", "(a|[x])");
    check("<a><b>1</b> <b c='2'/></a>", "(a|(b|[1])[ ](b c=2|))");
    check("<a>1<!-- <b> -->2</a>", "(a|[1][2])");
    check("<a>1<?b <c> ?>2</a>", "(a|[1][2])");
    check("<a><![CDATA[<b>&]]]]></a>", "(a|[[<b>&]]]])");
    check("<a><![CDATA[]]></a>", "(a|[[]])");
    check("<a b = \"1\"\tc='>/\"'>&lt;</a>", "(a b=1 c=>/\"|[<])");
    check("<größe:é>ü</größe:é>", "(größe:é|[ü])");
    check("<?xml version=\"1.0\"?>\n<!-- c --><a/>\n<?p?>\n", "(a|)");
    check(
        "<!DOCTYPE a SYSTEM \"x>y\" [ <!ELEMENT a ANY> <!-- ]> --> ]><a/>",
        "(a|)",
    );
    check(
        "<!DOCTYPE a [<!ENTITY b 'x&c;'><!ENTITY c \"&#38;#60;y\">]><a>&b;</a>",
        "(a|[x<y])",
    );
    let long = "n".repeat(40);
    check(&format!("<{long}></{long}>"), &format!("({long}|)"));
}

#[test]
fn wrong_content_and_declarations_are_told() {
    check_error(
        "<a>&</a>",
        "3: `&` begins no reference; as itself it is written `&amp;`",
    );
    check_error("<a>&b;</a>", "3: the entity `&b;` is not declared");
    check_error("<a b='&b;'/>", "6: the entity `&b;` is not declared");
    check_error("<a>]]></a>", "3: `]]>` may not stand here");
    check_error(
        "<a>\u{1}</a>",
        "3: the character U+0001 is not allowed in XML",
    );
    check_error(
        "<a><!-- -- --></a>",
        "8: `--` in a comment may not stand here",
    );
    check_error("<a><!-- </a>", "3: the text ends inside of a comment");
    check_error(
        "<a><![CDATA[</a>",
        "3: the text ends inside of a CDATA section",
    );
    check_error(
        "<a><?b </a>",
        "3: the text ends inside of a processing instruction",
    );
    check_error(
        " <?xml version='1.0'?><a/>",
        "1: an XML declaration may not stand here",
    );
    check_error(
        "<a><!DOCTYPE a></a>",
        "3: a document type declaration may not stand here",
    );
    check_error(
        "<a><!ELEMENT></a>",
        "3: a comment, a CDATA section or a document type is expected here",
    );
    check_error(
        "<!DOCTYPE a [<!ENTITY b SYSTEM 'x'>]><a>&b;</a>",
        "40: the entity `&b;` is refused: it is external",
    );
    check_error(
        "<!DOCTYPE a [<!ENTITY b '&b;'>]><a>&b;</a>",
        "35: the entity `&b;` is refused: it refers to itself, or is nested too deep",
    );
    check_error(
        "<!DOCTYPE a [<!ENTITY b '<c/>'>]><a>&b;</a>",
        "36: the entity `&b;` is refused: it holds markup",
    );
}

#[test]
fn wrong_tags_are_told() {
    check_error("", "0: a root element is expected here");
    check_error("<!-- -->", "8: a root element is expected here");
    check_error(
        "x<a/>",
        "0: text outside of the root element may not stand here",
    );
    check_error(
        "<a/>x",
        "4: text outside of the root element may not stand here",
    );
    check_error("<a/><a/>", "4: a second root element may not stand here");
    check_error("<a>", "3: `<a>` is not closed");
    check_error("<a><b></a>", "6: `</a>` closes `<b>`");
    check_error("<a></ab>", "3: `</ab>` closes `<a>`");
    check_error("</a>", "0: `</a>` closes nothing");
    check_error("<a></a", "3: the text ends inside of an end tag");
    check_error("<a></a b>", "7: `>` is expected here");
    check_error("<a", "0: the text ends inside of a start tag");
    check_error("<", "0: the text ends inside of a start tag");
    check_error("< a/>", "1: a name after `<` is expected here");
    check_error("<1/>", "1: `1` is not a name");
    check_error("<a×/>", "1: `a×` is not a name");
    check_error(
        "<a b/>",
        "4: `=` after an attribute's name is expected here",
    );
    check_error("<a b=c/>", "5: a quoted value is expected here");
    check_error("<a b='c/>", "0: the text ends inside of a start tag");
    check_error("<a b='<'/>", "6: `<` in an attribute may not stand here");
    check_error(
        "<a b='1'c='2'/>",
        "8: white space between attributes is expected here",
    );
    check_error("<a b='1' b='2'/>", "2: the attribute `b` is given twice");
    check_error(
        "<a\"/>",
        "2: white space, `>` or `/>` after the name is expected here",
    );
    check_error("<a / >", "4: `>` after `/` is expected here");
}

#[test]
fn attributes_are_compared_with_one_another_however_many() {
    let mut text = "<a".to_owned();
    for index in 0..100 {
        write!(text, " b{index}=''").unwrap();
    }
    assert_eq!(events(&format!("{text}/>")).1, Ok(()));
    assert!(events(&format!("{text} b7=''/>")).1.is_err());
}

#[test]
fn an_element_is_skipped_with_all_that_is_in_it() {
    let mut lexer = Lexer::new("<a><b>1<c/><!-- x --></b><d/></a>");
    let mut inner = Vec::new();
    loop {
        match lexer.next_event().unwrap() {
            Event::Start(tag) if tag.name != "a" => inner.push(lexer.skip_element().unwrap()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(inner, ["1<c/><!-- x -->", ""]);
}

#[test]
fn limits_hold() {
    let limits = Limits {
        depth: 3,
        name_bytes: 4,
        attribute_bytes: 20,
        attributes: 2,
        entity_expansion_bytes: 10,
        ..Limits::default()
    };
    let run = |text: &str| {
        let mut lexer = Lexer::with_context(text, Context::start(), true, limits);
        loop {
            match lexer.next_event() {
                Ok(Event::Eof) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.reason.to_string()),
            }
        }
    };
    assert_eq!(run("<a><b><c/></b></a>"), Ok(()));
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(
        run("<a><b><c><d/></c></b></a>"),
        error("elements are nested beyond the limit of 3")
    );
    assert_eq!(
        run("<abcde/>"),
        error("a name is long beyond the limit of 4")
    );
    assert_eq!(
        run("<a bcdef=''/>"),
        error("a name is long beyond the limit of 4")
    );
    assert_eq!(
        run("<a b='' c='' d=''/>"),
        error("there are attributes beyond the limit of 2")
    );
    assert_eq!(
        run("<a b='12345678901234567'/>"),
        error("attributes are long beyond the limit of 20")
    );
    let text = |body: &str| format!("<!DOCTYPE a [<!ENTITY e '12345'>]><a>{body}</a>");
    assert_eq!(run(&text("&e;&e;")), Ok(()));
    assert_eq!(
        run(&text("&e;<!-- -->&e;<b c='&e;'/>")),
        error("entities expand to more than 10 bytes")
    );
}

/// The events of a document by an independent parser, told as [`events`] tells them but for texts, which
/// it cuts elsewhere.
fn foreign_events(text: &str) -> Result<String, String> {
    use quick_xml::events::Event as Foreign;
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_comments = true;
    reader.config_mut().expand_empty_elements = true;
    let mut told = String::new();
    let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Foreign::Start(tag) => {
                write!(told, "({}", name(tag.name().as_ref())).unwrap();
                for attribute in tag.attributes() {
                    let attribute = attribute.map_err(|error| error.to_string())?;
                    let value = name(&attribute.value);
                    write!(told, " {}={value}", name(attribute.key.as_ref())).unwrap();
                }
                told.push('|');
            }
            Foreign::End(_) => told.push(')'),
            Foreign::Eof => return Ok(told),
            _ => {}
        }
    }
}

/// Elements to some depth, with everything that may stand in them.
fn elements() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[ a-zé\n]{1,40}",
        Just("&lt;&#65;".to_owned()),
        Just("<!-- <x> - -->".to_owned()),
        Just("<?p <x>?>".to_owned()),
        Just("<![CDATA[<x>]]>".to_owned()),
        Just("<leaf/>".to_owned()),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let attributes = proptest::collection::btree_map("[a-z]{1,20}", "[a-z >é']{0,30}", 0..4);
        (
            "[a-zA-Z_é][a-z0-9.:é-]{0,20}",
            attributes,
            proptest::collection::vec(inner, 0..6),
        )
            .prop_map(|(name, attributes, inner)| {
                let mut text = format!("<{name}");
                for (name, value) in attributes {
                    write!(text, "\n{name} = \"{value}\"").unwrap();
                }
                if inner.is_empty() {
                    text.push_str(" />");
                } else {
                    write!(text, ">{}</{name}>", inner.concat()).unwrap();
                }
                text
            })
    })
    .prop_map(|inner| format!("<root>{inner}</root>"))
}

/// What [`events`] tells, without texts.
fn without_text(text: &str) -> Result<String, String> {
    let mut lexer = Lexer::new(text);
    let mut told = String::new();
    loop {
        match lexer
            .next_event()
            .map_err(|error| error.reason.to_string())?
        {
            Event::Start(tag) => {
                write!(told, "({}", tag.name).unwrap();
                for attribute in lexer.attributes() {
                    write!(told, " {}={}", attribute.name, attribute.value).unwrap();
                }
                told.push('|');
            }
            Event::End(_) => told.push(')'),
            Event::Eof => return Ok(told),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn a_foreign_parser_sees_the_same_elements(text in elements()) {
        prop_assert_eq!(without_text(&text), foreign_events(&text));
    }

    /// What the foreign parser refuses is refused; it lets more pass.
    #[test]
    fn what_a_foreign_parser_refuses_is_refused(
        text in elements(),
        at in any::<proptest::sample::Index>(),
        change in prop_oneof![Just("<"), Just(">"), Just("&"), Just("/"), Just("\""), Just("]]>"), Just("--"), Just("")],
    ) {
        let at = at.index(text.len());
        prop_assume!(text.is_char_boundary(at) && text.is_char_boundary(at + 1));
        let changed = format!("{}{change}{}", &text[..at], &text[at + 1..]);
        match (without_text(&changed), foreign_events(&changed)) {
            (Ok(own), foreign) => prop_assert_eq!(Ok(own), foreign, "{}", changed),
            (Err(_), _) => {}
        }
    }

    /// Texts of any characters are read or refused, never more.
    #[test]
    fn any_text_is_read_or_refused(text in "[<>/!?a\"'= &;\\[\\]#x1-]{0,80}|\\PC{0,80}") {
        let _ = events(&text);
    }

    /// What is expected is taken where it stands there, and nothing where it does not.
    #[test]
    fn what_is_expected_is_what_comes(
        body in "(<(a|aa|a{15}|a{16}|\u{e9})>|</(a|aa|a{15}|a{16}|\u{e9})( ?)>|<a b='1'( c)?/?>|<a/>|[a &;\\]>\r\n]{0,3}|&lt;){0,6}",
        name in "a|aa|a{15}|a{16}|\u{e9}",
        is_near_end in any::<bool>(),
    ) {
        let padding = if is_near_end { "" } else { "                " };
        let text = format!("<r>{body}{padding}");
        let name = TagName::new(&name);
        let mut before = Lexer::new(&text);
        before.next_event().unwrap();

        let (mut expecting, mut other) = (before.clone(), before.clone());
        let open = format!("<{}>", name.as_str());
        let has_start = text[3..].starts_with(&open);
        let has_attributes = text[3..].starts_with(&format!("<{} ", name.as_str()));
        match expecting.take_start(&name) {
            Ok(is_taken) => {
                prop_assert!(!is_taken || has_start || has_attributes);
                prop_assert!(is_taken || !(has_start || has_attributes) || is_near_end);
                if is_taken {
                    other.next_event().unwrap();
                }
                prop_assert!(is_same(&expecting, &other));
                prop_assert_eq!(expecting.is_end_due(), other.is_end_due());
            }
            Err(error) => prop_assert_eq!(other.next_event(), Err(error)),
        }

        let (mut expecting, mut other) = (before.clone(), before);
        let value = expecting.take_value(&name);
        let events = [other.next_event(), other.next_event()];
        let end = match events[1] {
            Ok(Event::Text(_)) => Some(other.next_event()),
            _ => None,
        };
        let close = format!("</{}>", name.as_str());
        let is_whole = has_start
            && matches!(end.as_ref().unwrap_or(&events[1]), Ok(Event::End(_)))
            && text[..other.offset()].ends_with(&close);
        prop_assert_eq!(value.is_some(), is_whole && (value.is_some() || !is_near_end));
        if let Some(value) = value {
            let raw = match events[1] {
                Ok(Event::Text(raw)) => raw,
                _ => "",
            };
            prop_assert_eq!(value, raw);
            prop_assert_eq!(expecting.unescape(value), text::unescape(raw, expecting.entities()));
            prop_assert!(is_same(&expecting, &other));
        } else {
            prop_assert_eq!((expecting.offset(), expecting.depth()), (3, 1));
        }
    }
}

/// Whether two lexers are at the same place.
fn is_same(one: &Lexer<'_>, other: &Lexer<'_>) -> bool {
    let open = |lexer: &Lexer<'_>| lexer.path();
    let attributes = |lexer: &Lexer<'_>| lexer.attributes().len();
    one.offset() == other.offset()
        && one.event_start() == other.event_start()
        && open(one) == open(other)
        && attributes(one) == attributes(other)
}
