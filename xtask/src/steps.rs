//! Steps with a name and a time; the first that fails ends the chore.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Runs steps in order and remembers how long each took.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Runs one step between an opening and a closing line.
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        println!("==> {name}");
        let start = Instant::now();
        let outcome = run();
        let time = start.elapsed();
        self.done.push((name, time));
        match outcome {
            Ok(()) => {
                println!("<== {name}: ok, {}", seconds(time));
                Ok(())
            }
            Err(error) => {
                println!("<== {name}: FAILED, {}", seconds(time));
                self.summary();
                Err(error).with_context(|| format!("step `{name}`"))
            }
        }
    }

    /// Prints every step's time and the sum.
    pub(crate) fn summary(&self) {
        println!();
        for (name, time) in &self.done {
            println!("{name:>12}  {:>9}", seconds(*time));
        }
        let total: Duration = self.done.iter().map(|(_, time)| *time).sum();
        println!("{:>12}  {:>9}", "in all", seconds(total));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failing_step_is_named_and_keeps_its_cause() {
        let mut steps = Steps::default();
        assert!(steps.step("first", || Ok(())).is_ok());
        let error = steps.step("second", || bail!("no disk")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `second`: no disk");
        assert_eq!(steps.done.len(), 2);
    }
}
