//! What captured requests hide: [`Rule`], [`redacted`].

use oxilab_serve::{Result, ServeError, secret};
use polars::prelude::{Column, DataFrame, DataType};
use sha2::{Digest, Sha256};

/// The environment variable of what values are hashed with: with the same one, equal values hash equally
/// over several runs of a server. Whoever knows it can find values by trying, so it belongs to no file.
pub(crate) const SALT: &str = "OXILAB_REDACT_SALT";

/// What values are hashed with: that of the environment, else a random one. It is kept in memory only; the
/// front gives it to every model process of its own, so that a restart changes nothing.
pub(crate) fn salt() -> Result<String> {
    match std::env::var(SALT) {
        Ok(salt) if !salt.is_empty() => Ok(salt),
        _ => secret(),
    }
}

/// What happens to a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is not written.
    Drop,
    /// The first 16 hexadecimal digits of the SHA-256 of a secret and the value: equal values stay equal
    /// within one run of the server, and nobody can find them by trying.
    Hash,
    /// All but the last two characters are stars.
    Mask,
}

/// A rule of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    column: String,
    way: Way,
}

impl Rule {
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        let (column, way) = text.rsplit_once('=').ok_or("it must be COLUMN=RULE")?;
        let way = match way {
            "drop" => Way::Drop,
            "hash" => Way::Hash,
            "mask" => Way::Mask,
            other => return Err(format!("`{other}` is no rule; use drop, hash or mask")),
        };
        Ok(Self { column: column.to_owned(), way })
    }

    fn is_for(&self, name: &str) -> bool {
        match self.column.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => self.column == name,
        }
    }
}

/// The frame as it may be written. The first rule that fits a column counts.
pub(crate) fn redacted(frame: &DataFrame, rules: &[Rule], salt: &str) -> Result<DataFrame> {
    let mut columns = Vec::with_capacity(frame.width());
    for column in frame.columns() {
        let rule = rules.iter().find(|rule| rule.is_for(column.name()));
        match rule.map(|rule| rule.way) {
            None => columns.push(column.clone()),
            Some(Way::Drop) => {}
            Some(Way::Hash) => columns.push(text(column, |value| hashed(value, salt))?),
            Some(Way::Mask) => columns.push(text(column, masked)?),
        }
    }
    DataFrame::new(frame.height(), columns).map_err(failed)
}

fn failed(source: polars::prelude::PolarsError) -> ServeError {
    ServeError::Polars { doing: "hiding captured values", source }
}

fn text(column: &Column, hide: impl Fn(&str) -> String) -> Result<Column> {
    let cast = column.cast(&DataType::String).map_err(failed)?;
    let values: Vec<Option<String>> =
        cast.str().map_err(failed)?.iter().map(|value| value.map(&hide)).collect();
    Ok(Column::new(column.name().clone(), values))
}

fn hashed(value: &str, salt: &str) -> String {
    let digest = Sha256::digest(format!("{salt}\n{value}"));
    hex::encode(&digest[..8])
}

fn masked(value: &str) -> String {
    let count = value.chars().count();
    let shown = if count > 4 { 2 } else { 0 };
    let hidden = count - shown;
    let stars = std::iter::repeat_n('*', hidden);
    stars.chain(value.chars().skip(hidden)).collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;

    #[test]
    fn columns_are_dropped_hashed_and_masked() {
        let frame = df!("name" => ["Ann Lee", "Bo"], "iban" => [Some("DE123456"), None], "age" => [31, 32], "addr_1" => ["a", "a"])
            .expect("a frame");
        let rules =
            ["name=mask", "iban=hash", "addr*=drop"].map(|text| Rule::parse(text).expect(text));
        let hidden = redacted(&frame, &rules, "salt").expect("hidden");
        let names: Vec<&str> = hidden.get_column_names().iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["name", "iban", "age"]);
        let of = |name: &str, row: usize| {
            hidden.column(name).expect(name).str().expect("text").get(row).map(str::to_owned)
        };
        assert_eq!(
            (of("name", 0).as_deref(), of("name", 1).as_deref()),
            (Some("*****ee"), Some("**"))
        );
        assert_eq!(of("iban", 0).expect("hashed").len(), 16);
        assert_eq!(of("iban", 1), None);
        let other = redacted(&frame, &rules, "pepper").expect("hidden");
        assert!(
            !other
                .column("iban")
                .expect("iban")
                .equals_missing(hidden.column("iban").expect("iban"))
        );
        let (one, two) = (secret().expect("a secret"), secret().expect("a secret"));
        assert!(one.len() == 64 && one != two);
        assert!(Rule::parse("a=burn").is_err() && Rule::parse("a").is_err());
    }
}
