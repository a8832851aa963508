//! `%best`.

use super::{Face, literal, required, show, words};

pub(in crate::magics) static BEST: Face = Face {
    names: &["best"],
    summary: "shows the run that is best by a metric: the lowest of losses and errors, else the highest",
    usage: "%best METRIC [min|max]",
    compose: |arguments, _| Wanted::parse(arguments).map(|wanted| show(&wanted.rust())),
};

/// What `%best` looks for.
#[derive(Debug, PartialEq)]
struct Wanted {
    metric: String,
    /// `None` where the metric's name tells.
    direction: Option<Direction>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Lowest,
    Highest,
}

impl Direction {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "min" => Some(Self::Lowest),
            "max" => Some(Self::Highest),
            _ => None,
        }
    }
}

impl Wanted {
    fn parse(arguments: &str) -> Result<Self, String> {
        let words = words(arguments)?;
        let (name, direction) = match words.split_last() {
            None => (words.as_slice(), None),
            Some((last, before)) => match Direction::parse(last) {
                Some(direction) => (before, Some(direction)),
                None if before.is_empty() => (words.as_slice(), None),
                None => {
                    return Err(format!(
                        "`{last}` is neither `min` nor `max` (a name with blanks stands in quotes)"
                    ));
                }
            },
        };
        let metric = name.join(" ");
        required(&metric, "the metric's name")?;
        Ok(Self { metric, direction })
    }

    fn rust(&self) -> String {
        let metric = literal(&self.metric);
        let which = match self.direction {
            Some(Direction::Lowest) => "Lowest".to_owned(),
            Some(Direction::Highest) => "Highest".to_owned(),
            None => format!("of({metric})"),
        };
        format!("oxilab::track::best({metric}, oxilab::track::Best::{which})?")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_may_be_called_like_anything() {
        let wanted =
            |text: &str| Wanted::parse(text).map(|wanted| (wanted.metric, wanted.direction));
        assert_eq!(wanted("of"), Ok(("of".to_owned(), None)));
        assert_eq!(wanted("loss min"), Ok(("loss".to_owned(), Some(Direction::Lowest))));
        assert_eq!(wanted("'a b' max"), Ok(("a b".to_owned(), Some(Direction::Highest))));
        assert_eq!(
            Wanted::parse("of").expect("read").rust(),
            "oxilab::track::best(\"of\", oxilab::track::Best::of(\"of\"))?"
        );
        for wrong in ["", "min", "a b", "loss sideways", "'a"] {
            wanted(wrong).expect_err(wrong);
        }
    }
}
