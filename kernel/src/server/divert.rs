//! Output that is looked at on its way to a cell's.

use std::future::Future;

use crate::server::handler::{Output, OutputSender};

/// Runs what shows into a sender of its own. What `keep` gives back of each output goes on to `cell`.
///
/// Threads and widgets that `run` has made may show more when it has ended: that goes to `cell` as well,
/// for as long as they live.
pub(crate) async fn divert<T, F: Future<Output = T>>(
    cell: OutputSender,
    run: impl FnOnce(OutputSender) -> F,
    mut keep: impl FnMut(Output) -> Option<Output>,
) -> T {
    let (sender, mut receiver) = OutputSender::channel();
    let ran = run(sender.clone());
    let running = async move {
        let ran = ran.await;
        // Threads may hold a sender for ever: this is where it ends.
        sender.barrier().await;
        ran
    };
    let mut running = Box::pin(running);
    let ran = loop {
        tokio::select! {
            biased;
            Some(output) = receiver.recv() => {
                if let Some(output) = keep(output) {
                    cell.send(output).await;
                }
            }
            ran = &mut running => break ran,
        }
    };
    drop(running);
    tokio::spawn(async move {
        while let Some(output) = receiver.recv().await {
            cell.send(output).await;
            // Whoever waits here for a callback's output waits for it to be shown.
            cell.barrier().await;
        }
    });
    ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::handler::StreamName;

    async fn next_text(receiver: &mut crate::server::handler::OutputReceiver) -> String {
        let limit = std::time::Duration::from_secs(5);
        match tokio::time::timeout(limit, receiver.recv()).await.expect("in time") {
            Some(Output::Stream { text, .. }) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_comes_later_is_not_kept() {
        let (cell, mut shown) = OutputSender::channel();
        let mut kept = Vec::new();
        let thread = divert(
            cell,
            |sender| async move {
                sender.stream(StreamName::Stdout, "kept").await;
                sender.stream(StreamName::Stderr, "passed on").await;
                sender
            },
            |output| match output {
                Output::Stream { name: StreamName::Stdout, text } => {
                    kept.push(text);
                    None
                }
                other => Some(other),
            },
        )
        .await;
        assert_eq!(kept, ["kept"]);
        assert_eq!(next_text(&mut shown).await, "passed on");
        let late = tokio::spawn(async move {
            thread.stream(StreamName::Stdout, "late").await;
            thread.barrier().await;
        });
        assert_eq!(next_text(&mut shown).await, "late");
        // It has been handled when the next one is asked for, which ends with the last sender.
        assert_eq!(shown.recv().await, None);
        late.await.expect("is not kept waiting");
    }
}
