//! What quantising costs and what it saves.

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};
use oxilab_nn::memory::megabytes;

use super::Quant;
use crate::error::Result;
use crate::llm::Llm;

/// A model in one type.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, Quant};
/// let report = Llm::load(folder)?.compare_quants("the cat in the hat", &[Quant::Q8_0])?;
/// let [before, after] = &report.rows[..] else { panic!("two rows") };
/// assert!(after.bytes < before.bytes / 2 && after.perplexity.is_finite());
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuantRow {
    /// The type; `None` is the model as it is held.
    pub quant: Option<Quant>,
    /// Bytes of the matrices in a file.
    pub bytes: usize,
    /// The perplexity of the text.
    pub perplexity: f64,
}

/// A model before and after quantising: size and perplexity.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, Quant};
/// let llm = Llm::load(folder)?;
/// let report = llm.compare_quants("the cat in the hat", &[Quant::F16, Quant::Q4_0])?;
/// assert_eq!(report.rows.len(), 3, "as it is, and two types");
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuantReport {
    /// The model as it is, then each type in the order asked for.
    pub rows: Vec<QuantRow>,
}

impl Render for QuantReport {
    #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(vec![
            Heading::new("type"),
            Heading::new("MB").numeric(),
            Heading::new("of before").numeric(),
            Heading::new("perplexity").numeric(),
            Heading::new("change").numeric(),
        ]);
        let Some(before) = self.rows.first() else { return table.render() };
        for row in &self.rows {
            let share = row.bytes as f64 / before.bytes.max(1) as f64;
            let change = 100.0 * (row.perplexity / before.perplexity - 1.0);
            table.push(vec![
                Some(row.quant.map_or("before", Quant::name).to_owned()),
                Some(megabytes(row.bytes)),
                Some(format!("{share:.2}")),
                Some(format!("{:.3}", row.perplexity)),
                Some(format!("{change:+.2} %")),
            ]);
        }
        table.render()
    }
}

impl Llm {
    /// Size and perplexity of a text, as the model is held and rounded to each of the types.
    ///
    /// ```no_run
    /// use oxilab_llm::{Llm, Quant};
    /// let llm = Llm::load("my-model")?;
    /// let text = std::fs::read_to_string("held-out.txt").expect("a text");
    /// let report = llm.compare_quants(&text, &[Quant::Q8_0, Quant::Q4_0])?;
    /// assert!(report.rows[2].bytes < report.rows[0].bytes);
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the text has fewer than two tokens.
    pub fn compare_quants(&self, text: &str, quants: &[Quant]) -> Result<QuantReport> {
        let mut rows = vec![QuantRow {
            quant: None,
            bytes: self.model.bytes(),
            perplexity: self.perplexity(text)?,
        }];
        for quant in quants {
            let (llm, bytes) = self.quantized_with_size(*quant)?;
            rows.push(QuantRow { quant: Some(*quant), bytes, perplexity: llm.perplexity(text)? });
        }
        Ok(QuantReport { rows })
    }
}
