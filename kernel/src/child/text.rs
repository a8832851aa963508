//! Text of a standard stream: decoding across reads, batches, and the cut of endless output.

use std::mem;

use crate::bytes::bytes;

/// Bytes of a cell's output that are shown at once, both streams together.
pub(super) const HEAD: usize = 8 << 20;
/// Bytes of each stream's end that are shown when the cell has ended.
pub(super) const TAIL: usize = 64 << 10;

/// Bytes to UTF-8, with a character that is cut by the end of a read kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// Decodes what can be decoded; invalid bytes become U+FFFD.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> String {
        let joined;
        let mut bytes = bytes;
        if !self.rest.is_empty() {
            let mut rest = mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            joined = rest;
            bytes = &joined;
        }
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let at_end = invalid
                .last()
                .is_some_and(|last| bytes.last().is_some_and(|end| std::ptr::eq(last, end)));
            if at_end && incomplete(invalid) {
                self.rest = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// Nothing comes any more: what is left is no character.
    pub(super) fn finish(&mut self) -> &'static str {
        if mem::take(&mut self.rest).is_empty() { "" } else { "\u{fffd}" }
    }
}

/// Whether these bytes may become a character with more bytes behind them.
fn incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// What is shown of a stream: its head at once, its tail at the end of the cell.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    ready: String,
    tail: String,
    /// Bytes that went into the tail or past it.
    beyond: u64,
}

impl Excerpt {
    /// Adds text; `left` is what the cell may still show, of both streams.
    pub(super) fn push(&mut self, text: &str, left: &mut usize) {
        if self.beyond == 0 && text.len() <= *left {
            *left -= text.len();
            self.ready.push_str(text);
            return;
        }
        let mut text = text;
        if self.beyond == 0 {
            let (head, rest) = text.split_at(text.floor_char_boundary(*left));
            *left = 0;
            self.ready.push_str(head);
            self.ready
                .push_str("\n… more output than is shown: its end follows when the cell ends …\n");
            text = rest;
        }
        self.beyond += text.len() as u64;
        // A text larger than the tail need not be copied whole.
        let skip = text.ceil_char_boundary(text.len().saturating_sub(TAIL));
        self.tail.push_str(&text[skip..]);
        if self.tail.len() > 4 * TAIL {
            let surplus = self.tail.ceil_char_boundary(self.tail.len() - TAIL);
            self.tail.drain(..surplus);
        }
    }

    /// What is to be shown now.
    pub(super) fn take(&mut self) -> String {
        mem::take(&mut self.ready)
    }

    /// Bytes to be shown now.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The cell has ended: the tail, with the size of what is left out, becomes ready.
    pub(super) fn finish(&mut self) {
        if self.beyond == 0 {
            return;
        }
        let tail = mem::take(&mut self.tail);
        let from = tail.ceil_char_boundary(tail.len().saturating_sub(TAIL));
        let mut shown = &tail[from..];
        // Whole lines, when the tail has any and something is left out at all.
        if shown.len() as u64 != self.beyond
            && let Some((_, lines)) = shown.split_once('\n').filter(|(_, lines)| !lines.is_empty())
        {
            shown = lines;
        }
        let hidden = self.beyond - shown.len() as u64;
        if hidden > 0 {
            self.ready.push_str("… ");
            self.ready.push_str(&bytes(hidden));
            self.ready.push_str(" of output not shown …\n");
        }
        self.ready.push_str(shown);
        self.beyond = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_every_cut() {
        let text = "aé€😀z";
        for cut in 0..=text.len() {
            let mut decoder = Decoder::default();
            let mut got = decoder.feed(&text.as_bytes()[..cut]);
            got += &decoder.feed(&text.as_bytes()[cut..]);
            got += decoder.finish();
            assert_eq!(got, text, "cut at {cut}");
        }
        let mut decoder = Decoder::default();
        let bytewise: String = text.bytes().map(|byte| decoder.feed(&[byte])).collect();
        assert_eq!(bytewise, text);
    }

    #[test]
    fn invalid_bytes_are_replaced_and_none_is_kept_for_ever() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"a\xffb\0"), "a\u{fffd}b\0");
        assert_eq!(decoder.feed(b"\xe2\x82"), "");
        assert_eq!(decoder.feed(b"x"), "\u{fffd}x");
        assert_eq!(decoder.feed(b"\xf0\x9f"), "");
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert_eq!(decoder.finish(), "");
    }

    #[test]
    fn endless_output_shows_head_and_tail_and_says_what_is_missing() {
        let mut excerpt = Excerpt::default();
        let mut left = 1000;
        let mut shown = String::new();
        let mut most = 0;
        for number in 0..1_000_000 {
            excerpt.push(&format!("{number}\n"), &mut left);
            shown += &excerpt.take();
            most = most.max(excerpt.tail.len());
        }
        assert!(shown.starts_with("0\n1\n2\n"));
        assert!(shown.len() < 1200 && shown.contains("more output than is shown"));
        assert!(most <= 5 * TAIL, "{most}");
        excerpt.finish();
        let end = excerpt.take();
        assert!(end.starts_with("… 6.8 MB of output not shown …\n"), "{}", &end[..60]);
        assert!(end.ends_with("999998\n999999\n") && end.len() < TAIL + 100);
        assert_eq!(end.lines().nth(1).map(str::len), Some(6));
        // The next cell begins anew.
        let mut left = 10;
        excerpt.push("next", &mut left);
        assert_eq!((excerpt.take().as_str(), left), ("next", 6));
    }

    #[test]
    fn output_just_over_the_limit_loses_nothing() {
        let mut excerpt = Excerpt::default();
        let mut left = 5;
        excerpt.push("héllo wörld\n", &mut left);
        excerpt.finish();
        let all = excerpt.take();
        assert!(all.starts_with("héll\n…") && all.ends_with("…\no wörld\n"), "{all}");
        assert!(!all.contains("not shown"));
    }
}
