use std::fmt::Write;
use std::path::Path;

use crate::lakes::Random;

const SEED: u64 = 20_260_701;
/// Descriptions of data sets.
const RECORDS: u64 = 8;
/// Registered vehicles.
const VEHICLES: u64 = 60;

const THEMES: &[&str] = &[
    "hydrology",
    "lakes",
    "rivers",
    "elevation",
    "land cover",
    "roads",
    "bathymetry",
    "climate",
];
const ORIGINS: &[&str] = &[
    "U.S. Geological Survey",
    "NOAA",
    "Bureau of Land Management",
    "EPA",
];
const COUNTIES: &[&str] = &["King", "Kitsap", "Pierce", "Clark", "San Juan"];
const MAKES: &[&str] = &["TESLA", "NISSAN", "CHEVROLET", "KIA"];

/// Writes the documents of `fixtures/xml`: `metadata`, a folder of descriptions of data sets, one a
/// document, in the shape of the FGDC's standard; and `vehicles.xml`, rows in a row, as Socrata exports
/// them.
pub fn documents(folder: &Path) {
    let metadata = folder.join("xml/metadata");
    fs_err::create_dir_all(&metadata).unwrap();
    for number in 0..RECORDS {
        let mut random = Random::for_parts(SEED, &[1, number]);
        let text = record(&mut random, number).unwrap();
        fs_err::write(metadata.join(format!("record-{number:02}.xml")), text).unwrap();
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><row>\n");
    for number in 0..VEHICLES {
        let mut random = Random::for_parts(SEED, &[2, number]);
        registration(&mut text, &mut random, number).unwrap();
    }
    text.push_str("</row></response>\n");
    fs_err::write(folder.join("xml/vehicles.xml"), text).unwrap();
}

/// One description: deep, with repeated keywords, and text with markup in it.
fn record(random: &mut Random, number: u64) -> Result<String, std::fmt::Error> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata>\n");
    let origin = random.pick::<&str>(ORIGINS);
    let theme = random.pick::<&str>(THEMES);
    let (year, month) = (2004 + random.below(20), 1 + random.below(12));
    writeln!(text, "  <idinfo>")?;
    writeln!(text, "    <citation><citeinfo>")?;
    writeln!(text, "      <origin>{origin}</origin>")?;
    writeln!(text, "      <pubdate>{year}{month:02}</pubdate>")?;
    writeln!(
        text,
        "      <title>{theme} &amp; more, sheet {number}</title>"
    )?;
    if random.one_in(2) {
        writeln!(
            text,
            "      <onlink>https://data.example.org/{number}</onlink>"
        )?;
    }
    writeln!(text, "    </citeinfo></citation>")?;
    writeln!(
        text,
        "    <descript><abstract>About <b>{theme}</b>, by {origin}.</abstract></descript>"
    )?;
    let (west, south) = (60 + random.below(60), 24 + random.below(20));
    writeln!(text, "    <spdom><bounding>")?;
    writeln!(
        text,
        "      <westbc>-{west}.25</westbc><eastbc>-{}.5</eastbc>",
        west - 10
    )?;
    writeln!(
        text,
        "      <northbc>{}.75</northbc><southbc>{south}</southbc>",
        south + 5
    )?;
    writeln!(text, "    </bounding></spdom>")?;
    writeln!(text, "    <keywords><theme>")?;
    for _ in 0..=random.below(3) {
        writeln!(
            text,
            "      <themekey>{}</themekey>",
            random.pick::<&str>(THEMES)
        )?;
    }
    writeln!(text, "    </theme></keywords>")?;
    writeln!(text, "  </idinfo>")?;
    writeln!(text, "  <!-- <metadata>this is no row</metadata> -->")?;
    writeln!(
        text,
        "  <metainfo><metd>{year}-{month:02}-15</metd></metainfo>"
    )?;
    text.push_str("</metadata>\n");
    Ok(text)
}

/// One vehicle: attributes, flat values, some of them missing or empty, and any number of owners.
fn registration(text: &mut String, random: &mut Random, number: u64) -> std::fmt::Result {
    write!(text, "<row _id=\"row-{number:04}\" _position=\"{number}\">")?;
    write!(text, "<county>{}</county>", random.pick::<&str>(COUNTIES))?;
    write!(text, "<zip_code>{:05}</zip_code>", 981 + random.below(400))?;
    write!(text, "<model_year>{}</model_year>", 2019 + random.below(4))?;
    write!(text, "<make>{}</make>", random.pick::<&str>(MAKES))?;
    match random.below(10) {
        0 => text.push_str("<base_msrp/>"),
        1 => {}
        _ => write!(
            text,
            "<base_msrp>{}.50</base_msrp>",
            30_000 + random.below(40_000)
        )?,
    }
    let (east, north) = (random.below(600_000), random.below(300_000));
    write!(
        text,
        "<location><x>-122.{east:06}</x><y>47.{north:06}</y></location>"
    )?;
    for owner in 0..random.below(3) {
        write!(
            text,
            "<owner since=\"{}-0{}-01\"><name>owner {number}.{owner}</name></owner>",
            2020 + owner,
            1 + random.below(9)
        )?;
    }
    text.push_str("</row>\n");
    Ok(())
}
