//! How likely a model finds a text: log-probabilities and perplexity.

use oxilab_nn::Mode;

use crate::bar::{self, Bar};
use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::KvCache;
use crate::pieces::Token;
use crate::sampling::{log_sum_exp, top};

/// Tokens that are read at a time: between them the bar moves and the interrupt is polled.
const CHUNK: usize = 64;

impl Llm {
    /// The log-probability of each token of a text but the first, given those before it.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use oxilab_llm::Llm;
    /// let llm = Llm::load(folder)?;
    /// let scored = llm.logprobs("the cat")?;
    /// let sum: f64 = scored.iter().map(|(_, logprob)| f64::from(*logprob)).sum();
    /// let mean = sum / scored.len() as f64;
    /// assert!(((-mean).exp() / llm.perplexity("the cat")? - 1.0).abs() < 1e-3);
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the text is empty or longer than the context.
    pub fn logprobs(&self, text: &str) -> Result<Vec<(u32, f32)>> {
        let tokens = self.tokenizer.encode(text, true)?;
        let scored = self.score_tokens(&tokens, 0)?;
        Ok(scored.into_iter().map(|token| (token.id, token.logprob)).collect())
    }

    /// The `n` most likely tokens after these, with their log-probabilities, the best first.
    ///
    /// # Errors
    /// As [`Llm::generate_tokens`].
    pub fn next_logprobs(&mut self, tokens: &[u32], n: usize) -> Result<Vec<(u32, f32)>> {
        let (logits, _) = self.read(tokens)?;
        Ok(top(&logits, n))
    }

    /// Each of these tokens but the first, with its log-probability given those before it, and the `n`
    /// most likely ones in its place.
    ///
    /// # Errors
    /// When there are none, more than the context, or some that the vocabulary does not have.
    pub fn score_tokens(&self, tokens: &[u32], n: usize) -> Result<Vec<Token>> {
        self.score(tokens, n, &|_| bar::check())
    }

    /// `read` is told how many tokens have been read.
    fn score(
        &self,
        tokens: &[u32],
        n: usize,
        read: &dyn Fn(usize) -> Result<()>,
    ) -> Result<Vec<Token>> {
        let context = self.config().context;
        if tokens.is_empty() {
            return Err(LlmError::EmptyPrompt);
        }
        if tokens.len() > context {
            return Err(LlmError::PromptTooLong { tokens: tokens.len(), context });
        }
        self.check_tokens(tokens)?;
        let mut cache = KvCache::new(self.config().layers);
        let mut scores = Vec::with_capacity(tokens.len());
        let mut at = 1;
        for part in tokens[..tokens.len() - 1].chunks(CHUNK) {
            read(at - 1)?;
            let hidden = self.model.forward(part, &mut cache)?;
            for row in self.model.logits(&hidden, Mode::eval())?.to_vec2::<f32>()? {
                let id = tokens[at];
                let logprob = row[id as usize] - log_sum_exp(&row);
                scores.push(Token { id, logprob, top: top(&row, n) });
                at += 1;
            }
        }
        Ok(scores)
    }

    /// The perplexity of a text: `exp` of the mean negative log-probability of its tokens. Texts longer
    /// than the context are measured in pieces.
    ///
    /// # Errors
    /// When the text has fewer than two tokens, or the user interrupts.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn perplexity(&self, text: &str) -> Result<f64> {
        let tokens = self.tokenizer.encode(text, true)?;
        let bar = Bar::new("perplexity", tokens.len());
        let (mut sum, mut count, mut read) = (0.0, 0usize, 0);
        for part in tokens.chunks(self.config().context.min(1024)) {
            if part.len() > 1 {
                let scores = self.score(part, 0, &|done| bar.set(read + done))?;
                sum += scores.iter().map(|token| f64::from(token.logprob)).sum::<f64>();
                count += scores.len();
            }
            read += part.len();
        }
        bar.set(read)?;
        if count == 0 { Err(LlmError::EmptyPrompt) } else { Ok((-sum / count as f64).exp()) }
    }
}
