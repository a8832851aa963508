//! `bail!` and `ensure!` as anyhow has them, at the top of a cell as well: a step of a cell ends with
//! an error of its own type, so the error is converted on its way.

/// Ends the function, or the cell, with an error made from a message.
///
/// ```
/// use oxilab::prelude::*;
///
/// fn half(n: i64) -> anyhow::Result<i64> {
///     if n % 2 == 1 {
///         bail!("{n} is odd");
///     }
///     Ok(n / 2)
/// }
/// assert_eq!(half(3).unwrap_err().to_string(), "3 is odd");
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err(::core::convert::From::from(
            $crate::__rt::anyhow::anyhow!($($message)+),
        ))
    };
}

/// Ends the function, or the cell, with an error unless the condition holds.
///
/// ```
/// use oxilab::prelude::*;
///
/// fn root(x: f64) -> anyhow::Result<f64> {
///     ensure!(x >= 0.0, "{x} has no root");
///     ensure!(x.is_finite());
///     Ok(x.sqrt())
/// }
/// assert_eq!(root(-1.0).unwrap_err().to_string(), "-1 has no root");
/// assert_eq!(root(f64::INFINITY).unwrap_err().to_string(), "condition failed: `x.is_finite()`");
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr $(,)?) => {
        if !$condition {
            $crate::bail!("{}", ::core::concat!("condition failed: `", ::core::stringify!($condition), "`"));
        }
    };
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($($message)+);
        }
    };
}
