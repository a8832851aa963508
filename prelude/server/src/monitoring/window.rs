//! The latest rows of a model: [`Window`].

use std::collections::VecDeque;
use std::sync::Arc;

use polars::prelude::DataFrame;

/// Frames that are put together: a frame of one row takes hundreds of times its values' bytes.
const TOGETHER: usize = 256;

/// At least so many of the latest rows, as far as they came, in few frames.
#[derive(Debug)]
pub(crate) struct Window {
    latest: VecDeque<Arc<DataFrame>>,
    older: VecDeque<Together>,
    rows: usize,
    most: usize,
}

/// Frames that become one. It takes some milliseconds, in which the window has them as they are.
#[derive(Clone, Debug)]
pub(crate) struct Together(Vec<Arc<DataFrame>>);

impl Together {
    /// One frame of them, in one piece, for [`Window::take`].
    pub(crate) fn join(self) -> Joined {
        let frame = joined(&self.0).map(|mut frame| {
            frame.rechunk_mut();
            Arc::new(frame)
        });
        Joined { whole: Self(frame.into_iter().collect()), parts: self }
    }

    fn rows(&self) -> usize {
        self.0.iter().map(|frame| frame.height()).sum()
    }

    fn begins_as(&self, other: &Self) -> bool {
        self.0.first().zip(other.0.first()).is_some_and(|(ours, theirs)| Arc::ptr_eq(ours, theirs))
    }
}

pub(crate) struct Joined {
    parts: Together,
    whole: Together,
}

impl Window {
    pub(crate) fn new(most: usize) -> Self {
        Self { latest: VecDeque::new(), older: VecDeque::new(), rows: 0, most: most.max(1) }
    }

    /// Adds rows, and lets go of those that are too old. Gives what is to be joined and
    /// [taken](Window::take) back.
    pub(crate) fn push(&mut self, frame: DataFrame) -> Option<Together> {
        self.rows += frame.height();
        self.latest.push_back(Arc::new(frame));
        self.trim();
        (self.latest.len() >= TOGETHER).then(|| {
            let together = Together(self.latest.drain(..).collect());
            self.older.push_back(together.clone());
            together
        })
    }

    /// Puts one frame in the place of its parts, unless they are too old by now or the window was cleared.
    pub(crate) fn take(&mut self, joined: Joined) {
        let parts = self.older.iter_mut().find(|parts| parts.begins_as(&joined.parts));
        if let Some(parts) = parts {
            // Frames whose columns have changed are not all in it.
            self.rows -= parts.rows();
            self.rows += joined.whole.rows();
            *parts = joined.whole;
        }
        self.trim();
    }

    fn trim(&mut self) {
        loop {
            let oldest = match self.older.front() {
                Some(parts) => parts.rows(),
                None => self.latest.front().map_or(0, |frame| frame.height()),
            };
            if oldest == 0 || self.rows - oldest < self.most {
                return;
            }
            self.rows -= oldest;
            if self.older.pop_front().is_none() {
                self.latest.pop_front();
            }
        }
    }

    /// The frames, oldest first, for [`joined`]: requests wait while the window is held.
    pub(crate) fn frames(&self) -> Vec<Arc<DataFrame>> {
        let older = self.older.iter().flat_map(|parts| &parts.0);
        older.chain(&self.latest).cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most);
    }
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
        if let Some(together) = window.push(df!("x" => [value]).unwrap()) {
            window.take(together.join());
        }
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
        assert_eq!(window.frames().len(), 2 + 700 - 2 * TOGETHER);
        (700..5000).for_each(|value| push(&mut window, value));
        let kept = values(&window);
        assert!(kept.len() >= 1000 && kept.len() < 1000 + TOGETHER, "{}", kept.len());
        assert_eq!(kept.last(), Some(&4999));
        assert!(kept.is_sorted());
        let frames = window.frames();
        assert!(frames[0].column("x").unwrap().n_chunks() == 1);
    }

    #[test]
    fn a_small_window_is_exact() {
        let mut window = Window::new(3);
        (0..300).for_each(|value| push(&mut window, value));
        assert_eq!(values(&window).last(), Some(&299));
        let mut few = Window::new(3);
        (0..9).for_each(|value| push(&mut few, value));
        assert_eq!(values(&few), [6, 7, 8]);
    }

    #[test]
    fn what_was_on_its_way_when_the_window_was_cleared_is_gone() {
        let mut window = Window::new(1000);
        let mut on_its_way = None;
        for value in 0..256 {
            on_its_way = window.push(df!("x" => [value]).unwrap());
        }
        window.clear();
        window.take(on_its_way.expect("enough").join());
        assert!(window.frames().is_empty());
    }

    #[test]
    fn what_is_on_its_way_is_there() {
        let mut window = Window::new(1000);
        let mut on_their_way = Vec::new();
        for value in 0..600 {
            on_their_way.extend(window.push(df!("x" => [value]).unwrap()));
        }
        assert_eq!(values(&window), (0..600).collect::<Vec<_>>());
        // The second one is ready first.
        for together in on_their_way.into_iter().rev() {
            window.take(together.join());
            assert_eq!(values(&window), (0..600).collect::<Vec<_>>());
        }
        assert_eq!(window.frames().len(), 2 + 600 - 2 * TOGETHER);
    }
}
