//! What a parser made of an input.

/// A short text of what came of it, be it a value or a refusal; an error is a fault of ours.
pub type Answer = Result<String, String>;

/// Words before the first quote and behind the last that tell one kind of answer from another.
const WORDS: [usize; 2] = [10, 4];

/// An answer without what differs from input to input: numbers, names, and what stands between quotes, some
/// of which may be the input's own.
pub(crate) fn kind(answer: &Answer) -> String {
    const QUOTES: [char; 2] = ['"', '`'];
    let (Ok(text) | Err(text)) = answer;
    let (before, behind) = match (text.find(QUOTES), text.rfind(QUOTES)) {
        (Some(first), Some(last)) => (&text[..first], &text[last + 1..]),
        _ => (text.as_str(), ""),
    };
    let words = [before, behind].into_iter().zip(WORDS).flat_map(|(part, most)| {
        let words = part.split_whitespace().map(|word| word.trim_matches([',', '.', ':', ';']));
        let plain = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic());
        words.filter(plain).take(most)
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_differ_in_their_values_are_of_one_kind() {
        let of = |text: &str| kind(&Ok(text.to_owned()));
        assert_eq!(of("column \"a b\" has 7 rows, not 8"), "column has rows not");
        assert_eq!(of(r#"column "a`\"b" has 9 rows, not 10"#), of("column `c` has 7 rows, not 8"));
        assert_ne!(of("column \"a\" is missing"), of("column \"a\" is twice there"));
        assert_eq!(kind(&Err("a panic".to_owned())), "a panic");
    }
}
