//! Manifests round trip, read what Java wrote, and never panic on damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{
    DataContentType, DataFileFormat, FormatVersion, Literal, Manifest, ManifestContentType,
    ManifestFile, ManifestList, ManifestStatus, NestedField, PartitionSpec, PrimitiveLiteral,
    PrimitiveType, Schema, Struct, Transform, Type,
};
use proptest::prelude::*;

use super::entry::{ContentFile, Entry};
use super::{ManifestEncoder, ManifestReader, PartitionColumn, decode_list, read_paths};
use crate::partition::partition_columns;

/// A schema of one column a type, and a spec that partitions by all of them.
fn partitioned_by(types: &[PrimitiveType]) -> (Schema, PartitionSpec) {
    let fields = (1..).zip(types).map(|(id, primitive)| {
        let name = format!("c {id}");
        Arc::new(NestedField::optional(
            id,
            name,
            Type::Primitive(primitive.clone()),
        ))
    });
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let mut spec = PartitionSpec::builder(schema.clone());
    for id in 1..=types.len() {
        let name = format!("c {id}");
        spec = spec
            .add_partition_field(&name, &name, Transform::Identity)
            .unwrap();
    }
    (schema, spec.build().unwrap())
}

/// The fields of a spec, all of whose columns the schema has.
fn columns(schema: &Schema, spec: &PartitionSpec) -> Vec<PartitionColumn> {
    let types = spec.partition_type(schema).unwrap();
    let types = types.fields().iter();
    let types: Vec<_> = types
        .map(|field| field.field_type.as_primitive_type().cloned())
        .collect();
    partition_columns(spec, &types).unwrap()
}

fn entry(path: &str, partition: Vec<Option<PrimitiveLiteral>>) -> Entry {
    let values = partition
        .into_iter()
        .map(|value| value.map(Literal::Primitive));
    Entry {
        status: ManifestStatus::Added,
        snapshot_id: Some(5),
        sequence_number: None,
        file_sequence_number: None,
        file: ContentFile {
            content: DataContentType::Data,
            path: path.to_owned(),
            format: DataFileFormat::Parquet,
            partition: values.collect(),
            record_count: 3,
            size_bytes: 1 << 40,
            column_sizes: Some(vec![(1, 7), (9, 0)]),
            value_counts: None,
            null_value_counts: Some(Vec::new()),
            nan_value_counts: None,
            lower_bounds: Some(vec![(1, [1].into()), (77, [0xff; 20].into())]),
            upper_bounds: None,
            key_metadata: Some([9].into()),
            split_offsets: Some(vec![4, 1 << 33]),
            equality_ids: None,
            sort_order_id: Some(0),
            first_row_id: None,
            referenced_data_file: None,
            content_offset: None,
            content_size_bytes: None,
        },
    }
}

fn encode(
    version: FormatVersion,
    schema: &Schema,
    spec: &PartitionSpec,
    entries: &[Entry],
) -> (Bytes, ManifestFile) {
    let content = ManifestContentType::Data;
    let mut encoder = ManifestEncoder::new(
        version,
        content,
        spec.clone(),
        columns(schema, spec),
        5,
        [7; 16],
    );
    for entry in entries {
        encoder.append(entry).unwrap();
    }
    let encoded = encoder.finish("m".to_owned(), schema).unwrap();
    (encoded.bytes, encoded.file)
}

fn decode(
    bytes: &Bytes,
    manifest: &ManifestFile,
    schema: &Schema,
    spec: &PartitionSpec,
) -> Result<Vec<Entry>, crate::AvroError> {
    let types = columns(schema, spec).into_iter();
    let types = types.map(|column| Some(column.primitive)).collect();
    let mut reader = ManifestReader::open(bytes.clone(), manifest.clone(), spec, types)?;
    let mut entries = Vec::new();
    while let Some(block) = reader.next_block()? {
        entries.extend(block);
    }
    Ok(entries)
}

#[test]
fn values_of_every_partition_type_come_back() {
    let decimal = |precision| PrimitiveType::Decimal {
        precision,
        scale: 2,
    };
    let cases = [
        (PrimitiveType::Boolean, PrimitiveLiteral::Boolean(true)),
        (PrimitiveType::Int, PrimitiveLiteral::Int(i32::MIN)),
        (PrimitiveType::Long, PrimitiveLiteral::Long(i64::MIN)),
        (PrimitiveType::Float, PrimitiveLiteral::Float(1.5.into())),
        (
            PrimitiveType::Double,
            PrimitiveLiteral::Double((-0.0).into()),
        ),
        (PrimitiveType::Date, PrimitiveLiteral::Int(-1)),
        (PrimitiveType::Time, PrimitiveLiteral::Long(1)),
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(-1)),
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(i64::MAX)),
        (PrimitiveType::TimestampNs, PrimitiveLiteral::Long(2)),
        (PrimitiveType::TimestamptzNs, PrimitiveLiteral::Long(3)),
        (
            PrimitiveType::String,
            PrimitiveLiteral::String("é=/".to_owned()),
        ),
        (PrimitiveType::Uuid, PrimitiveLiteral::UInt128(u128::MAX)),
        (
            PrimitiveType::Fixed(3),
            PrimitiveLiteral::Binary(vec![1, 2, 3]),
        ),
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(Vec::new())),
        (decimal(9), PrimitiveLiteral::Int128(-999_999_999)),
        (decimal(9), PrimitiveLiteral::Int128(0)),
        (decimal(38), PrimitiveLiteral::Int128(10_i128.pow(38) - 1)),
    ];
    let (types, values): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let (schema, spec) = partitioned_by(&types);
    let full = entry("s3://b/full", values.iter().cloned().map(Some).collect());
    let empty = entry("s3://b/empty", vec![None; values.len()]);
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let (bytes, mut manifest) = encode(version, &schema, &spec, &[full.clone(), empty.clone()]);
        manifest.sequence_number = 0;
        let found = decode(&bytes, &manifest, &schema, &spec).unwrap();
        for (found, written) in found.iter().zip([&full, &empty]) {
            assert_eq!(found.file, written.file, "{version}");
        }
        for (summary, value) in manifest.partitions.unwrap().iter().zip(&values) {
            assert!(summary.contains_null);
            let bound = super::value::single_value(value);
            assert_eq!(summary.lower_bound.as_ref().unwrap().as_slice(), bound);
            assert_eq!(summary.upper_bound.as_ref().unwrap().as_slice(), bound);
        }
    }
}

#[test]
fn bounds_of_partitions_leave_out_nulls_and_nans() {
    let (schema, spec) = partitioned_by(&[PrimitiveType::Double, PrimitiveType::Binary]);
    let double = |value: f64| Some(PrimitiveLiteral::Double(value.into()));
    let binary = |value: &[u8]| Some(PrimitiveLiteral::Binary(value.to_vec()));
    let rows = [
        (double(f64::NAN), binary(&[0x80])),
        (double(0.0), binary(&[0x7f, 0xff])),
        (double(-0.0), binary(&[0x80, 0])),
        (None, None),
    ];
    let entries = rows.map(|(left, right)| entry("f", vec![left, right]));
    let (_, manifest) = encode(FormatVersion::V2, &schema, &spec, &entries);
    let [doubles, binaries] = &manifest.partitions.unwrap()[..] else {
        panic!("two fields");
    };
    assert_eq!(
        (doubles.contains_null, doubles.contains_nan),
        (true, Some(true))
    );
    assert_eq!(
        doubles.lower_bound.as_ref().unwrap()[..],
        (-0.0_f64).to_le_bytes()
    );
    assert_eq!(
        doubles.upper_bound.as_ref().unwrap()[..],
        0.0_f64.to_le_bytes()
    );
    assert_eq!(
        (binaries.contains_null, binaries.contains_nan),
        (true, Some(false))
    );
    assert_eq!(binaries.lower_bound.as_ref().unwrap()[..], [0x7f, 0xff]);
    assert_eq!(binaries.upper_bound.as_ref().unwrap()[..], [0x80, 0]);
}

#[test]
fn promoted_partition_values_are_read_in_the_new_type() {
    let (old_schema, old_spec) = partitioned_by(&[PrimitiveType::Int, PrimitiveType::Float]);
    let (schema, spec) = partitioned_by(&[PrimitiveType::Long, PrimitiveType::Double]);
    let values = vec![
        Some(PrimitiveLiteral::Int(-7)),
        Some(PrimitiveLiteral::Float(0.5.into())),
    ];
    let written = entry("f", values);
    let (bytes, manifest) = encode(FormatVersion::V2, &old_schema, &old_spec, &[written]);
    let found = decode(&bytes, &manifest, &schema, &spec).unwrap();
    let promoted = [Literal::long(-7), Literal::double(0.5)].map(Some);
    assert_eq!(found[0].file.partition, Struct::from_iter(promoted));
}

#[test]
fn row_ids_go_to_files_without() {
    let (schema, spec) = partitioned_by(&[]);
    let mut known = entry("b", Vec::new());
    known.file.first_row_id = Some(1000);
    let entries = [entry("a", Vec::new()), known, entry("c", Vec::new())];
    let (bytes, mut manifest) = encode(FormatVersion::V3, &schema, &spec, &entries);
    manifest.first_row_id = Some(50);
    manifest.sequence_number = 8;
    let found = decode(&bytes, &manifest, &schema, &spec).unwrap();
    let ids: Vec<_> = found.iter().map(|entry| entry.file.first_row_id).collect();
    assert_eq!(ids, [Some(50), Some(1000), Some(53)]);
    assert!(found.iter().all(|entry| entry.sequence_number == Some(8)));
}

/// All files below a folder that end in `.avro`.
fn avro_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for found in fs_err::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "avro")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn what_java_wrote_is_read_as_iceberg_reads_it() {
    let Some(data) = calve_testkit::shared_data() else {
        println!("skipped: no shared data");
        return;
    };
    let (mut lists, mut entries) = (0, 0);
    for path in avro_files(&data) {
        let bytes = Bytes::from(fs_err::read(&path).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("snap-") {
            let ours = decode_list(bytes.clone()).unwrap();
            let readable = [FormatVersion::V2, FormatVersion::V1]
                .into_iter()
                .find_map(|version| ManifestList::parse_with_version(&bytes, version).ok());
            let Some(theirs) = readable else {
                panic!("{name}: not a manifest list");
            };
            for (ours, theirs) in ours.iter().zip(theirs.entries()) {
                assert_eq!(ours.manifest_path, theirs.manifest_path);
                assert_eq!(ours.added_rows_count, theirs.added_rows_count);
                assert_eq!(ours.partitions, theirs.partitions);
                assert!(ours.added_files_count.is_some(), "{name}");
            }
            lists += 1;
            continue;
        }
        let Ok(theirs) = Manifest::parse_avro(&bytes) else {
            // Some early manifests lack the schema in their header, without which `iceberg` reads
            // none of them.
            let (schema, spec) = partitioned_by(&[]);
            let ours = decode(&bytes, &empty_manifest(), &schema, &spec).unwrap();
            assert!(!ours.is_empty(), "{name}");
            continue;
        };
        let (theirs, metadata) = theirs.into_parts();
        let manifest = empty_manifest();
        let ours = decode(
            &bytes,
            &manifest,
            &metadata.schema,
            &metadata.partition_spec,
        )
        .unwrap();
        assert_eq!(ours.len(), theirs.len());
        let mut paths = Vec::new();
        read_paths(bytes, |path, _| paths.push(path.to_owned())).unwrap();
        let live = theirs.iter().filter(|entry| entry.is_alive());
        assert_eq!(
            paths,
            live.map(|entry| entry.file_path()).collect::<Vec<_>>()
        );
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let spec_id = metadata.partition_spec.spec_id();
            let file = ours.file.to_data_file(spec_id, &metadata.schema).unwrap();
            assert_eq!(&file, theirs.data_file(), "{name}");
            entries += 1;
        }
    }
    assert!(lists > 0 && entries > 0, "{lists} lists, {entries} entries");
}

fn empty_manifest() -> ManifestFile {
    let (schema, spec) = partitioned_by(&[]);
    encode(FormatVersion::V2, &schema, &spec, &[]).1
}

proptest! {
    #[test]
    fn damage_is_an_error_or_goes_unnoticed(
        place in 0.0..1.0_f64,
        byte in any::<u8>(),
        cut in 0.0..1.0_f64,
    ) {
        let (schema, spec) = partitioned_by(&[PrimitiveType::Int, PrimitiveType::String]);
        let values = vec![
            Some(PrimitiveLiteral::Int(1)),
            Some(PrimitiveLiteral::String("x".to_owned())),
        ];
        let entries = vec![entry("s3://b/some/file.parquet", values); 20];
        let (bytes, manifest) = encode(FormatVersion::V2, &schema, &spec, &entries);
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "any place will do"
            )]
            let place = (share * bytes.len() as f64) as usize;
            place
        };
        let mut damaged = bytes.to_vec();
        damaged[at(place)] = byte;
        for damaged in [Bytes::from(damaged), bytes.slice(..at(cut))] {
            let _ = decode(&damaged, &manifest, &schema, &spec);
            let _ = read_paths(damaged.clone(), |_, _| {});
            let _ = decode_list(damaged);
        }
    }

    #[test]
    fn damaged_blocks_are_an_error_or_go_unnoticed(
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        // The header is whole, so that the damage reaches the decoding of entries.
        let (schema, spec) = partitioned_by(&[PrimitiveType::Uuid, PrimitiveType::String]);
        let columns = columns(&schema, &spec);
        let json = super::schema::entry_schema(FormatVersion::V3, &columns);
        let mut container = crate::avro::ContainerWriter::new([1; 16]);
        container
            .append(|buffer| {
                buffer.extend_from_slice(&data);
                Ok::<_, crate::Error>(())
            })
            .unwrap();
        let bytes = container.finish(&json, &[]);
        let _ = decode(&bytes, &empty_manifest(), &schema, &spec);
        let _ = read_paths(bytes, |_, _| {});
    }
}
