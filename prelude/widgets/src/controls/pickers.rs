//! Days and colours.

use chrono::{Datelike, NaiveDate};
use serde_json::{Value, json};

use super::{text, value, widget};
use crate::callback::Ended;

widget! {
    /// A field for a day, with a calendar.
    ///
    /// ```
    /// use chrono::NaiveDate;
    /// use oxilab_widgets::DatePicker;
    /// let since = DatePicker::new(NaiveDate::from_ymd_opt(2024, 2, 29));
    /// assert_eq!(since.value().map(|day| day.to_string()), Some("2024-02-29".to_owned()));
    /// ```
    DatePicker, "DatePicker", "DescriptionStyle"
}

impl DatePicker {
    /// A field with this day, or without one.
    #[must_use]
    pub fn new(day: Option<NaiveDate>) -> Self {
        let picker = Self::bare();
        picker.set_value(day);
        picker
    }

    /// The day; `None` while none is chosen.
    #[must_use]
    pub fn value(&self) -> Option<NaiveDate> {
        day(&self.model.get("value"))
    }

    /// Sets the day in every view, and calls who waits for a change.
    pub fn set_value(&self, day: Option<NaiveDate>) {
        self.model.set(
            "value",
            day.map_or(
                Value::Null,
                |day| json!({"year": day.year(), "month": day.month0(), "date": day.day()}),
            ),
        );
    }

    /// Calls `callback` with the day after every change, from either side.
    pub fn on_change<E: Ended>(
        &self,
        mut callback: impl FnMut(Option<NaiveDate>) -> E + Send + 'static,
    ) {
        self.model.on_change("value", move |value| callback(day(value)).ended());
    }
}

/// As JavaScript counts them: the first month is 0.
fn day(value: &Value) -> Option<NaiveDate> {
    let part = |name: &str| value.get(name)?.as_i64();
    let month = u32::try_from(part("month")?).ok()?.checked_add(1)?;
    NaiveDate::from_ymd_opt(
        i32::try_from(part("year")?).ok()?,
        month,
        u32::try_from(part("date")?).ok()?,
    )
}

widget! {
    /// A field for a colour, as CSS has it.
    ///
    /// ```
    /// use oxilab_widgets::ColorPicker;
    /// let line = ColorPicker::new("#0072b2").with_description("line");
    /// assert_eq!(line.value(), "#0072b2");
    /// ```
    ColorPicker, "ColorPicker", "DescriptionStyle"
}
value!(ColorPicker, String, text);

impl ColorPicker {
    /// A field with this colour: a name or `#rrggbb`.
    #[must_use]
    pub fn new(colour: impl Into<String>) -> Self {
        Self::bare().with_value(colour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_in_a_browser() {
        let picker = DatePicker::new(NaiveDate::from_ymd_opt(2026, 1, 31));
        assert_eq!(picker.model.get("value"), json!({"year": 2026, "month": 0, "date": 31}));
        assert_eq!(picker.value(), NaiveDate::from_ymd_opt(2026, 1, 31));
        assert_eq!(day(&json!({"year": 2026, "month": 1, "date": 31})), None);
        assert_eq!(DatePicker::new(None).value(), None);
    }
}
