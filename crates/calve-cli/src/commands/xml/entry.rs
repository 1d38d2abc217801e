//! XML that is entered in Glue: where it lies, what its rows are called, which columns they have.

use calve::arrow::datatypes::Schema;
use calve::base::Properties;
use calve::migrate::register_hive::ROW_TAG;
use calve::xml::schema::hive::from_hive_columns;

use crate::commands::Context;
use crate::flags::XmlFlags;
use crate::settings::SourceSettings;

/// How else the parameter of the row tag is called.
const XML_ROW_TAG: &str = "xmlRowTag";

/// Puts what an entry says in the place of `glue:db.table`, and gives the columns that it has; nothing
/// where the input is no entry.
///
/// # Errors
/// When the entry is not there, or is no table of XML.
pub(super) async fn from_entry(
    context: &Context,
    flags: &mut XmlFlags,
) -> anyhow::Result<Option<Schema>> {
    let [input] = flags.inputs.as_slice() else {
        return Ok(None);
    };
    let SourceSettings::HiveTable(ident) = SourceSettings::parse(input, &context.settings)? else {
        return Ok(None);
    };
    let catalog = context.open_metastore().await?;
    let metastore = catalog.metastore().expect("it was opened for that");
    let table = metastore.load_hive_table(&ident).await?;
    let parameter = |key: &str| find(&table.parameters, key);
    if !parameter("classification").is_some_and(|format| format.eq_ignore_ascii_case("xml")) {
        anyhow::bail!("{ident} is not a table of XML: enter one with `calve crawl --format xml`");
    }
    let row_tag = flags.row_tag.take();
    let row_tag = row_tag.or_else(|| parameter(ROW_TAG).or(parameter(XML_ROW_TAG)).cloned());
    let (Some(row_tag), Some(location)) = (row_tag, table.location) else {
        anyhow::bail!("the entry {ident} does not say where its files lie and what a row is");
    };
    flags.row_tag = Some(row_tag);
    flags.inputs = vec![location.to_string()];
    let columns = table.columns.iter();
    let columns = columns.map(|column| (column.name.as_str(), column.hive_type.as_str()));
    Ok(Some(from_hive_columns(columns)?))
}

fn find<'a>(parameters: &'a Properties, key: &str) -> Option<&'a String> {
    let mut named = parameters
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(key));
    named.next().map(|(_, value)| value)
}
