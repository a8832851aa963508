//! The latest rows of a model: [`Window`].

use std::collections::VecDeque;
use std::sync::Arc;

use polars::prelude::DataFrame;

/// Rows of a frame. One that is longer is not copied often by those who look at the window, one of a single
/// row takes hundreds of times its values' bytes.
const ROWS: usize = 256;

/// At least so many of the latest rows, as far as they came.
#[derive(Debug)]
pub(crate) struct Window {
    /// Grows by what comes.
    latest: DataFrame,
    older: VecDeque<Arc<DataFrame>>,
    rows: usize,
    most: usize,
}

impl Window {
    pub(crate) fn new(most: usize) -> Self {
        Self { latest: DataFrame::empty(), older: VecDeque::new(), rows: 0, most: most.max(1) }
    }

    /// Adds rows, and lets go of those that are too old.
    pub(crate) fn push(&mut self, frame: DataFrame) {
        self.rows += frame.height();
        let fits = alike(&self.latest, &frame);
        if !fits || self.latest.extend(&frame).is_err() {
            self.begin(frame);
        }
        if self.latest.height() >= ROWS {
            self.begin(DataFrame::empty());
        }
        self.trim();
    }

    fn begin(&mut self, latest: DataFrame) {
        let full = std::mem::replace(&mut self.latest, latest);
        if full.height() > 0 {
            self.older.push_back(Arc::new(full));
        }
    }

    fn trim(&mut self) {
        while let Some(oldest) = self.older.front()
            && self.rows - oldest.height() >= self.most
        {
            self.rows -= oldest.height();
            self.older.pop_front();
        }
        if self.older.is_empty() && self.rows > self.most {
            self.latest = self.latest.tail(Some(self.most));
            self.rows = self.most;
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The frames, oldest first, for [`joined`]: requests wait while the window is held.
    pub(crate) fn frames(&self) -> Vec<Arc<DataFrame>> {
        let latest = (self.latest.height() > 0).then(|| Arc::new(self.latest.clone()));
        self.older.iter().cloned().chain(latest).collect()
    }

    /// Whether a frame has the columns of the latest rows.
    pub(crate) fn fits(&self, frame: &DataFrame) -> bool {
        let latest = (self.latest.height() > 0).then_some(&self.latest);
        let latest = latest.or_else(|| self.older.back().map(Arc::as_ref));
        latest.is_none_or(|latest| alike(latest, frame))
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most);
    }
}

/// Whether two frames have the same columns. To compare their schemas takes making them, for every request.
fn alike(one: &DataFrame, other: &DataFrame) -> bool {
    let mut pairs = one.columns().iter().zip(other.columns());
    one.width() == other.width()
        && pairs.all(|(one, other)| one.name() == other.name() && one.dtype() == other.dtype())
}

/// Frames below each other. One whose columns differ begins anew.
pub(crate) fn joined<F: AsRef<DataFrame>>(
    frames: impl IntoIterator<Item = F>,
) -> Option<DataFrame> {
    let mut all: Option<DataFrame> = None;
    for frame in frames {
        let frame = frame.as_ref();
        let fits = all.as_mut().is_some_and(|all| all.vstack_mut(frame).is_ok());
        if !fits {
            all = Some(frame.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    fn push(window: &mut Window, value: i32) {
        window.push(df!("x" => [value]).unwrap());
    }

    fn values(window: &Window) -> Vec<i32> {
        let all = joined(window.frames()).unwrap();
        all.column("x").unwrap().i32().unwrap().iter().flatten().collect()
    }

    #[test]
    fn the_latest_rows_stay_in_order_and_in_few_frames() {
        let mut window = Window::new(1000);
        (0..700).for_each(|value| push(&mut window, value));
        assert_eq!(values(&window), (0..700).collect::<Vec<_>>());
        assert_eq!(window.frames().len(), 3);
        (700..5000).for_each(|value| push(&mut window, value));
        let kept = values(&window);
        assert!(kept.len() >= 1000 && kept.len() < 1000 + ROWS, "{}", kept.len());
        assert_eq!(kept.last(), Some(&4999));
        assert!(kept.is_sorted());
        assert!(window.frames().iter().all(|frame| frame.column("x").unwrap().n_chunks() == 1));
    }

    #[test]
    fn what_was_given_stays_as_it_was() {
        let mut window = Window::new(1000);
        push(&mut window, 1);
        let before = window.frames();
        push(&mut window, 2);
        assert_eq!(joined(before).unwrap().height(), 1);
        assert_eq!(values(&window), [1, 2]);
    }

    #[test]
    fn frames_of_other_columns_stand_beside_each_other() {
        let mut window = Window::new(5);
        push(&mut window, 1);
        window.push(df!("x" => ["one"], "y" => [1]).unwrap());
        window.push(df!("x" => ["two"], "y" => [2]).unwrap());
        assert_eq!(window.frames().iter().map(|frame| frame.height()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            joined(window.frames()).unwrap(),
            df!("x" => ["one", "two"], "y" => [1, 2]).unwrap()
        );
    }

    #[test]
    fn a_small_window_is_exact() {
        let mut window = Window::new(3);
        (0..300).for_each(|value| push(&mut window, value));
        assert_eq!(values(&window).last(), Some(&299));
        let mut few = Window::new(3);
        (0..9).for_each(|value| push(&mut few, value));
        assert_eq!(values(&few), [6, 7, 8]);
        few.clear();
        assert!(few.frames().is_empty());
    }
}
