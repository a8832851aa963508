//! [`Pieces`]: a text as it is generated, piece by piece.

use std::time::{Duration, Instant};

use oxilab_display::Render as _;
use oxilab_nn::Mode;

use crate::bar::check;
use crate::constrain::Constraint;
#[cfg(feature = "llama-cpp")]
use crate::engine::Engine;
use crate::error::{LlmError, Result};
use crate::generation::{Finish, Generation, Screen};
use crate::llm::Llm;
use crate::sampling::{Sampler, Sampling, top};
use crate::text::tokenizer::Stream;

/// A generated token.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, Sampling};
/// let mut llm = Llm::load(folder)?;
/// for piece in llm.pieces("the", &Sampling::greedy().with_max_tokens(3).with_top_logprobs(2))? {
///     for token in piece?.tokens {
///         assert!(token.top[0].1 >= token.top[1].1, "the likeliest first");
///     }
/// }
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id; [`Tokenizer::bytes`](crate::text::Tokenizer::bytes) says what it stands for.
    pub id: u32,
    /// Its log-probability under the model, before temperature and cuts.
    pub logprob: f32,
    /// The most likely tokens here with their log-probabilities, the best first: as many as
    /// [`Sampling::with_top_logprobs`] asks for.
    pub top: Vec<(u32, f32)>,
}

/// Text that has become certain, and the tokens since the last piece.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, Sampling};
/// let mut llm = Llm::load(folder)?;
/// let greedy = Sampling::greedy().with_max_tokens(6);
/// let mut text = String::new();
/// for piece in llm.pieces("the", &greedy)? {
///     text.push_str(&piece?.text);
/// }
/// assert_eq!(text, llm.generate("the", &greedy)?.text);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Whole characters; what may become a stop sequence is held back until it does or does not.
    pub text: String,
    /// The tokens that were drawn for it, the end token not among them.
    pub tokens: Vec<Token>,
}

/// A text while it is generated: an iterator of [`Piece`]s. Dropping it ends the generation; the model
/// can be used again at once.
///
/// ```no_run
/// use oxilab_llm::{Llm, Sampling, models};
/// let mut llm = Llm::load(models::smollm2()?)?;
/// let mut pieces = llm.pieces("The sea is", &Sampling::greedy().with_max_tokens(20))?;
/// for piece in &mut pieces {
///     print!("{}", piece?.text);
/// }
/// println!(" ({:?})", pieces.finish());
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Debug)]
pub struct Pieces<'a> {
    llm: &'a mut Llm,
    sampling: Sampling,
    sampler: Sampler,
    constraint: Option<Constraint>,
    stream: Stream,
    logits: Vec<f32>,
    /// Drawn, but not yet read by the model.
    unread: Option<u32>,
    /// Prompt and answer.
    seen: Vec<u32>,
    text: String,
    /// Bytes of the text that were handed out.
    handed: usize,
    tokens: Vec<Token>,
    /// Tokens that were handed out.
    handed_tokens: usize,
    room: usize,
    finish: Option<Finish>,
    failed: bool,
    prompt_tokens: usize,
    cached_tokens: usize,
    prompt_time: Duration,
    started: Instant,
}

impl<'a> Pieces<'a> {
    /// The text of what is generated comes out of `stream`.
    pub(crate) fn new(
        llm: &'a mut Llm,
        prompt: &[u32],
        sampling: &Sampling,
        stream: Stream,
    ) -> Result<Self> {
        sampling.check()?;
        let constraint = sampling.constraint()?;
        let started = Instant::now();
        let (logits, cached_tokens) = llm.read(prompt)?;
        Ok(Self {
            room: sampling.max_tokens.min(llm.config().context - prompt.len()),
            llm,
            sampling: sampling.clone(),
            sampler: Sampler::new(sampling),
            constraint,
            stream,
            logits,
            unread: None,
            seen: prompt.to_vec(),
            text: String::new(),
            handed: 0,
            tokens: Vec::new(),
            handed_tokens: 0,
            finish: None,
            failed: false,
            prompt_tokens: prompt.len(),
            cached_tokens,
            prompt_time: started.elapsed(),
            started: Instant::now(),
        })
    }

    /// Why the text ended; `None` while it goes on.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// Tokens of the prompt.
    #[must_use]
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// How many tokens were drawn so far.
    #[must_use]
    pub fn completion_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// The model's tokenizer, for the bytes of tokens.
    #[must_use]
    pub fn tokenizer(&self) -> &crate::text::Tokenizer {
        self.llm.tokenizer()
    }

    /// Generates the rest and gives the whole.
    ///
    /// # Errors
    /// When the user interrupts or a tensor operation fails.
    pub fn generation(mut self) -> Result<Generation> {
        for piece in &mut self {
            piece?;
        }
        Ok(self.whole())
    }

    /// As [`Pieces::generation`], shown below the cell while it grows.
    ///
    /// # Errors
    /// As [`Pieces::generation`].
    pub fn show(mut self) -> Result<Generation> {
        let mut screen = Screen::new();
        while let Some(piece) = self.next() {
            piece?;
            screen.grow(&self.text[..self.handed], self.tokens.len(), self.started);
        }
        let whole = self.whole();
        screen.draw(whole.render());
        Ok(whole)
    }

    fn whole(self) -> Generation {
        Generation {
            text: self.text,
            logprobs: self.tokens.iter().map(|token| token.logprob).collect(),
            tokens: self.tokens.iter().map(|token| token.id).collect(),
            top_logprobs: self.tokens.into_iter().map(|token| token.top).collect(),
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            finish: self.finish.unwrap_or(Finish::Length),
            prompt_time: self.prompt_time,
            time: self.started.elapsed(),
        }
    }

    /// One token further.
    fn advance(&mut self) -> Result<()> {
        if self.tokens.len() >= self.room {
            return self.end(Finish::Length);
        }
        if let Some(id) = self.unread.take() {
            check()?;
            self.logits = self.llm.step(&[id])?;
        }
        let constraint = self.constraint.as_ref().map(|held| (held, &self.llm.tokenizer));
        let Some((id, logprob)) = self.sampler.next(&self.logits, &self.seen, constraint)? else {
            return self.no_token();
        };
        if self.llm.tokenizer.is_end(id) {
            return self.end(Finish::End);
        }
        let top = top(&self.logits, self.sampling.top_logprobs);
        self.tokens.push(Token { id, logprob, top });
        self.seen.push(id);
        self.unread = Some(id);
        self.text.push_str(&self.stream.push(&self.llm.tokenizer, id)?);
        if let Some(at) = stop_at(&self.text[self.handed..], &self.sampling.stop) {
            self.text.truncate(self.handed + at);
            self.finish = Some(Finish::Stop);
            return Ok(());
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.push(&self.llm.tokenizer, id);
            if constraint.must_end() {
                return self.end(Finish::End);
            }
        }
        Ok(())
    }

    /// The schema leaves no token: the text is complete, or the vocabulary lacks what must follow.
    fn no_token(&mut self) -> Result<()> {
        if self.constraint.as_ref().is_none_or(Constraint::may_end) {
            return self.end(Finish::End);
        }
        let place = self.text.char_indices().rev().nth(20).map_or(0, |(at, _)| at);
        Err(LlmError::Schema {
            at: "#".to_owned(),
            reason: format!("no token of this model can follow {:?}", &self.text[place..]),
        })
    }

    fn end(&mut self, finish: Finish) -> Result<()> {
        self.text.push_str(&self.stream.finish(&self.llm.tokenizer)?);
        let found = stop_at(&self.text[self.handed..], &self.sampling.stop);
        if let Some(at) = found {
            self.text.truncate(self.handed + at);
        }
        self.finish = Some(if found.is_some() { Finish::Stop } else { finish });
        Ok(())
    }

    fn take(&mut self) -> Piece {
        let held = match self.finish {
            Some(_) => 0,
            None => held_back(&self.text[self.handed..], &self.sampling.stop),
        };
        let certain = self.text.len() - held;
        if certain == self.handed && self.finish.is_none() {
            return Piece::default();
        }
        let text = self.text[self.handed..certain].to_owned();
        let tokens = self.tokens[self.handed_tokens..].to_vec();
        (self.handed, self.handed_tokens) = (certain, self.tokens.len());
        Piece { text, tokens }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.finish.is_none() && !self.failed {
            if let Err(error) = self.advance() {
                self.failed = true;
                return Some(Err(error));
            }
            let piece = self.take();
            if piece != Piece::default() {
                return Some(Ok(piece));
            }
        }
        None
    }
}

/// How many tokens of a prompt are computed at a time: between them the interrupt is polled.
const CHUNK: usize = 256;

impl Llm {
    /// The logits after a prompt, of which the part that is still in the cache is not read again.
    pub(crate) fn read(&mut self, prompt: &[u32]) -> Result<(Vec<f32>, usize)> {
        self.check_prompt(prompt)?;
        let last = prompt.len() - 1;
        let same = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count().min(last);
        self.cache.truncate(same);
        self.cached.truncate(same);
        let mut logits = Vec::new();
        for part in prompt[same..].chunks(CHUNK) {
            check()?;
            logits = self.step(part)?;
        }
        Ok((logits, same))
    }

    /// The logits after these tokens, which are put into the cache.
    pub(crate) fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        #[cfg(feature = "llama-cpp")]
        if let Engine::LlamaCpp(llama) = &self.engine {
            let logits = llama.step(self.cached.len(), tokens)?;
            self.cached.extend_from_slice(tokens);
            return Ok(logits);
        }
        let (model, cache) = (&self.model, &mut self.cache);
        // On a thread of the pool, so that its many small products are handed over without waking
        // sleepers; the pool's threads sleep when there is nothing to do.
        let logits = rayon::scope(|_| -> candle_core::Result<Vec<f32>> {
            let hidden = model.forward(tokens, cache)?;
            let last = hidden.narrow(0, tokens.len() - 1, 1)?;
            model.logits(&last, Mode::eval())?.flatten_all()?.to_vec1()
        })?;
        self.cached.extend_from_slice(tokens);
        Ok(logits)
    }

    /// Whether a prompt can be read, for who has several and wants to know before the first is answered.
    ///
    /// # Errors
    /// When it is empty or leaves no room in the context, or an id is not in the vocabulary.
    pub fn check_prompt(&self, prompt: &[u32]) -> Result<()> {
        if prompt.is_empty() {
            return Err(LlmError::EmptyPrompt);
        }
        let context = self.model.config().context;
        if prompt.len() >= context {
            return Err(LlmError::PromptTooLong { tokens: prompt.len(), context });
        }
        self.check_tokens(prompt)
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

/// How many bytes at the end of a text may be the beginning of a stop sequence.
fn held_back(text: &str, stop: &[String]) -> usize {
    let begun = |stop: &String| {
        let ends = stop.char_indices().map(|(at, _)| at).skip(1);
        ends.filter(|end| text.ends_with(&stop[..*end])).max().unwrap_or(0)
    };
    stop.iter().map(begun).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_become_a_stop_sequence_is_held_back() {
        let stop = ["\n\nUser".to_owned(), "öl".to_owned()];
        assert_eq!(held_back("Yes.\n", &stop), 1);
        assert_eq!(held_back("Yes.\n\nU", &stop), 3);
        assert_eq!(held_back("Yes", &stop), 0);
        assert_eq!(held_back("Yes ö", &stop), 2);
        assert_eq!(stop_at("a öl b\n\nUser", &stop), Some(2));
    }
}
