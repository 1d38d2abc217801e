use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;

/// Files in memory by partition and number, and how many of them are open.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<(PartitionValues, usize), Vec<u8>>,
    open: usize,
    most_open: usize,
}

struct File(Files, (PartitionValues, usize));

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut state = self.0.0.lock().unwrap();
        state
            .files
            .get_mut(&self.1)
            .unwrap()
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().open -= 1;
    }
}

impl Files {
    fn sink(&self, schema: &Schema, by: &[&str]) -> Result<PartitionedSink> {
        let files = self.clone();
        let by: Vec<String> = by.iter().map(|name| (*name).to_owned()).collect();
        PartitionedSink::new(schema, &by, move |values, number| {
            let key = (values.to_vec(), number);
            let mut state = files.0.lock().unwrap();
            assert!(state.files.insert(key.clone(), Vec::new()).is_none());
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
            Ok(Box::new(File(files.clone(), key)))
        })
    }

    /// The numbers `n` of each partition, in the order of its files.
    fn numbers(&self) -> BTreeMap<PartitionValues, Vec<i64>> {
        let mut numbers: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        for ((values, _), bytes) in &self.0.lock().unwrap().files {
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone()));
            for batch in reader.unwrap().build().unwrap() {
                let batch = batch.unwrap();
                assert_eq!(batch.num_columns(), 1);
                let column = batch
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec();
                numbers.entry(values.clone()).or_default().extend(column);
            }
        }
        numbers
    }
}

fn batch(rows: &[(Option<String>, i64)]) -> RecordBatch {
    let keys: StringArray = rows.iter().map(|(key, _)| key.as_deref()).collect();
    let numbers: Int64Array = rows.iter().map(|(_, number)| Some(*number)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("k", Arc::new(keys) as ArrayRef, true),
        ("n", Arc::new(numbers) as ArrayRef, true),
    ])
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_row_is_in_its_partition(
        batches in prop::collection::vec(
            prop::collection::vec(prop::option::of("[a-c]{0,2}"), 1..30), 1..8),
        most_open in 1..4_usize,
        most_waiting in prop::sample::select(vec![0, 600, 1 << 20]),
        file_bytes in prop::option::of(1..900_u64),
    ) {
        let files = Files::default();
        let mut sink = files.sink(&batch(&[]).schema(), &["k"]).unwrap()
            .with_open_files(most_open)
            .with_waiting_bytes(most_waiting);
        if let Some(bytes) = file_bytes {
            sink = sink.with_file_bytes(bytes);
        }
        let mut expected: BTreeMap<PartitionValues, Vec<i64>> = BTreeMap::new();
        let (mut number, mut empty) = (0, 0);
        for keys in batches {
            let rows: Vec<_> = keys.into_iter().map(|key| {
                number += 1;
                empty += u64::from(key.as_deref() == Some(""));
                let value = key.clone().filter(|key| !key.is_empty());
                expected.entry(vec![value]).or_default().push(number);
                (key, number)
            }).collect();
            sink.write(&batch(&rows)).unwrap();
        }
        let written = sink.finish().unwrap();
        prop_assert_eq!(written.empty_values, empty);
        prop_assert!(files.0.lock().unwrap().most_open <= most_open);
        prop_assert_eq!(files.0.lock().unwrap().open, 0);
        let rows: u64 = written.files.iter().map(|it| it.file.rows).sum();
        prop_assert_eq!(rows, u64::try_from(number).unwrap());
        let told: Vec<_> = written.files.iter().map(|it| (it.values.clone(), it.file.number)).collect();
        let there: Vec<_> = files.0.lock().unwrap().files.keys().cloned().collect();
        prop_assert_eq!(told, there);
        prop_assert_eq!(files.numbers(), expected);
    }
}

#[test]
fn values_are_written_as_hive_writes_them() {
    let micros = 1_705_314_600_000_000;
    let zoned = TimestampMicrosecondArray::from(vec![micros + 250_000]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 5] = [
        ("i", Arc::new(Int64Array::from(vec![-7]))),
        ("d", Arc::new(Date32Array::from(vec![19_737]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![micros]))),
        ("z", Arc::new(zoned)),
        ("n", Arc::new(Int64Array::from(vec![1]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let files = Files::default();
    let mut sink = files.sink(&batch.schema(), &["z", "t", "d", "i"]).unwrap();
    sink.write(&batch).unwrap();
    let written = sink.finish().unwrap();
    let values: Vec<_> = written.files[0].values.iter().flatten().collect();
    assert_eq!(
        values,
        [
            "2024-01-15 10:30:00.250",
            "2024-01-15 10:30:00",
            "2024-01-15",
            "-7"
        ]
    );
}

#[test]
fn columns_that_name_no_folders_are_refused() {
    let inner = Arc::new(Field::new("a", DataType::Int64, true));
    let parts = StructArray::from(vec![(
        inner,
        Arc::new(Int64Array::from(vec![1])) as ArrayRef,
    )]);
    let columns: [(&str, ArrayRef); 2] = [
        ("s", Arc::new(parts)),
        ("n", Arc::new(Int64Array::from(vec![1]))),
    ];
    let schema = RecordBatch::try_from_iter(columns).unwrap().schema();
    for (by, expected) in [
        (
            &["s"][..],
            "column `s`: has parts, and only values are names of folders",
        ),
        (
            &["x"],
            "column `x`: there is no such column to partition by",
        ),
        (&["n", "n"], "column `n`: is a partition column already"),
    ] {
        let error = Files::default().sink(&schema, by).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let only = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
    assert!(Files::default().sink(&only, &["n"]).is_err());
}
