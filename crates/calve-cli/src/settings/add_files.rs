use std::str::FromStr as _;

use calve::base::{Location, Properties, TableIdent};
use calve::iceberg::spec::{FormatVersion, PrimitiveType};
use calve::lake::Recursive;
use calve::migrate::{DuplicateFiles, GarbageCollection, Int96, OnRefused, OnUnsafe};
use calve::verify::Level;

use super::{Error, Settings, SourceSettings};
use crate::flags::{
    AddFilesFlags, GcFlag, Int96Flag, OnDuplicateFlag, OnRefusedFlag, OnUnsafeFlag,
};
