//! Where an axis is marked, and how the marks are named.

use chrono_ticks::{label, months_from, step_of};

use crate::chart::{Axis, Kind};
use crate::smooth::float;

/// A place on an axis and its name.
pub(crate) type Tick = (f64, String);

/// About `count` ticks from `low` to `high`.
pub(crate) fn ticks(axis: &Axis, low: f64, high: f64, count: usize) -> Vec<Tick> {
    match &axis.kind {
        Kind::Number => numbers(low, high, count),
        Kind::Log => powers(low, high),
        Kind::Time => times(low, high, count),
        Kind::Classes(names, _) => {
            let every = names.len().div_ceil(count.max(1) * 3).max(1);
            names
                .iter()
                .enumerate()
                .step_by(every)
                .map(|(place, name)| (float(place), clip(name)))
                .collect()
        }
    }
}

fn clip(name: &str) -> String {
    if name.chars().count() > 16 {
        name.chars().take(15).chain(['…']).collect()
    } else {
        name.to_owned()
    }
}

/// Round numbers: 1, 2, 2.5 or 5 times a power of ten apart.
fn numbers(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let rough = (high - low) / float(count.max(1));
    if !(rough.is_finite() && rough > 0.0) {
        return vec![(low, number(low, 1.0))];
    }
    let power = 10.0_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.7);
    let step = step.unwrap_or(10.0 * power);
    let mut ticks = Vec::new();
    let mut index = (low / step - 1e-9).ceil();
    while index * step <= high + step * 1e-9 && ticks.len() < 100 {
        ticks.push((index * step, number(index * step, step)));
        index += 1.0;
    }
    ticks
}

/// A number with as many digits as the step needs.
pub(crate) fn number(value: f64, step: f64) -> String {
    let size = value.abs();
    if size >= 1e9 || (size > 0.0 && step.abs() < 1e-5) {
        return format!("{value:.1e}");
    }
    let text = (0..=6)
        .map(|digits| format!("{step:.digits$}"))
        .position(|text| {
            text.parse::<f64>().is_ok_and(|parsed| (parsed - step).abs() < step * 1e-6)
        })
        .map_or_else(|| format!("{value:.6}"), |digits| format!("{value:.digits$}"));
    let text = if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("−", digits));
    let (whole, rest) =
        digits.split_once('.').map_or((digits, String::new()), |(w, r)| (w, format!(".{r}")));
    if whole.len() < 5 {
        return format!("{sign}{whole}{rest}");
    }
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

fn powers(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.log10().ceil(), high.log10().floor());
    let mut ticks = Vec::new();
    let every = ((last - first) / 6.0).ceil().max(1.0);
    let mut power = first;
    while power <= last {
        let value = 10.0_f64.powf(power);
        let name =
            if power.abs() < 5.0 { number(value, value.min(1.0)) } else { format!("1e{power}") };
        ticks.push((value, name));
        power += every;
    }
    if ticks.len() < 2 {
        numbers(low, high, 4).into_iter().filter(|(place, _)| *place > 0.0).collect()
    } else {
        ticks
    }
}

fn times(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let step = step_of((high - low) / float(count.max(1)));
    let mut ticks = Vec::new();
    match step {
        chrono_ticks::Step::Millis(step) => {
            let mut index = (low / step).ceil();
            while index * step <= high && ticks.len() < 100 {
                ticks.push((index * step, label(index * step, step)));
                index += 1.0;
            }
        }
        chrono_ticks::Step::Months(months) => {
            for place in months_from(low, high, months) {
                ticks.push((place, label(place, f64::from(months) * 2.6e9)));
            }
        }
    }
    ticks
}

/// Civil time from milliseconds since 1970 (Howard Hinnant's "chrono-compatible low-level date
/// algorithms").
mod chrono_ticks {
    const DAY: f64 = 86_400_000.0;

    /// The distance of ticks.
    pub(super) enum Step {
        Millis(f64),
        Months(u32),
    }

    /// The round distance next to a rough one in milliseconds.
    pub(super) fn step_of(rough: f64) -> Step {
        const SMALL: [f64; 18] = [
            1.0,
            10.0,
            100.0,
            1e3,
            5e3,
            15e3,
            60e3,
            300e3,
            900e3,
            3600e3,
            3.0 * 3600e3,
            6.0 * 3600e3,
            12.0 * 3600e3,
            DAY,
            2.0 * DAY,
            7.0 * DAY,
            14.0 * DAY,
            21.0 * DAY,
        ];
        if let Some(step) = SMALL.into_iter().find(|step| *step >= rough) {
            return Step::Millis(step);
        }
        let months = rough / (30.44 * DAY);
        let large = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200];
        Step::Months(
            large.into_iter().find(|step| f64::from(*step) >= months * 0.95).unwrap_or(1200),
        )
    }

    /// Year, month (1–12) and day of a day since 1970.
    #[expect(clippy::cast_possible_truncation, reason = "times within some ten thousand years")]
    fn civil(time: f64) -> (i64, i64, i64) {
        let days = (time / DAY).floor() as i64 + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// Milliseconds since 1970 of the first day of a month.
    #[expect(clippy::cast_precision_loss, reason = "times within some ten thousand years")]
    fn first_of(year: i64, month: i64) -> f64 {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        days as f64 * DAY
    }

    /// First days of every `months`-th month from `low` to `high`.
    pub(super) fn months_from(low: f64, high: f64, months: u32) -> Vec<f64> {
        let step = i64::from(months);
        let (year, month, _) = civil(low);
        let mut index = (year * 12 + month - 1).div_euclid(step) * step;
        let mut places = Vec::new();
        loop {
            let place = first_of(index.div_euclid(12), index.rem_euclid(12) + 1);
            if place > high || places.len() > 100 {
                return places;
            }
            if place >= low {
                places.push(place);
            }
            index += step;
        }
    }

    /// The name of a time, as short as the distance of ticks allows.
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a day")]
    pub(super) fn label(time: f64, step: f64) -> String {
        let (year, month, day) = civil(time);
        let of_day = time.rem_euclid(DAY) as i64 / 1000;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        if step >= 300.0 * DAY {
            year.to_string()
        } else if step >= 28.0 * DAY {
            format!("{year}-{month:02}")
        } else if step >= DAY {
            format!("{year}-{month:02}-{day:02}")
        } else if step >= 60e3 {
            format!("{month:02}-{day:02} {hour:02}:{minute:02}")
        } else {
            format!("{hour:02}:{minute:02}:{second:02}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_named_shortly() {
        let names = |kind, low, high| -> Vec<String> {
            ticks(&Axis::new("", kind), low, high, 5).into_iter().map(|(_, name)| name).collect()
        };
        assert_eq!(names(Kind::Number, 0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            names(Kind::Number, -12_000.0, 12_000.0),
            ["−10,000", "−5000", "0", "5000", "10,000"]
        );
        assert_eq!(names(Kind::Log, 0.5, 2000.0), ["1", "10", "100", "1000"]);
        // 2012-01-01 to 2015-12-31.
        assert_eq!(
            names(Kind::Time, 1_325_376_000_000.0, 1_451_520_000_000.0),
            ["2012", "2013", "2014", "2015"]
        );
        assert_eq!(names(Kind::Time, 1_709_164_800_000.0, 1_709_424_000_000.0)[0], "2024-02-29");
        assert_eq!(names(Kind::Classes(vec!["a".into(), "b".into()], false), 0.0, 1.0), ["a", "b"]);
    }
}
