//! Columns of ISO 8601 dates and times, from text: [`parsed`].
//!
//! polars tries patterns on every value, which takes more than half of the time of reading a table with one
//! such column. Here the places of the digits are known.

use polars::prelude::*;
use rayon::prelude::*;

const DAY: i64 = 86_400_000_000;

/// Whether [`parsed`] makes columns of a type.
pub(super) fn is_for(dtype: &DataType) -> bool {
    matches!(dtype, DataType::Date | DataType::Datetime(TimeUnit::Microseconds, None))
}

/// A column of `2024-01-31` as dates, or of `2024-01-31T23:59:58.5`, with `T` or a space, with or without
/// seconds, as date and time of microseconds; empty text is a missing value. `None` if some value is written
/// otherwise or is no date, or the type is another.
pub(super) fn parsed(text: &StringChunked, dtype: &DataType) -> Option<Column> {
    let name = text.name().clone();
    let chunks: Vec<_> = text.downcast_iter().collect();
    match dtype {
        DataType::Date => {
            let chunks = chunks.into_par_iter().map(|chunk| {
                let values = chunk.iter().map(|value| read(value, days));
                values.collect::<Result<Vec<Option<i32>>, NoTime>>().map(Int32Chunked::from_iter)
            });
            let chunks = chunks.collect::<Result<Vec<_>, _>>().ok()?;
            Some(joined(chunks)?.with_name(name).into_date().into_column())
        }
        DataType::Datetime(TimeUnit::Microseconds, None) => {
            let chunks = chunks.into_par_iter().map(|chunk| {
                let values = chunk.iter().map(|value| read(value, micros));
                values.collect::<Result<Vec<Option<i64>>, NoTime>>().map(Int64Chunked::from_iter)
            });
            let all = joined(chunks.collect::<Result<Vec<_>, _>>().ok()?)?.with_name(name);
            Some(all.into_datetime(TimeUnit::Microseconds, None).into_column())
        }
        _ => None,
    }
}

fn joined<T: PolarsNumericType>(chunks: Vec<ChunkedArray<T>>) -> Option<ChunkedArray<T>> {
    let mut chunks = chunks.into_iter();
    let mut all = chunks.next()?;
    for chunk in chunks {
        all.append_owned(chunk).ok()?;
    }
    Some(all)
}

/// Text that is not written as expected, or is no date.
struct NoTime;

/// Nothing for no text.
fn read<T>(text: Option<&str>, value: fn(&[u8]) -> Option<T>) -> Result<Option<T>, NoTime> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => value(text.as_bytes()).map(Some).ok_or(NoTime),
    }
}

/// `2024-01-31` as days since 1970.
pub(super) fn days(text: &[u8]) -> Option<i32> {
    let text: &[u8; 10] = text.try_into().ok()?;
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = i32::try_from(number(&text[..4])?).ok()?;
    let (month, day) = (number(&text[5..7])?, number(&text[8..])?);
    let longest = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > longest {
        return None;
    }
    Some(since_1970(year, i32::try_from(month).ok()?, i32::try_from(day).ok()?))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that begin in
/// March (Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013).
fn since_1970(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Date and time as microseconds since 1970.
pub(super) fn micros(text: &[u8]) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let date = i64::from(days(date)?) * DAY;
    let (hour, minute, rest) = match time {
        [b'T' | b' ', hour @ ..] if hour.len() >= 5 && hour[2] == b':' => {
            (number(&hour[..2])?, number(&hour[3..5])?, &hour[5..])
        }
        _ => return None,
    };
    let (second, fraction) = match rest {
        [] => (0, 0),
        [b':', tens, ones] => (number(&[*tens, *ones])?, 0),
        [b':', tens, ones, b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let scale = 10_u32.pow(6 - u32::try_from(digits.len()).ok()?);
            (number(&[*tens, *ones])?, number(digits)? * scale)
        }
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(date + seconds * 1_000_000 + i64::from(fraction))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_a_thousand_years_is_chronos() {
        let epoch = chrono::NaiveDate::default();
        let mut day = chrono::NaiveDate::from_ymd_opt(1600, 1, 1).unwrap();
        while day < chrono::NaiveDate::from_ymd_opt(2600, 1, 1).unwrap() {
            let since = (day - epoch).num_days();
            assert_eq!(days(day.to_string().as_bytes()).map(i64::from), Some(since), "{day}");
            day = day.succ_opt().unwrap();
        }
    }

    #[test]
    fn times_have_one_to_six_digits_of_a_second() {
        let is = |text: &str, time: i64| assert_eq!(micros(text.as_bytes()), Some(time), "{text}");
        is("1970-01-02 00:00", DAY);
        is("1970-01-01T00:01:02", 62_000_000);
        is("1970-01-01T00:00:00.5", 500_000);
        is("1969-12-31T23:59:59.999999", -1);
    }

    #[test]
    fn what_is_no_date_is_told() {
        for text in [
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-1-1",
            "31/01/2024",
            "2024-01-31x",
            "+024-01-31",
            "",
        ] {
            assert_eq!(days(text.as_bytes()), None, "{text}");
        }
        for text in [
            "2024-01-31",
            "2024-01-31T24:00",
            "2024-01-31T23:60",
            "2024-01-31T23:59:60",
            "2024-01-31T23:59:58.",
            "2024-01-31T23:59:58.1234567",
            "2024-01-31T23:59:58Z",
            "2024-01-31T2359",
        ] {
            assert_eq!(micros(text.as_bytes()), None, "{text}");
        }
    }
}
