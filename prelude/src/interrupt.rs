//! Interrupts that reach into polars.
//!
//! polars stops a running query when its abort flag is set, by a panic that `catch_polars_abort`
//! turns into an error. It offers one way to set the flag: its own handler of SIGINT, which acts only
//! while a catcher is on the stack. So every step of a cell runs inside a catcher, and the interrupt
//! hook raises that signal in this process.

use std::panic::AssertUnwindSafe;

use polars::error::abort::{catch_polars_abort, register_polars_abort_mechanism};

/// Installs polars' handler, the catcher around steps, and the hook.
pub(crate) fn register() {
    register_polars_abort_mechanism();
    oxilab_runtime::cell::register_step_wrapper(step);
    oxilab_runtime::cancel::register_interrupt_hook(hook);
}

fn step(body: &mut dyn FnMut()) -> bool {
    catch_polars_abort(AssertUnwindSafe(body)).is_ok()
}

fn hook(interrupted: bool) {
    if interrupted {
        // SAFETY: raise has no preconditions, and the handler installed above only sets a flag.
        #[expect(unsafe_code, reason = "raise has no safe wrapper in std")]
        unsafe {
            libc::raise(libc::SIGINT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use polars::prelude::*;

    #[test]
    fn an_interrupt_ends_a_running_query_and_the_next_one_runs() {
        crate::init();
        let frame = df!("x" => (0..1_000i64).collect::<Vec<_>>()).expect("frame");
        let mut finished = false;
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            super::hook(true);
        });
        let start = Instant::now();
        let completed = super::step(&mut || {
            for _ in 0..100_000 {
                let joined = frame.clone().lazy().cross_join(frame.clone().lazy(), None);
                let counted = joined.select([(col("x") * col("x_right")).sum()]).collect();
                assert!(counted.is_ok());
            }
            finished = true;
        });
        assert!(!completed && !finished, "the query was not interrupted");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        let mut rows = 0;
        assert!(super::step(&mut || {
            rows =
                frame.clone().lazy().filter(col("x").lt(lit(5))).collect().expect("runs").height();
        }));
        assert_eq!(rows, 5);
    }
}
