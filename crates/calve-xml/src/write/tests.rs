use std::io::Write;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray, Int64Array, ListArray, StringArray, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;

use super::*;

/// Files in memory.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<Vec<Vec<u8>>>>);

struct File(Files, usize);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.0.lock().unwrap()[self.1].extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Files {
    fn open(&self) -> impl FnMut(usize) -> std::io::Result<Box<dyn Write + Send>> + Send + 'static {
        let files = self.clone();
        move |number| {
            let mut all = files.0.lock().unwrap();
            assert_eq!(all.len(), number);
            all.push(Vec::new());
            Ok(Box::new(File(files.clone(), number)))
        }
    }

    fn read(&self, number: usize) -> (RecordBatch, Vec<(i64, Compression)>) {
        let bytes = Bytes::from(self.0.lock().unwrap()[number].clone());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let groups = reader.metadata().row_groups();
        let groups = groups
            .iter()
            .map(|group| (group.num_rows(), group.column(0).compression()));
        let groups = groups.collect();
        let schema = Arc::clone(reader.schema());
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        (concat_batches(&schema, &batches).unwrap(), groups)
    }
}

/// Rows with nested columns, from a number on.
fn batch(from: i64, rows: i64) -> RecordBatch {
    let numbers: Vec<i64> = (from..from + rows).collect();
    let lists = numbers.iter().map(|n| match n % 3 {
        0 => None,
        1 => Some(vec![]),
        _ => Some(vec![Some(*n), None]),
    });
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let names: StringArray = numbers
        .iter()
        .map(|n| (n % 5 > 0).then(|| format!("name {n}")))
        .collect();
    let inner = Arc::new(Field::new("name", DataType::Utf8, true));
    let list_field = Arc::new(Field::new("numbers", list.data_type().clone(), true));
    let columns: Vec<(_, Arc<dyn Array>)> =
        vec![(inner, Arc::new(names)), (list_field, Arc::new(list))];
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(numbers)) as Arc<dyn Array>),
        ("s", Arc::new(StructArray::from(columns))),
    ])
    .unwrap()
}

#[test]
fn rows_come_back_in_order() {
    let pool = Arc::new(
        rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap(),
    );
    for pool in [None, Some(pool)] {
        let files = Files::default();
        let mut sink = ParquetSink::new(batch(0, 1).schema(), files.open())
            .with_codec(Codec::Snappy)
            .with_row_group_rows(1000);
        sink.pool = pool;
        for at in 0..7 {
            sink.write(batch(at * 700, 700)).unwrap();
        }
        let written = sink.finish().unwrap();
        assert_eq!((written[0].rows, written[0].row_groups), (4900, 5));
        assert_eq!(written[0].bytes, files.0.lock().unwrap()[0].len() as u64);
        let (rows, groups) = files.read(0);
        assert_eq!(rows, batch(0, 4900));
        assert_eq!(groups[0], (1000, Compression::SNAPPY));
        assert_eq!(groups[4], (900, Compression::SNAPPY));
    }
}

#[test]
fn files_and_row_groups_have_the_size_asked_for() {
    let files = Files::default();
    let mut sink = ParquetSink::new(batch(0, 1).schema(), files.open())
        .with_codec(Codec::None)
        .with_row_group_bytes(20_000)
        .with_file_bytes(50_000);
    for at in 0..50 {
        sink.write(batch(at * 200, 200)).unwrap();
    }
    let written = sink.finish().unwrap();
    assert!(written.len() > 3, "{written:?}");
    assert_eq!(written.iter().map(|file| file.rows).sum::<u64>(), 10_000);
    let mut from = 0;
    for file in &written {
        let (rows, groups) = files.read(file.number);
        let count = i64::try_from(file.rows).unwrap();
        assert_eq!(rows, batch(from, count));
        assert_eq!(groups.len(), file.row_groups);
        from += count;
        if file.number + 1 < written.len() {
            assert!(file.bytes >= 50_000 && file.row_groups >= 2, "{file:?}");
        }
    }
}

#[test]
fn without_rows_there_is_a_file_with_the_schema() {
    let files = Files::default();
    let schema = batch(0, 1).schema();
    let written = ParquetSink::new(Arc::clone(&schema), files.open())
        .finish()
        .unwrap();
    assert_eq!((written.len(), written[0].rows), (1, 0));
    let (rows, _) = files.read(0);
    assert_eq!(rows.schema(), schema);
}

#[test]
fn columns_whose_values_hardly_repeat_have_no_dictionary() {
    let values: StringArray = (0..2000).map(|n| Some(format!("{n}"))).collect();
    let few: StringArray = (0..2000).map(|n| Some(format!("{}", n % 10))).collect();
    let columns: [(&str, Arc<dyn Array>); 2] = [("many", Arc::new(values)), ("few", Arc::new(few))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(first_batch::repeats(&batch), [false, true]);
    assert_eq!(batch.column(0).as_string::<i32>().value(7), "7");
}
