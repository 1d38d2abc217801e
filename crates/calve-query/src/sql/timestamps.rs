//! Timestamps in a query count microseconds, as Iceberg's do.
//!
//! DataFusion takes nanoseconds, which end in 1677 and 2262: it fails on a literal outside, and on a column's
//! value outside that such a literal is compared with.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{DataType, Expr, Value, VisitMut, VisitorMut};

use super::tables::inner_mut;

/// The digits of a second's fraction that microseconds have.
const MICROSECOND_DIGITS: usize = 6;

/// Gives the timestamps that a statement writes without a precision the one of microseconds, unless
/// they have more digits than that.
pub(crate) fn count_microseconds(statement: &mut Statement) {
    if let Some(statement) = inner_mut(statement) {
        let _ = VisitMut::visit(statement, &mut Microseconds);
    }
}

struct Microseconds;

impl VisitorMut for Microseconds {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::TypedString(typed) => refine(&mut typed.data_type, &typed.value.value),
            Expr::Cast {
                expr, data_type, ..
            } => {
                if let Expr::Value(literal) = expr.as_ref() {
                    refine(data_type, &literal.value);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn refine(data_type: &mut DataType, literal: &Value) {
    if let (DataType::Timestamp(precision @ None, _), Value::SingleQuotedString(text)) =
        (data_type, literal)
    {
        let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits <= MICROSECOND_DIGITS {
            *precision = Some(MICROSECOND_DIGITS as u64);
        }
    }
}
