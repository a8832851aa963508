//! How a variable will be looked at, chosen by its type in the compile of its cell.
//!
//! A cell asks `(&&&Held(x)).oxilab_look()`: by autoref specialisation the values that have a text, the
//! collections of those that have none, and all others. The unit of a type that seems to have a text
//! asks `(&&&Written(self)).oxilab_write(line)`: its `Debug`, else its `Display`, else nothing.

use std::fmt::{self, Debug, Display};

use crate::inspect::{Counted, Line, Look, Peek};

/// A variable on its way into the store.
#[doc(hidden)]
pub struct Held<T>(pub T);

/// Values that have a text.
#[doc(hidden)]
pub trait LookAtText {
    fn oxilab_look(&self) -> Option<Look>;
}

impl<T: Peek + 'static> LookAtText for &&Held<T> {
    #[inline]
    fn oxilab_look(&self) -> Option<Look> {
        T::look()
    }
}

/// Collections of values without a text.
#[doc(hidden)]
pub trait LookAtCount {
    fn oxilab_look(&self) -> Option<Look>;
}

impl<T: Counted + 'static> LookAtCount for &Held<T> {
    #[inline]
    fn oxilab_look(&self) -> Option<Look> {
        Some(Look::count::<T>())
    }
}

/// All others.
#[doc(hidden)]
pub trait LookAtAny {
    #[inline]
    fn oxilab_look(&self) -> Option<Look> {
        None
    }
}

impl<T> LookAtAny for Held<T> {}

/// A value of a notebook's own type, to be written.
#[doc(hidden)]
pub struct Written<'a, T: ?Sized>(pub &'a T);

/// By its `Debug`.
#[doc(hidden)]
pub trait ByDebug {
    fn oxilab_write(&self, line: &mut Line) -> fmt::Result;
}

impl<T: Debug> ByDebug for &&Written<'_, T> {
    fn oxilab_write(&self, line: &mut Line) -> fmt::Result {
        line.debug(self.0)
    }
}

/// By its `Display`.
#[doc(hidden)]
pub trait ByDisplay {
    fn oxilab_write(&self, line: &mut Line) -> fmt::Result;
}

impl<T: Display> ByDisplay for &Written<'_, T> {
    fn oxilab_write(&self, line: &mut Line) -> fmt::Result {
        line.display(self.0)
    }
}

/// It has no text: what seemed to be `Debug` was a trait of the same name.
#[doc(hidden)]
pub trait ByNothing {
    fn oxilab_write(&self, _line: &mut Line) -> fmt::Result {
        Ok(())
    }
}

impl<T: ?Sized> ByNothing for Written<'_, T> {}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::inspect::{self, Inspection};

    /// What the explorer says of a value: preview, shape and bytes.
    macro_rules! seen {
        ($value:expr) => {{
            let held = Held($value);
            let look = (&&&held).oxilab_look();
            let value: &dyn std::any::Any = &held.0;
            let seen = inspect::inspect(value).or_else(|| look.and_then(|l| l.inspect(value)));
            parts(seen)
        }};
    }

    fn parts(seen: Option<Inspection<'_>>) -> (String, Option<String>, Option<u64>) {
        let seen = seen.unwrap_or_default();
        (seen.preview, seen.shape, seen.bytes)
    }

    struct Opaque;

    /// A type of a notebook, as its unit writes it.
    struct Point(i32);

    static FORMATTED: AtomicUsize = AtomicUsize::new(0);

    impl fmt::Debug for Point {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            FORMATTED.fetch_add(1, Ordering::Relaxed);
            assert_ne!(self.0, 13, "unlucky");
            formatter.debug_tuple("Point").field(&self.0).finish()
        }
    }

    macro_rules! written {
        ($($kind:ty),*) => {$(
            impl Peek for $kind {
                fn peek(&self, line: &mut Line) -> fmt::Result {
                    (&&&Written(self)).oxilab_write(line)
                }
            }
        )*};
    }

    written!(Point, Lines, Nothing);

    struct Lines(&'static str);

    impl Display for Lines {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
    }

    struct Nothing;

    #[test]
    fn previews_are_what_debug_writes() {
        macro_rules! same {
            ($($value:expr),* $(,)?) => {$(
                assert_eq!(seen!($value).0, format!("{:?}", $value));
            )*};
        }
        same!(
            Some(vec![0.5, 1.0]),
            None::<u8>,
            (1, "a\nb", 'x'),
            vec![vec![1, 2], vec![], vec![3]],
            vec![(1, "a".to_owned()), (2, "b".to_owned())],
            vec![Some(Point(1)), None],
            HashMap::from([("a", Some(Point(1)))]),
            HashSet::from([(1, true)]),
            BTreeMap::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![])]),
            BTreeSet::from([3, 1, 2]),
            VecDeque::from([[1u8, 2], [3, 4]]),
            Ok::<(), String>(()),
            Err::<u8, _>(String::from("no")),
            Rc::new(RefCell::new(vec![1])),
            Arc::new(Mutex::new(Some("x"))),
            (0..5, 1..=2),
            std::time::Duration::from_millis(1500),
        );
        let lent = RefCell::new(1);
        let _held = lent.borrow_mut();
        let mut line = Line::default();
        lent.peek(&mut line).expect("short");
        assert!(format!("{line:?}").contains("<borrowed>"));
    }

    #[test]
    fn collections_have_a_length_and_bytes_whatever_they_hold() {
        assert_eq!(seen!(vec![Opaque]), (String::new(), Some("len 1".to_owned()), Some(24)));
        let mut deque: VecDeque<(u64, Box<dyn Fn()>)> = VecDeque::with_capacity(4);
        deque.push_back((1, Box::new(|| ())));
        let bytes = size_of_val(&deque) + deque.capacity() * 24;
        assert_eq!(seen!(deque), (String::new(), Some("len 1".to_owned()), Some(bytes as u64)));
        let map = HashMap::from([("a", 1_u64), ("b", 2)]);
        let bytes = size_of_val(&map) + map.capacity() * 24;
        let (_, shape, held) = seen!(map);
        assert_eq!((shape.as_deref(), held), (Some("len 2"), Some(bytes as u64)));
        assert_eq!(seen!(BTreeSet::from([1_u16, 2])).2, Some(24 + 4));
        assert_eq!(seen!(BTreeMap::from([(1_u32, Opaque)])).1.as_deref(), Some("len 1"));
        assert_eq!(seen!(Opaque), (String::new(), None, None));
        assert_eq!(seen!((Opaque, 1)), (String::new(), None, None));
    }

    #[test]
    fn what_inspectors_know_takes_no_look() {
        macro_rules! looks {
            ($($value:expr),* $(,)?) => { [$((&&&Held($value)).oxilab_look().is_some()),*] };
        }
        assert_eq!(looks!(1, 0.5, 'x', "text", String::new(), vec![1.5], vec!["a"]), [false; 7]);
        assert_eq!(looks!(vec![1_i128], Some(1), vec![vec![1]]), [true; 3]);
    }

    #[test]
    fn a_million_entries_cost_what_is_shown_and_a_panic_nothing() {
        let many: Vec<Vec<Point>> =
            (0..1000).map(|_| (0..1000).map(|_| Point(7)).collect()).collect();
        FORMATTED.store(0, Ordering::Relaxed);
        let (preview, shape, _) = seen!(many);
        assert!(preview.starts_with("[[Point(7), Point(7)") && preview.ends_with('…'), "{preview}");
        assert_eq!((preview.chars().count(), shape.as_deref()), (80, Some("len 1000")));
        let map: HashMap<usize, Point> = (0..100_000).map(|key| (key, Point(7))).collect();
        assert!(seen!(Some(map)).0.starts_with("Some({"));
        assert!(FORMATTED.load(Ordering::Relaxed) < 50);
        assert_eq!(seen!((1, Point(13))).0, "", "its Debug panics");
        assert_eq!(seen!(vec![Point(13)]).1.as_deref(), Some("len 1"), "it has its length");
    }

    #[test]
    fn only_the_first_line_is_shown() {
        assert_eq!(seen!(Nothing).0, "");
        assert_eq!(seen!(Lines("one\ntwo")).0, "one…");
        assert_eq!(seen!(Lines("\none\ttab\n")).0, "one tab");
        assert_eq!(seen!(Some("x".repeat(1 << 20))).0.chars().count(), 80);
    }
}
