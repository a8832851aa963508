//! What a model said, and the loop that lets it speak.

use std::time::{Duration, Instant};

use oxilab_display::table::escape;
use oxilab_display::{MimeBundle, Render};
use oxilab_runtime::display::Display;

/// Why a text ended.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Finish, Llm, Sampling};
/// let said = Llm::load(folder)?.generate("the", &Sampling::greedy().with_max_tokens(3))?;
/// assert!(said.finish == Finish::Length || said.tokens.len() < 3);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    End,
    /// A stop sequence came.
    Stop,
    /// The number of tokens ran out.
    Length,
}

/// A generated text with its numbers.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, Sampling};
/// let said = Llm::load(folder)?.generate("the cat", &Sampling::greedy().with_max_tokens(3))?;
/// assert_eq!(said.logprobs.len(), said.tokens.len());
/// println!("{} ({:.0} tokens/s)", said.text, said.tokens_per_second());
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Generation {
    /// The text, without prompt and stop sequence.
    pub text: String,
    /// Its tokens; the end token is not among them.
    pub tokens: Vec<u32>,
    /// Each token's log-probability under the model.
    pub logprobs: Vec<f32>,
    /// For each place the most likely tokens with their log-probabilities, the best first: as many as
    /// [`Sampling::with_top_logprobs`](crate::Sampling::with_top_logprobs) asks for.
    pub top_logprobs: Vec<Vec<(u32, f32)>>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them were still in the cache.
    pub cached_tokens: usize,
    /// Why it ended.
    pub finish: Finish,
    /// Time for the prompt.
    pub prompt_time: Duration,
    /// Time for the answer.
    pub time: Duration,
}

impl Generation {
    /// Generated tokens in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens.len() as f64 / self.time.as_secs_f64().max(1e-9)
    }

    fn numbers(&self) -> String {
        let end = match self.finish {
            Finish::Length => ", cut at max_tokens",
            Finish::End | Finish::Stop => "",
        };
        format!(
            "{} tokens, {:.1} tokens/s, prompt {} tokens in {:.2} s{end}",
            self.tokens.len(),
            self.tokens_per_second(),
            self.prompt_tokens,
            self.prompt_time.as_secs_f64()
        )
    }
}

impl Render for Generation {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(self.text.clone()).with_html(html(&self.text, &self.numbers()))
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn html(text: &str, caption: &str) -> String {
    format!(
        "<div style=\"white-space:pre-wrap;max-width:50em\">{}</div>\
         <div style=\"font-size:85%;opacity:.7;margin-top:4px\">{}</div>",
        escape(text),
        escape(caption)
    )
}

/// Shows a text while it grows.
pub(crate) struct Screen {
    shown: Option<Display>,
    drawn: Instant,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { shown: None, drawn: Instant::now() }
    }

    pub(crate) fn grow(&mut self, text: &str, tokens: usize, since: Instant) {
        if self.drawn.elapsed() < Duration::from_millis(120) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let speed = tokens as f64 / since.elapsed().as_secs_f64().max(1e-9);
        let caption = format!("{tokens} tokens, {speed:.1} tokens/s …");
        self.draw(MimeBundle::text(text).with_html(html(text, &caption)));
    }

    pub(crate) fn draw(&mut self, bundle: MimeBundle) {
        match &self.shown {
            Some(shown) => shown.update(bundle),
            None => self.shown = Some(Display::show(bundle)),
        }
        self.drawn = Instant::now();
    }
}
