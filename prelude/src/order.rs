//! The order of a frame that the grid shows sorted, kept so that every page does not sort anew.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use polars::prelude::{IdxCa, Series, SeriesTrait, SortOptions};

/// The last order asked for: one grid is looked at at a time.
static LAST: Mutex<Option<Order>> = Mutex::new(None);

struct Order {
    /// The column, held weakly: its values go when the frame goes, and its address is nobody else's.
    column: Weak<dyn SeriesTrait>,
    descending: bool,
    rows: IdxCa,
}

/// The rows of a column from least to greatest, or the other way round; missing values last, equal
/// ones in the frame's order.
pub(crate) fn rows(column: &Series, descending: bool) -> IdxCa {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(order) = &*last
        && order.descending == descending
        && order.column.upgrade().is_some_and(|known| Arc::ptr_eq(&known, &column.0))
    {
        return order.rows.clone();
    }
    // Dropped before the next is made: ten million rows are 40 MB.
    *last = None;
    let options = SortOptions::default()
        .with_order_descending(descending)
        .with_nulls_last(true)
        .with_maintain_order(true);
    let rows = column.arg_sort(options);
    let column = Arc::downgrade(&column.0);
    *last = Some(Order { column, descending, rows: rows.clone() });
    rows
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    #[test]
    fn an_order_is_of_its_column_and_direction() {
        let first = Series::new("n".into(), [3, 1, 2]);
        let second = Series::new("n".into(), [1, 2, 3]);
        let of = |series: &Series, descending| -> Vec<IdxSize> {
            rows(series, descending).into_no_null_iter().collect()
        };
        assert_eq!(of(&first, false), [1, 2, 0]);
        assert_eq!(of(&first.clone(), false), [1, 2, 0]);
        assert_eq!(of(&first, true), [0, 2, 1]);
        assert_eq!(of(&second, true), [2, 1, 0]);
        drop((first, second));
        let third = Series::new("n".into(), [2, 3, 1]);
        assert_eq!(of(&third, true), [1, 0, 2]);
    }
}
