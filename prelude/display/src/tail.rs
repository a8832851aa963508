//! Showing the tail expression of a cell in the same compile, whatever its type.
//!
//! [`show!`](crate::show!) and [`show_result!`](crate::show_result!) choose, by autoref
//! specialisation: [`Plain`], [`Render`], else an inherent `evcxr_display()`, else `Debug`, else
//! `Display`, else the type's name. Method resolution tries the implementation on `&&Tail` first, then `&Tail`, then
//! [`Tail`]; it prefers an inherent `evcxr_display` to the blanket one of [`Foreign`], whose return
//! type says that nothing ran.
//!
//! What the macro leaves in the cell is a few calls; everything else is compiled here, once. The mere
//! question whether a type is `Debug` makes rustc read the thousands of `Debug` implementations of
//! all crates in the prelude (*measured*: 30 ms of CPU time, a fifth of a trivial cell). So the
//! commonest types answer to [`Plain`], a trait with few implementations, and `Debug` is asked for
//! only when nothing else fits: the type of what the first stage returns, [`Done`] or [`Rest`],
//! decides.

use std::fmt::{self, Debug, Write as _};

use oxilab_runtime::MimeBundle;
use oxilab_runtime::display::Display;

use crate::fill::fill;
use crate::render::Render;
use crate::table::thousands;

/// Lines of `{:?}` up to this many columns are shown as they are.
const COLUMNS: usize = 100;
/// Longer texts are cut, with a note.
const LIMIT: usize = 1 << 16;

/// Shows a value below the running cell, like Python's `display`.
///
/// ```
/// use polars::prelude::*;
/// let frame = df!("a" => [1, 2])?;
/// oxilab_display::display(&frame);
/// # Ok::<(), PolarsError>(())
/// ```
pub fn display<T: Render + ?Sized>(value: &T) {
    oxilab_runtime::display::show(value.render());
}

/// Shows a value and returns a handle; `handle.update(other.render())` replaces it in place.
///
/// ```
/// use oxilab_display::{Render, display_live, html};
/// let shown = display_live(&html("<b>1</b>"));
/// shown.update(html("<b>2</b>").render());
/// ```
#[must_use = "keep the handle to update what is shown; `display` shows once"]
pub fn display_live<T: Render + ?Sized>(value: &T) -> Display {
    Display::show(value.render())
}

/// Shows any value below the running cell, as the tail expression would show it.
///
/// ```
/// oxilab_display::show!(vec![1, 2]);
/// oxilab_display::show!(oxilab_display::html("<b>bold</b>"));
/// ```
#[macro_export]
macro_rules! show {
    ($value:expr $(,)?) => {
        $crate::__show!($crate::tail::as_display, $value)
    };
}

/// Shows the tail expression of a cell as its result. For generated code.
#[doc(hidden)]
#[macro_export]
macro_rules! show_result {
    ($value:expr $(,)?) => {
        $crate::__show!($crate::tail::as_result, $value)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __show {
    ($send:path, $value:expr) => {
        match &$value {
            value => {
                #[allow(unused_imports)]
                use $crate::tail::{
                    Foreign as _, HasDebug as _, HasDisplay as _, HasPlain as _, HasRender as _,
                    Nameless as _, Neither as _, Ran as _,
                };
                let tail = $crate::tail::Tail(value);
                let rest = (&&&tail).oxilab_first($send);
                if rest.oxilab_goes_on() && (*value).evcxr_display().oxilab_missing() {
                    (&&rest).oxilab_rest($send)
                }
            }
        }
    };
}

/// Where a bundle goes: [`as_result`] or [`as_display`].
#[doc(hidden)]
pub type Sink = fn(MimeBundle);

/// Sends a bundle as the result of the cell.
#[doc(hidden)]
pub fn as_result(bundle: MimeBundle) {
    oxilab_runtime::cell::show_result(bundle);
}

/// Sends a bundle as a display.
#[doc(hidden)]
pub fn as_display(bundle: MimeBundle) {
    oxilab_runtime::display::show(bundle);
}

/// The value to show, borrowed.
#[doc(hidden)]
pub struct Tail<'a, T: ?Sized>(pub &'a T);

/// What the first stage returns when it has shown the value.
#[doc(hidden)]
pub struct Done;

impl Done {
    #[doc(hidden)]
    #[must_use]
    pub fn oxilab_goes_on(&self) -> bool {
        false
    }

    #[doc(hidden)]
    pub fn oxilab_rest(&self, _send: Sink) {}
}

/// What the first stage returns when the value is neither [`Plain`] nor [`Render`].
#[doc(hidden)]
pub struct Rest<'a, T: ?Sized>(&'a T);

impl<T: ?Sized> Rest<'_, T> {
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn oxilab_goes_on(&self) -> bool {
        true
    }
}

#[doc(hidden)]
pub trait HasPlain {
    fn oxilab_first(&self, send: Sink) -> Done;
}

impl<T: Plain + ?Sized> HasPlain for &&Tail<'_, T> {
    #[inline]
    fn oxilab_first(&self, send: Sink) -> Done {
        self.0.oxilab_plain(send);
        Done
    }
}

#[doc(hidden)]
pub trait HasRender {
    fn oxilab_first(&self, send: Sink) -> Done;
}

impl<T: Render + ?Sized> HasRender for &Tail<'_, T> {
    #[inline]
    fn oxilab_first(&self, send: Sink) -> Done {
        rich(&self.0, send)
    }
}

#[doc(hidden)]
pub trait Neither {
    type Rest;
    fn oxilab_first(&self, send: Sink) -> Self::Rest;
}

impl<'a, T: ?Sized> Neither for Tail<'a, T> {
    type Rest = Rest<'a, T>;

    #[inline]
    fn oxilab_first(&self, _send: Sink) -> Rest<'a, T> {
        Rest(self.0)
    }
}

/// The commonest types whose text is their `Debug` text.
#[doc(hidden)]
pub trait Plain {
    fn oxilab_plain(&self, send: Sink);
}

/// Not generic and not inlined, so that the cell compiles nothing of them.
macro_rules! plain_types {
    ($($kind:ty),* $(,)?) => {$(
        plain_types!(@one $kind);
        plain_types!(@one &$kind);
        plain_types!(@one [$kind]);
        plain_types!(@one Vec<$kind>);
        plain_types!(@one Option<$kind>);
    )*};
    (@one $kind:ty) => {
        impl Plain for $kind {
            #[inline(never)]
            fn oxilab_plain(&self, send: Sink) {
                plain(&self, "", send);
            }
        }
    };
}
plain_types!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64, bool, char, String,
    &str,
);
plain_types!(@one str);

impl Plain for () {
    #[inline(never)]
    fn oxilab_plain(&self, _send: Sink) {}
}

/// What [`Foreign`] returns: the type has no `evcxr_display` of its own.
#[doc(hidden)]
pub struct Missing;

impl Missing {
    #[doc(hidden)]
    #[must_use]
    pub fn oxilab_missing(&self) -> bool {
        true
    }
}

#[doc(hidden)]
pub trait Foreign {
    #[inline]
    fn evcxr_display(&self) -> Missing {
        Missing
    }
}

impl<T: ?Sized> Foreign for T {}

#[doc(hidden)]
pub trait Ran {
    #[inline]
    fn oxilab_missing(&self) -> bool {
        false
    }
}

impl<T: ?Sized> Ran for T {}

#[doc(hidden)]
pub trait HasDebug {
    fn oxilab_rest(&self, send: Sink);
}

impl<T: Debug + ?Sized> HasDebug for &Rest<'_, T> {
    #[inline]
    fn oxilab_rest(&self, send: Sink) {
        plain(&self.0, std::any::type_name::<T>(), send);
    }
}

#[doc(hidden)]
pub trait HasDisplay {
    fn oxilab_rest(&self, send: Sink);
}

impl<T: fmt::Display + ?Sized> HasDisplay for &&Rest<'_, T> {
    #[inline]
    fn oxilab_rest(&self, send: Sink) {
        displayed(&self.0, send);
    }
}

#[doc(hidden)]
pub trait Nameless {
    fn oxilab_rest(&self, send: Sink);
}

impl<T: ?Sized> Nameless for Rest<'_, T> {
    #[inline]
    fn oxilab_rest(&self, send: Sink) {
        nameless(std::any::type_name::<T>(), send);
    }
}

fn rich(value: &dyn Render, send: Sink) -> Done {
    send(value.render());
    Done
}

fn plain(value: &dyn Debug, type_name: &str, send: Sink) {
    if type_name != "()" {
        send(MimeBundle::text(debug_text(value)));
    }
}

fn displayed(value: &dyn fmt::Display, send: Sink) {
    let mut text = Bounded { text: String::new(), column: 0, columns: usize::MAX };
    let whole = write!(text, "{value}").is_ok();
    send(MimeBundle::text(if whole { text.text } else { text.cut("{}") }));
}

fn nameless(type_name: &str, send: Sink) {
    // The crate that an item of a cell was compiled in says nothing to its author.
    let own = type_name.split_once("::").filter(|(first, _)| first.starts_with("oxi_u"));
    let type_name = own.map_or(type_name, |(_, rest)| rest);
    send(MimeBundle::text(format!("<{type_name}>")));
}

/// A value as text: `{:?}` while its lines have at most 100 columns; beyond that as `{:#?}`, with as
/// many elements in a line as go into one; cut at 64 KiB.
///
/// ```
/// assert_eq!(oxilab_display::debug_text(&"a\nb"), r#""a\nb""#);
/// ```
#[must_use]
pub fn debug_text(value: &dyn Debug) -> String {
    let mut short = Bounded { text: String::new(), column: 0, columns: COLUMNS };
    if write!(short, "{value:?}").is_ok() {
        return short.text;
    }
    let mut long = Bounded { text: String::new(), column: 0, columns: usize::MAX };
    if write!(long, "{value:#?}").is_err() {
        return Bounded { text: fill(&long.text, COLUMNS), ..long }.cut("{:?}");
    }
    fill(&long.text, COLUMNS)
}

/// Text that refuses what goes beyond a number of columns or [`LIMIT`] bytes.
struct Bounded {
    text: String,
    column: usize,
    columns: usize,
}

impl Bounded {
    /// The text with a note of how to see all of the value.
    fn cut(mut self, format: &str) -> String {
        let limit = thousands(LIMIT);
        let note =
            format!("\n… cut after {limit} bytes; `println!(\"{format}\", …)` prints all of it");
        self.text.push_str(&note);
        self.text
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            self.column = if character == '\n' { 0 } else { self.column + 1 };
            if self.column > self.columns || self.text.len() + character.len_utf8() > LIMIT {
                return Err(fmt::Error);
            }
            self.text.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static SHOWN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn catch(bundle: MimeBundle) {
        SHOWN.with_borrow_mut(|shown| shown.push(bundle.plain().to_owned()));
    }

    /// What the macro of the cell sends, with [`catch`] in place of the runtime.
    macro_rules! caught {
        ($value:expr) => {{
            $crate::__show!(catch, $value);
            SHOWN.take().join("|")
        }};
    }

    #[derive(Debug)]
    struct Both;
    impl Render for Both {
        fn render(&self) -> MimeBundle {
            MimeBundle::text("rich")
        }
    }
    #[derive(Debug)]
    struct ForEvcxr;
    impl ForEvcxr {
        fn evcxr_display(&self) {
            catch(MimeBundle::text("evcxr"));
        }
    }
    struct Spoken;
    impl fmt::Display for Spoken {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("spoken")
        }
    }
    struct Nothing;

    #[test]
    #[expect(clippy::unit_cmp, reason = "the macro takes any expression, units too")]
    fn the_richest_way_is_chosen() {
        assert_eq!(caught!(Both), "rich");
        assert_eq!(caught!(Some(&Both)), "rich");
        assert_eq!(caught!(ForEvcxr), "evcxr");
        assert_eq!(caught!(1 + 1), "2");
        assert_eq!(caught!(0.5), "0.5");
        assert_eq!(caught!(Some(3)), "Some(3)");
        assert_eq!(caught!((1, 'x')), "(1, 'x')");
        assert_eq!(caught!([1u8; 3]), "[1, 1, 1]");
        assert_eq!(caught!(&ForEvcxr), "evcxr");
        assert_eq!(caught!(vec![1.5, 2.0]), "[1.5, 2.0]");
        assert_eq!(caught!(Spoken), "spoken");
        assert!(caught!(Nothing).ends_with("Nothing>"));
        assert!(caught!(|x: i32| x + 1).contains("{{closure}}"));
        let () = ();
        assert_eq!(caught!(()), "");
        let mut list = vec![1];
        assert_eq!(caught!(list.push(2)), "");
        assert_eq!(list, [1, 2]);
    }

    #[test]
    fn odd_tails_compile_and_nothing_is_moved() {
        let text = String::from("a\"b");
        assert_eq!(caught!(text), r#""a\"b""#);
        assert_eq!(caught!(text[..1]), "\"a\"");
        assert_eq!(caught!([1, 2, 3][1..]), "[2, 3]");
        assert_eq!(caught!(None::<u8>), "None");
        assert_eq!(caught!(&&text), r#""a\"b""#);
        assert_eq!(text.len(), 3);
    }

    #[test]
    #[allow(unreachable_code, clippy::diverging_sub_expression, reason = "that is the test")]
    fn diverging_tails_compile() {
        let failed = |run: fn()| std::panic::catch_unwind(run).is_err();
        assert!(failed(|| crate::show!(todo!())));
        assert!(failed(|| crate::show!(panic!("x"))));
        assert!(failed(|| crate::show_result!(unreachable!())));
        let _never_called: fn() = || crate::show_result!(loop {});
    }

    #[test]
    fn wide_values_are_written_on_several_lines_and_huge_ones_cut() {
        assert_eq!(debug_text(&vec![1; 30]), format!("{:?}", vec![1; 30]));
        let filled = debug_text(&vec![1; 40]);
        assert_eq!(filled.lines().map(str::len).collect::<Vec<_>>(), [1, 99, 27, 1], "{filled}");
        let huge = debug_text(&vec![7u64; 10_000_000]);
        assert!(huge.len() < LIMIT + 200 && huge.contains("cut after 65,536 bytes"));
        struct Lines;
        impl Debug for Lines {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&"twenty characters ..\n".repeat(20))
            }
        }
        assert_eq!(debug_text(&Lines).lines().count(), 20);
    }
}
