//! Says when something needs a person: [`watch`].
//!
//! An alert is raised once when its cause begins and resolved once when it ends. What the webhook does not
//! take waits for the next look.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::io::{Error, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use oxilab_serve::ServeError;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::Args;

/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a command may take: other alerts wait for it.
const COMMAND: Duration = Duration::from_secs(30);

/// Between two looks whether a command has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Alerts that may wait for a webhook; the oldest are let go of.
const WAITING: usize = 1_000;

/// By cause, what is known of it.
type Causes = BTreeMap<String, Value>;

/// Requests and failures of a model at the last look.
type Counts = BTreeMap<String, (u64, u64)>;

/// Looks again and again, as long as the server lives. Does nothing if nobody is to be told.
pub(crate) async fn watch(app: Arc<App>) {
    let args = &app.args;
    if args.alert_webhook.is_none() && args.alert_file.is_none() && args.alert_command.is_none() {
        return;
    }
    let every = Duration::from_secs_f64(args.alert_every);
    let mut known = Known::default();
    loop {
        tokio::time::sleep(every).await;
        let app = Arc::clone(&app);
        let looked = tokio::task::spawn_blocking(move || {
            known.look(&app);
            known
        });
        known = looked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot look for alerts");
            Known::default()
        });
    }
}

/// What one look leaves to the next one.
#[derive(Default)]
struct Known {
    causes: Causes,
    counts: Counts,
    outbox: Outbox,
}

impl Known {
    fn look(&mut self, app: &App) {
        let now = causes(app, &mut self.counts);
        for event in changes(&self.causes, &now) {
            let event = tell(&app.args, &app.name, event);
            if app.args.alert_webhook.is_some() {
                self.outbox.put(event);
            }
        }
        self.causes = now;
        if let Some(url) = &app.args.alert_webhook {
            self.outbox.send(|event| oxilab_serve::notify(url, event, PATIENCE));
        }
    }
}

/// Alerts that the webhook has not taken yet, oldest first.
#[derive(Debug, Default)]
struct Outbox {
    waiting: VecDeque<Value>,
    /// The last try failed, which was told.
    failing: bool,
}

impl Outbox {
    fn put(&mut self, event: Value) {
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            tracing::error!("an alert is lost: the webhook has taken none of {WAITING}");
        }
        self.waiting.push_back(event);
    }

    /// Sends them in order, until one does not arrive. What the other side does not want it does not get
    /// again.
    fn send(&mut self, post: impl Fn(&Value) -> Result<(), ServeError>) {
        while let Some(event) = self.waiting.front() {
            match post(event) {
                Ok(()) => self.failing = false,
                Err(error) if is_final(&error) => {
                    tracing::error!(%error, alert = %event, "the webhook refuses an alert");
                }
                Err(error) => {
                    if !self.failing {
                        tracing::error!(
                            %error, "cannot tell of an alert; the webhook gets it with the next look"
                        );
                    }
                    self.failing = true;
                    return;
                }
            }
            self.waiting.pop_front();
        }
    }
}

/// Whether it would fail again.
fn is_final(error: &ServeError) -> bool {
    matches!(error, ServeError::Status { status: 400..500, .. })
        && !matches!(error, ServeError::Status { status: 401 | 403 | 404 | 408 | 429, .. })
}

fn causes(app: &App, counts: &mut Counts) -> Causes {
    let mut out = Causes::new();
    for slot in app.slots() {
        let status = slot.status();
        let model = status.model.clone();
        let at = |alert: &str, more: Value| {
            let mut value = json!({"alert": alert, "model": model, "version": status.version});
            if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
                value.extend(more);
            }
            value
        };
        for column in status.drift.iter().flat_map(|report| &report.columns) {
            if column.drifted {
                let more =
                    json!({"column": column.column, "psi": column.psi, "p": column.p_adjusted});
                out.insert(format!("drift/{model}/{}", column.column), at("drift", more));
            }
        }
        if let (Some(bound), Some(seen)) = (app.args.alert_performance, &status.performance)
            && seen.worse_than(bound)
        {
            let more = json!({"metric": seen.metric, "value": seen.value, "bound": bound});
            out.insert(format!("performance/{model}"), at("performance", more));
        }
        let now = (status.requests, slot.metrics().failures());
        let before = counts.insert(model.clone(), now).unwrap_or((0, 0));
        let (requests, failures) = (now.0 - before.0, now.1 - before.1);
        #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
        let share = failures as f64 / requests.max(1) as f64;
        if failures > 0 && share > app.args.alert_errors {
            let more = json!({"requests": requests, "failed": failures});
            out.insert(format!("errors/{model}"), at("errors", more));
        }
    }
    out
}

/// What began and what ended.
fn changes(before: &Causes, now: &Causes) -> Vec<Value> {
    let with = |value: &Value, state: &str| {
        let mut value = value.clone();
        value["state"] = json!(state);
        value
    };
    let begun = now.iter().filter(|(cause, _)| !before.contains_key(*cause));
    let ended = before.iter().filter(|(cause, _)| !now.contains_key(*cause));
    begun
        .map(|(_, value)| with(value, "raised"))
        .chain(ended.map(|(_, value)| with(value, "resolved")))
        .collect()
}

/// Tells all but the webhook, and gives back what was told.
fn tell(args: &Args, server: &str, mut event: Value) -> Value {
    event["server"] = json!(server);
    event["at"] = json!(Utc::now().to_rfc3339());
    tracing::warn!(alert = %event, "alert");
    let outcomes = [
        args.alert_file.as_ref().map(|path| {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            writeln!(file, "{event}")
        }),
        args.alert_command.as_ref().map(|command| run(command, &event, COMMAND)),
    ];
    for error in outcomes.into_iter().flatten().filter_map(Result::err) {
        tracing::error!(%error, "cannot tell of an alert");
    }
    event
}

fn run(command: &str, event: &Value, patience: Duration) -> std::io::Result<()> {
    let mut shell = Command::new("sh");
    // A group of its own: what the shell has started ends with it.
    shell.args(["-c", command]).process_group(0).stdin(Stdio::piped());
    let mut child = shell.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read. What a pipe holds is more than an alert.
        let _ = writeln!(stdin, "{event}");
    }
    match ended(&mut child, patience)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Error::other(format!("{command}: {status}"))),
        None => {
            kill_group(&child);
            child.wait()?;
            let seconds = patience.as_secs_f64();
            Err(Error::other(format!(
                "{command}: it did not end within {seconds} s, and is killed"
            )))
        }
    }
}

/// How it ended; `None` if it has not by then.
fn ended(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || begun.elapsed() >= patience {
            return Ok(status);
        }
        std::thread::sleep(PAUSE);
    }
}

fn kill_group(child: &Child) {
    let Ok(group) = libc::pid_t::try_from(child.id()) else { return };
    // SAFETY: a plain call; the child was not waited for, so its number is that of no other group.
    #[expect(unsafe_code, reason = "std ends a single process")]
    unsafe {
        libc::kill(-group, libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_raised_once_and_resolved_once() {
        let cause = Causes::from([("drift/m/age".to_owned(), json!({"alert": "drift"}))]);
        let none = Causes::new();
        assert_eq!(changes(&none, &cause), [json!({"alert": "drift", "state": "raised"})]);
        assert!(changes(&cause, &cause).is_empty());
        assert_eq!(changes(&cause, &none), [json!({"alert": "drift", "state": "resolved"})]);
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_what_it_started() {
        let (event, begun) = (json!({}), Instant::now());
        // The shell waits for a process of its own, which would keep the pipe of a log open.
        let error =
            run("sleep 60; true", &event, Duration::from_millis(100)).expect_err("it hangs");
        assert!(error.to_string().contains("did not end within 0.1 s"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        run("grep -q drift", &json!({"alert": "drift"}), COMMAND).expect("it gets the alert");
        let error = run("exit 3", &event, COMMAND).expect_err("it fails");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn what_the_webhook_did_not_take_is_sent_again_in_order() {
        let away = |_: &Value| {
            let (url, problem) = ("u".to_owned(), "it is away".to_owned());
            Err(ServeError::Http { url, problem })
        };
        let refuses = |status| {
            move |_: &Value| {
                Err(ServeError::Status { url: "u".to_owned(), status, message: String::new() })
            }
        };
        let mut outbox = Outbox::default();
        outbox.put(json!(1));
        outbox.send(away);
        outbox.put(json!(2));
        outbox.send(refuses(503));
        let sent = std::cell::RefCell::new(Vec::new());
        outbox.send(|event| {
            sent.borrow_mut().push(event.clone());
            Ok(())
        });
        assert_eq!(sent.into_inner(), [json!(1), json!(2)]);
        outbox.put(json!(3));
        outbox.send(refuses(422));
        assert!(outbox.waiting.is_empty(), "it would be refused again");
        (0..=WAITING).for_each(|number| outbox.put(json!(number)));
        assert_eq!((outbox.waiting.len(), &outbox.waiting[0]), (WAITING, &json!(1)));
    }
}
