//! The shape of a footer: the fields of Parquet's Thrift structures that the decoder reads.

/// What kind of value a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Boolean,
    Byte,
    Int16,
    /// Also enumerations.
    Int32,
    Int64,
    Double,
    Binary,
    Struct(&'static Shape),
    List(&'static Self),
}

/// The known fields of a structure, each with its number.
pub(super) type Shape = [(i16, Kind)];

use Kind::{Binary, Boolean, Byte, Double, Int16, Int32, Int64, List, Struct};

const EMPTY: Kind = Struct(&[]);
const BINARY: Kind = Binary;
const INT32: Kind = Int32;
const INT64: Kind = Int64;

const DECIMAL: Kind = Struct(&[(1, Int32), (2, Int32)]);
const TIME_UNIT: Kind = Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]);
const TIME: Kind = Struct(&[(1, Boolean), (2, TIME_UNIT)]);
const INTEGER: Kind = Struct(&[(1, Byte), (2, Boolean)]);
const LOGICAL_TYPE: Kind = Struct(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, DECIMAL),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, INTEGER),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Int32)])),
]);

/// `SchemaElement`.
pub(super) const SCHEMA_ELEMENT: &Shape = &[
    (1, Int32),
    (2, Int32),
    (3, Int32),
    (4, Binary),
    (schema_element::NUM_CHILDREN, Int32),
    (6, Int32),
    (7, Int32),
    (8, Int32),
    (9, Int32),
    (10, LOGICAL_TYPE),
];

/// Fields of `SchemaElement`.
pub(super) mod schema_element {
    pub(in super::super) const NUM_CHILDREN: i16 = 5;
}

/// `Statistics`.
pub(super) const STATISTICS: &Shape = &[
    (1, Binary),
    (2, Binary),
    (3, Int64),
    (4, Int64),
    (5, Binary),
    (6, Binary),
    (7, Boolean),
    (8, Boolean),
];

/// The fields of `Statistics` that hold a least or greatest value.
pub(super) const STATISTICS_VALUES: [i16; 4] = [1, 2, 5, 6];

const KEY_VALUE: Kind = Struct(&[(1, Binary), (2, Binary)]);
const PAGE_ENCODING: Kind = Struct(&[(1, Int32), (2, Int32), (3, Int32)]);
const SIZES: Kind = Struct(&[(1, Int64), (2, List(&INT64)), (3, List(&INT64))]);
const BOX: Kind = Struct(&[
    (1, Double),
    (2, Double),
    (3, Double),
    (4, Double),
    (5, Double),
    (6, Double),
    (7, Double),
    (8, Double),
]);
const GEOSPATIAL: Kind = Struct(&[(1, BOX), (2, List(&INT32))]);

/// `ColumnMetaData`.
pub(super) const COLUMN_META_DATA: &Shape = &[
    (column_meta_data::TYPE, Int32),
    (2, List(&INT32)),
    (column_meta_data::PATH, List(&BINARY)),
    (4, Int32),
    (5, Int64),
    (6, Int64),
    (7, Int64),
    (8, List(&KEY_VALUE)),
    (9, Int64),
    (10, Int64),
    (11, Int64),
    (column_meta_data::STATISTICS, Struct(STATISTICS)),
    (13, List(&PAGE_ENCODING)),
    (14, Int64),
    (15, Int32),
    (16, SIZES),
    (17, GEOSPATIAL),
];

/// Fields of `ColumnMetaData`.
pub(super) mod column_meta_data {
    pub(in super::super) const TYPE: i16 = 1;
    pub(in super::super) const PATH: i16 = 3;
    pub(in super::super) const STATISTICS: i16 = 12;
    /// The value of `TYPE` for 96-bit integers.
    pub(in super::super) const INT96: i64 = 3;
}

/// `ColumnCryptoMetaData`: encrypted with the footer's key, or with a key of its own.
pub(super) const CRYPTO_META_DATA: &Shape =
    &[(1, EMPTY), (crypto_meta_data::COLUMN_KEY, COLUMN_KEY)];
const COLUMN_KEY: Kind = Struct(ENCRYPTION_WITH_COLUMN_KEY);

/// Fields of `ColumnCryptoMetaData`.
pub(super) mod crypto_meta_data {
    pub(in super::super) const COLUMN_KEY: i16 = 2;
}

/// `EncryptionWithColumnKey`.
pub(super) const ENCRYPTION_WITH_COLUMN_KEY: &Shape = &[
    (encryption_with_column_key::PATH, List(&BINARY)),
    (2, Binary),
];

/// Fields of `EncryptionWithColumnKey`.
pub(super) mod encryption_with_column_key {
    pub(in super::super) const PATH: i16 = 1;
}

/// `ColumnChunk`.
pub(super) const COLUMN_CHUNK: &Shape = &[
    (1, Binary),
    (2, Int64),
    (column_chunk::META_DATA, Struct(COLUMN_META_DATA)),
    (4, Int64),
    (5, Int32),
    (6, Int64),
    (7, Int32),
    (column_chunk::CRYPTO_META_DATA, Struct(CRYPTO_META_DATA)),
    (column_chunk::ENCRYPTED_META_DATA, Binary),
];

/// Fields of `ColumnChunk`.
pub(super) mod column_chunk {
    pub(in super::super) const META_DATA: i16 = 3;
    pub(in super::super) const CRYPTO_META_DATA: i16 = 8;
    pub(in super::super) const ENCRYPTED_META_DATA: i16 = 9;
}

const CHUNK: Kind = Struct(COLUMN_CHUNK);
const SORTING_COLUMN: Kind = Struct(&[(1, Int32), (2, Boolean), (3, Boolean)]);

/// `RowGroup`.
pub(super) const ROW_GROUP: &Shape = &[
    (row_group::COLUMNS, List(&CHUNK)),
    (2, Int64),
    (3, Int64),
    (4, List(&SORTING_COLUMN)),
    (5, Int64),
    (6, Int64),
    (7, Int16),
];

/// Fields of `RowGroup`.
pub(super) mod row_group {
    pub(in super::super) const COLUMNS: i16 = 1;
}

const ELEMENT: Kind = Struct(SCHEMA_ELEMENT);
const GROUP: Kind = Struct(ROW_GROUP);
const COLUMN_ORDER: Kind = Struct(&[(1, EMPTY), (2, EMPTY)]);

/// `FileMetaData`.
pub(super) const FILE_META_DATA: &Shape = &[
    (1, Int32),
    (file_meta_data::SCHEMA, List(&ELEMENT)),
    (3, Int64),
    (file_meta_data::ROW_GROUPS, List(&GROUP)),
    (5, List(&KEY_VALUE)),
    (6, Binary),
    (7, List(&COLUMN_ORDER)),
];

/// Fields of `FileMetaData`.
pub(super) mod file_meta_data {
    pub(in super::super) const SCHEMA: i16 = 2;
    pub(in super::super) const ROW_GROUPS: i16 = 4;
}
