//! Paths in messages: rustc is asked for full ones so that types can be written back; people read
//! short ones.

use std::sync::LazyLock;

use regex::Regex;

static QUALIFIED: LazyLock<Regex> = LazyLock::new(|| {
    // A lower-case path in front of a type or trait name, generated crates of items included.
    Regex::new(r"\b(?:[a-z_][a-z0-9_]*::)+([A-Z]\w*)").expect("a valid pattern")
});
static ITEMS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\boxi_u\d+::").expect("a valid pattern"));

/// `std::vec::Vec<alloc::string::String>` → `Vec<String>`.
#[must_use]
pub fn shorten(text: &str) -> String {
    let short = QUALIFIED.replace_all(text, "$1");
    ITEMS.replace_all(&short, "").into_owned()
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn types_lose_their_modules_and_functions_keep_them() {
        assert_eq!(shorten("`std::vec::Vec<oxi_u3::Dog>`"), "`Vec<Dog>`");
        assert_eq!(shorten("expected `std::option::Option<i32>`"), "expected `Option<i32>`");
        assert_eq!(shorten("oxi_u3::bark"), "bark");
        assert_eq!(shorten("std::mem::take"), "std::mem::take");
    }
}
