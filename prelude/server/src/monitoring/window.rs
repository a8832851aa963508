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
    older: VecDeque<Arc<DataFrame>>,
    rows: usize,
    most: usize,
    /// How often it was cleared.
    epoch: u64,
}

/// Frames on their way from the latest to the older ones. They are put together while nobody waits for
/// the window.
#[derive(Debug)]
pub(crate) struct Together {
    frames: Vec<Arc<DataFrame>>,
    epoch: u64,
}

impl Together {
    /// One frame of them, in one piece.
    pub(crate) fn join(self) -> Joined {
        let frame = joined(self.frames).map(|mut frame| {
            frame.rechunk_mut();
            Arc::new(frame)
        });
        Joined { frame, epoch: self.epoch }
    }
}

pub(crate) struct Joined {
    frame: Option<Arc<DataFrame>>,
    epoch: u64,
}

impl Window {
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { latest: VecDeque::new(), older: VecDeque::new(), rows: 0, most, epoch: 0 }
    }

    /// Adds rows, and lets go of those that are too old. Gives what is to be put together and
    /// [taken](Window::take) back.
    pub(crate) fn push(&mut self, frame: DataFrame) -> Option<Together> {
        self.rows += frame.height();
        self.latest.push_back(Arc::new(frame));
        self.trim();
        (self.latest.len() >= TOGETHER).then(|| {
            let frames: Vec<_> = self.latest.drain(..).collect();
            self.rows -= frames.iter().map(|frame| frame.height()).sum::<usize>();
            Together { frames, epoch: self.epoch }
        })
    }

    /// Takes what was put together, unless the window was cleared since.
    pub(crate) fn take(&mut self, joined: Joined) {
        if let (Some(frame), true) = (joined.frame, joined.epoch == self.epoch) {
            self.rows += frame.height();
            self.older.push_back(frame);
            self.trim();
        }
    }

    fn trim(&mut self) {
        loop {
            let oldest = if self.older.is_empty() { &mut self.latest } else { &mut self.older };
            match oldest.front() {
                Some(front) if self.rows - front.height() >= self.most => {
                    self.rows -= front.height();
                    oldest.pop_front();
                }
                _ => return,
            }
        }
    }

    /// The frames, oldest first, for [`joined`]: requests wait while the window is held.
    pub(crate) fn frames(&self) -> Vec<Arc<DataFrame>> {
        self.older.iter().chain(&self.latest).cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::new(self.most) };
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
}
