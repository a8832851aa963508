//! Settings that cannot be meant, refused by name where they are used.

use crate::error::{NnError, Result};

/// Counts and widths.
///
/// # Errors
/// When it is not.
pub fn at_least_one(setting: &'static str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(NnError::Setting { setting, value: value.to_string(), expected: "it must be at least 1" })
}

/// Rates and decays.
///
/// # Errors
/// When it is not.
pub fn not_negative(setting: &'static str, value: f64) -> Result<()> {
    let expected = "it must be a finite number that is not negative";
    holds(setting, value, value.is_finite() && value >= 0.0, expected)
}

/// Limits and divisors.
///
/// # Errors
/// When it is not.
pub fn positive(setting: &'static str, value: f64) -> Result<()> {
    holds(setting, value, value.is_finite() && value > 0.0, "it must be a finite number above 0")
}

/// Momenta, betas and the probability of dropout.
///
/// # Errors
/// When it is not.
pub fn share(setting: &'static str, value: f64) -> Result<()> {
    holds(setting, value, (0.0..1.0).contains(&value), "it must be at least 0 and less than 1")
}

fn holds(setting: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(NnError::Setting { setting, value: value.to_string(), expected })
}
