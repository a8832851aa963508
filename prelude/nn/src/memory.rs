//! What a training run will need, before it starts.

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};

/// An estimate of memory in bytes.
///
/// ```
/// use oxilab_nn::Memory;
/// let memory = Memory { parameters: 2_000_000, optimizer: 4_000_000, ..Memory::default() };
/// assert_eq!(memory.total(), 6_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights that are not trained, as they are held (quantised ones small).
    pub frozen: usize,
    /// Trainable parameters.
    pub parameters: usize,
    /// Their gradients.
    pub gradients: usize,
    /// The optimiser's state.
    pub optimizer: usize,
    /// Copies of the parameters that the run can go back to: those before the last step, and the best.
    pub copies: usize,
    /// Intermediate results kept for the backward pass; zero where it is not known.
    pub activations: usize,
}

impl Memory {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> usize {
        self.frozen
            + self.parameters
            + self.gradients
            + self.optimizer
            + self.copies
            + self.activations
    }

    fn parts(&self) -> [(&'static str, usize); 7] {
        [
            ("frozen weights", self.frozen),
            ("trainable parameters", self.parameters),
            ("gradients", self.gradients),
            ("optimiser", self.optimizer),
            ("copies to go back to", self.copies),
            ("activations", self.activations),
            ("total", self.total()),
        ]
    }
}

impl Render for Memory {
    fn render(&self) -> MimeBundle {
        let mut table =
            Table::new(vec![Heading::new("estimated memory"), Heading::new("MB").numeric()]);
        for (name, bytes) in self.parts() {
            table.push(vec![Some(name.to_owned()), Some(megabytes(bytes))]);
        }
        table.render()
    }
}

/// Bytes as megabytes with one decimal.
///
/// ```
/// assert_eq!(oxilab_nn::memory::megabytes(98_432_100), "98.4");
/// ```
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub fn megabytes(bytes: usize) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// The most memory this process has held so far, in bytes; `None` where the system does not say.
///
/// ```
/// if let Some(bytes) = oxilab_nn::memory::peak_resident() {
///     assert!(bytes > 1_000_000, "this program holds more than a megabyte");
/// }
/// ```
#[must_use]
pub fn peak_resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
}
