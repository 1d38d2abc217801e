use std::path::Path;

use calve::base::Failure;

use super::*;

fn environment() -> Environment {
    let mut environment = Environment::default();
    "/home/someone".clone_into(&mut environment.working_directory);
    environment
}

fn flags(set: &[(&str, &str)], catalog: Option<&str>) -> GlobalFlags {
    GlobalFlags {
        set: set
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        catalog: catalog.map(ToOwned::to_owned),
        ..GlobalFlags::default()
    }
}

#[track_caller]
fn check_catalog(
    file: &str,
    environment: &Environment,
    flags: GlobalFlags,
    expected: &[(&str, &str)],
) {
    let file = ConfigFile::parse(file, Path::new("calve.toml")).unwrap();
    let name = flags
        .catalog
        .or(file.default_catalog)
        .unwrap_or_else(|| "default".to_owned());
    let settings =
        catalog::Configuration::new(file.catalogs, environment, &environment.working_directory)
            .resolve(&name, flags.set)
            .unwrap();
    let properties: Vec<(&str, &str)> = settings
        .properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(properties, expected);
}

#[test]
fn the_default_catalog_needs_no_configuration() {
    let expected = [
        ("type", "sql"),
        ("uri", "sqlite:////home/someone/calve.db"),
        ("warehouse", "/home/someone/warehouse"),
    ];
    check_catalog("", &environment(), flags(&[], None), &expected);
    check_catalog(
        "",
        &environment(),
        flags(&[("s3.region", "eu-west-1")], None),
        &[&[("s3.region", "eu-west-1")][..], &expected[..]].concat(),
    );
    check_catalog(
        "",
        &environment(),
        flags(&[("warehouse", "s3://b/w")], None),
        &[
            ("type", "sql"),
            ("uri", "sqlite:////home/someone/calve.db"),
            ("warehouse", "s3://b/w"),
        ],
    );
    check_catalog(
        "",
        &environment(),
        flags(&[("type", "glue")], None),
        &[("type", "glue")],
    );
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let file = r#"
        default-catalog = "prod"
        [catalog.prod]
        type = "glue"
        s3.endpoint = "http://file"
        s3.region = "file"
        "s3.path-style-access" = true
    "#;
    let environment = environment()
        .with("CALVE_CATALOG__PROD__S3__ENDPOINT", "http://variable")
        .with("CALVE_CATALOG__PROD__S3__REGION", "variable")
        .with("CALVE_CATALOG__OTHER__S3__REGION", "other");
    check_catalog(
        file,
        &environment,
        flags(&[("s3.region", "flag")], None),
        &[
            ("s3.endpoint", "http://variable"),
            ("s3.path-style-access", "true"),
            ("s3.region", "flag"),
            ("type", "glue"),
        ],
    );
}

#[test]
fn variables_spell_properties_as_in_pyiceberg() {
    let environment = environment()
        .with("CALVE_CATALOG__MY_CATALOG__TYPE", "glue")
        .with("CALVE_CATALOG__MY_CATALOG__S3__SECRET_ACCESS_KEY", "k")
        .with("CALVE_CATALOG__MY_CATALOG", "ignored")
        .with("CALVE_CATALOG____TYPE", "ignored");
    check_catalog(
        "",
        &environment,
        flags(&[], Some("my_catalog")),
        &[("s3.secret-access-key", "k"), ("type", "glue")],
    );
}

#[track_caller]
fn check_file_error(text: &str, message: &str) {
    let error = ConfigFile::parse(text, Path::new("calve.toml")).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn mistakes_in_the_file_are_named() {
    check_file_error("a = [", "calve.toml is not valid TOML");
    check_file_error("catalogue = 1", "calve.toml: `catalogue`: no such setting");
    check_file_error(
        "memory = 4",
        "calve.toml: `memory`: expected a text in quotes",
    );
    check_file_error(
        "concurrency = 0",
        "calve.toml: `concurrency`: expected a whole number above 0",
    );
    check_file_error(
        "[catalog]\nprod = 1",
        "calve.toml: `catalog.prod`: expected a section of properties",
    );
    check_file_error(
        "[catalog.prod]\ns3.endpoint = [1]",
        "calve.toml: `catalog.prod.s3.endpoint`: expected a text, number or boolean",
    );
}

#[test]
fn an_unknown_catalog_is_an_error_with_a_hint() {
    let environment = environment().with("CALVE_CATALOG__PROD__TYPE", "glue");
    let error = Settings::resolve(flags(&[], Some("prd")), &environment).unwrap_err();
    assert_eq!(error.to_string(), "catalog `prd` is not configured");
    assert!(error.hint().unwrap().ends_with("configured are prod"));
}

#[test]
fn bounds_are_read_from_flag_then_variable() {
    let environment = environment()
        .with("CALVE_MEMORY", "2GB")
        .with("CALVE_CONCURRENCY", "7");
    let settings = Settings::resolve(flags(&[], None), &environment).unwrap();
    assert_eq!(settings.memory_bytes, Some(2_000_000_000));
    assert_eq!(settings.concurrency, Some(7));
    let given = GlobalFlags {
        memory: Some("1MiB".to_owned()),
        concurrency: Some(3),
        ..GlobalFlags::default()
    };
    let settings = Settings::resolve(given, &environment).unwrap();
    assert_eq!(settings.memory_bytes, Some(1 << 20));
    assert_eq!(settings.concurrency, Some(3));
    let wrong = environment.with("CALVE_CONCURRENCY", "many");
    assert_eq!(
        Settings::resolve(flags(&[], None), &wrong)
            .unwrap_err()
            .to_string(),
        "CALVE_CONCURRENCY: `many` is not a whole number above 0"
    );
}

#[test]
fn secrets_are_not_printed() {
    let settings = Settings::resolve(
        flags(&[("s3.secret-access-key", "hush")], None),
        &environment(),
    )
    .unwrap();
    assert!(!format!("{settings:?}").contains("hush"));
}
