//! What a model said, and the loop that lets it speak.

use std::time::{Duration, Instant};

use oxilab_display::table::escape;
use oxilab_display::{MimeBundle, Render};
use oxilab_nn::Mode;
use oxilab_runtime::cancel;
use oxilab_runtime::display::Display;

use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::sampling::{Sampler, Sampling};
use crate::text::tokenizer::Stream;

/// Why a text ended.
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
#[derive(Clone, Debug)]
pub struct Generation {
    /// The text, without prompt and stop sequence.
    pub text: String,
    /// Its tokens; the end token is not among them.
    pub tokens: Vec<u32>,
    /// Each token's log-probability under the model.
    pub logprobs: Vec<f32>,
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

    fn grow(&mut self, text: &str, tokens: usize, since: Instant) {
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

/// How many tokens of a prompt are computed at a time: between them the interrupt is polled.
const CHUNK: usize = 256;

impl Llm {
    pub(crate) fn run(
        &mut self,
        prompt: &[u32],
        sampling: &Sampling,
        mut screen: Option<&mut Screen>,
    ) -> Result<Generation> {
        sampling.check()?;
        let started = Instant::now();
        let (mut logits, cached_tokens) = self.read(prompt)?;
        let prompt_time = started.elapsed();
        let started = Instant::now();
        let mut sampler = Sampler::new(sampling);
        let mut seen = prompt.to_vec();
        let mut stream = Stream::default();
        let (mut text, mut tokens, mut logprobs) = (String::new(), Vec::new(), Vec::new());
        let mut finish = Finish::Length;
        let room = self.model.config().context - prompt.len();
        for _ in 0..sampling.max_tokens.min(room) {
            let (id, logprob) = sampler.next(&logits, &seen);
            if self.tokenizer.is_end(id) {
                finish = Finish::End;
                break;
            }
            tokens.push(id);
            logprobs.push(logprob);
            seen.push(id);
            text.push_str(&stream.push(&self.tokenizer, id)?);
            if let Some(at) = stop_at(&text, &sampling.stop) {
                text.truncate(at);
                finish = Finish::Stop;
                break;
            }
            if let Some(screen) = screen.as_deref_mut() {
                screen.grow(&text, tokens.len(), started);
            }
            if cancel::requested() {
                return Err(LlmError::Interrupted);
            }
            if tokens.len() < sampling.max_tokens.min(room) {
                logits = self.step(&[id])?;
            }
        }
        if finish != Finish::Stop {
            text.push_str(&stream.finish(&self.tokenizer)?);
        }
        let generation = Generation {
            text,
            tokens,
            logprobs,
            prompt_tokens: prompt.len(),
            cached_tokens,
            finish,
            prompt_time,
            time: started.elapsed(),
        };
        if let Some(screen) = screen {
            screen.draw(generation.render());
        }
        Ok(generation)
    }

    /// The logits after a prompt, of which the part that is still in the cache is not read again.
    fn read(&mut self, prompt: &[u32]) -> Result<(Vec<f32>, usize)> {
        let Some(last) = prompt.len().checked_sub(1) else { return Err(LlmError::EmptyPrompt) };
        let context = self.model.config().context;
        if prompt.len() >= context {
            return Err(LlmError::PromptTooLong { tokens: prompt.len(), context });
        }
        self.check_tokens(prompt)?;
        let same = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count().min(last);
        self.cache.truncate(same);
        self.cached.truncate(same);
        let mut logits = Vec::new();
        for part in prompt[same..].chunks(CHUNK) {
            if cancel::requested() {
                return Err(LlmError::Interrupted);
            }
            logits = self.step(part)?;
        }
        Ok((logits, same))
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let hidden = self.model.forward(tokens, &mut self.cache)?;
        self.cached.extend_from_slice(tokens);
        let last = hidden.narrow(0, tokens.len() - 1, 1)?;
        Ok(self.model.logits(&last, Mode::eval())?.flatten_all()?.to_vec1()?)
    }

    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocabulary = self.model.config().vocabulary;
        match tokens.iter().find(|id| **id as usize >= vocabulary) {
            Some(id) => Err(LlmError::TokenOutOfRange { id: *id, vocabulary }),
            None => Ok(()),
        }
    }
}

fn stop_at(text: &str, stop: &[String]) -> Option<usize> {
    stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()
}
