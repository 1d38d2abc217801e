use std::fmt::Write;

use super::{Shape, words};
use crate::lakes::Random;

pub(super) const VEHICLES: Shape = Shape {
    name: "ev",
    row_tag: "response/row/row",
    head: "<?xml version=\"1.0\"?><response><row>",
    tail: "</row></response>",
    first: 0,
    row: vehicle,
};

fn vehicle(text: &mut String, random: &mut Random, position: u64) -> std::fmt::Result {
    write!(
        text,
        "<row _id=\"row-{position:06}\" _uuid=\"00000000-0000-0000-{:04X}-{:012X}\" _position=\"0\">",
        random.below(0x1_0000),
        random.below(u32::MAX)
    )?;
    write!(
        text,
        "<vin_1_10>5YJ{:07X}</vin_1_10>",
        random.below(0xFFF_FFFF)
    )?;
    write!(
        text,
        "<county>{}</county><city>{}</city>",
        words(random, 1),
        words(random, 1)
    )?;
    write!(
        text,
        "<state>WA</state><zip_code>98{:03}</zip_code>",
        random.below(1000)
    )?;
    write!(text, "<model_year>{}</model_year>", 2010 + random.below(15))?;
    let make = *random.pick(&["TESLA", "NISSAN", "CHEVROLET", "KIA"]);
    write!(
        text,
        "<make>{make}</make><model>MODEL {}</model>",
        random.below(9)
    )?;
    let kind = *random.pick(&[
        "Battery Electric Vehicle (BEV)",
        "Plug-in Hybrid Electric Vehicle (PHEV)",
    ]);
    write!(text, "<ev_type>{kind}</ev_type>")?;
    write!(
        text,
        "<cafv_type>Clean Alternative Fuel Vehicle Eligible</cafv_type>"
    )?;
    write!(
        text,
        "<electric_range>{}</electric_range>",
        random.below(340)
    )?;
    write!(text, "<base_msrp>{}</base_msrp>", random.below(2) * 59_900)?;
    write!(
        text,
        "<legislative_district>{}</legislative_district>",
        1 + random.below(49)
    )?;
    write!(
        text,
        "<dol_vehicle_id>{}</dol_vehicle_id>",
        100_000_000 + random.below(400_000_000)
    )?;
    let (east, north) = (random.below(600_000), random.below(300_000));
    write!(
        text,
        "<geocoded_column>POINT (-122.{east:06} 47.{north:06})</geocoded_column>"
    )?;
    write!(
        text,
        "<electric_utility>{}</electric_utility>",
        words(random, 4)
    )?;
    write!(
        text,
        "<_2020_census_tract>530{:08}</_2020_census_tract></row>",
        random.below(99_999_999)
    )
}
