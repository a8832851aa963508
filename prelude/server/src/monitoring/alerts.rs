//! Says when something needs a person: [`watch`].
//!
//! An alert is raised once when its cause begins and resolved once when it ends.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::Args;

/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let (mut known, mut counts) = (Causes::new(), Counts::new());
    loop {
        tokio::time::sleep(every).await;
        let app = Arc::clone(&app);
        let looked = tokio::task::spawn_blocking(move || {
            let now = causes(&app, &mut counts);
            for event in changes(&known, &now) {
                tell(&app.args, &app.name, event);
            }
            (now, counts)
        });
        match looked.await {
            Ok((now, seen)) => (known, counts) = (now, seen),
            Err(error) => {
                tracing::error!(%error, "cannot look for alerts");
                (known, counts) = (Causes::new(), Counts::new());
            }
        }
    }
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

fn tell(args: &Args, server: &str, mut event: Value) {
    event["server"] = json!(server);
    event["at"] = json!(Utc::now().to_rfc3339());
    tracing::warn!(alert = %event, "alert");
    let outcomes = [
        args.alert_file.as_ref().map(|path| {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            writeln!(file, "{event}")
        }),
        args.alert_command.as_ref().map(|command| run(command, &event)),
        args.alert_webhook.as_ref().map(|url| {
            let sent = oxilab_serve::notify(url, &event, PATIENCE);
            sent.map_err(|error| std::io::Error::other(error.to_string()))
        }),
    ];
    for error in outcomes.into_iter().flatten().filter_map(Result::err) {
        tracing::error!(%error, "cannot tell of an alert");
    }
}

fn run(command: &str, event: &Value) -> std::io::Result<()> {
    let mut child = Command::new("sh").args(["-c", command]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command need not read.
        let _ = writeln!(stdin, "{event}");
    }
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("{command}: {status}")))
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
}
