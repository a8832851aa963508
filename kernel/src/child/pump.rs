//! The thread that reads a worker's pipes and turns them into one ordered channel.
//!
//! Order: the worker waits at every event a person can see until its output has been read, so output
//! that is read first was made first. Text waits at most [`BATCH`] for more of its kind.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oxilab_protocol::{Event, wire};
use tokio::sync::mpsc;

use super::evcxr::{Parser, Piece};
use super::spawn::Pipes;
use super::text::{Decoder, Excerpt, HEAD};
use super::{ChildError, ChildOutput, Exit, Shared, StreamName};

/// How long text waits for more.
const BATCH: Duration = Duration::from_millis(25);
/// Text that is not kept waiting.
const LARGE: usize = 128 << 10;
/// How long the pipes of a dead process are read: others may hold them open and write on.
const LAST_READS: Duration = Duration::from_millis(500);

pub(super) fn start(
    child: Child,
    pipes: Pipes,
    shared: Arc<Shared>,
    outputs_tx: mpsc::Sender<ChildOutput>,
) -> Result<(), ChildError> {
    let mut pump = Pump {
        child,
        pipes,
        shared,
        outputs_tx,
        frames: Vec::new(),
        stdout: Stream::new(StreamName::Stdout),
        stderr: Stream::new(StreamName::Stderr),
        parser: Parser::default(),
        prompt: None,
        left: HEAD,
        due: None,
        buffer: vec![0; 256 << 10],
    };
    std::thread::Builder::new()
        .name("oxilab-pump".to_owned())
        .spawn(move || pump.run())
        .map(|_| ())
        .map_err(|source| ChildError::Thread { source })
}

struct Pump {
    child: Child,
    pipes: Pipes,
    shared: Arc<Shared>,
    outputs_tx: mpsc::Sender<ChildOutput>,
    /// Bytes of frames that are not complete.
    frames: Vec<u8>,
    stdout: Stream,
    stderr: Stream,
    parser: Parser,
    /// A prompt that evcxr's protocol announced for the next input request.
    prompt: Option<(String, bool)>,
    /// Bytes of text that the running cell may still show.
    left: usize,
    /// When waiting text is sent.
    due: Option<Instant>,
    buffer: Vec<u8>,
}

struct Stream {
    name: StreamName,
    decoder: Decoder,
    excerpt: Excerpt,
    closed: bool,
}

impl Stream {
    fn new(name: StreamName) -> Self {
        Self { name, decoder: Decoder::default(), excerpt: Excerpt::default(), closed: false }
    }
}

/// A read that does not block.
enum Got {
    Bytes(usize),
    Nothing,
    End,
}

impl Pump {
    fn run(&mut self) {
        let mut events_closed = false;
        loop {
            let ready = self.wait(events_closed);
            if self.stream(StreamName::Stdout).is_none()
                || self.stream(StreamName::Stderr).is_none()
            {
                break;
            }
            if !events_closed {
                match self.events() {
                    Some(open) => events_closed = !open,
                    None => break,
                }
            }
            if ready.exited {
                break;
            }
            if self.due.is_some_and(|due| Instant::now() >= due) && self.settle().is_none() {
                break;
            }
        }
        self.last();
    }

    /// Waits for something to read, for the end of a batch or for the end of the process.
    fn wait(&self, events_closed: bool) -> Ready {
        let watch = |descriptor: RawFd, closed: bool| libc::pollfd {
            // A negative descriptor is passed over: a closed pipe would be ready for ever.
            fd: if closed { -1 } else { descriptor },
            events: libc::POLLIN,
            revents: 0,
        };
        let mut watched = [
            watch(self.shared.process.as_raw_fd(), false),
            watch(self.pipes.events.as_raw_fd(), events_closed),
            watch(self.pipes.stdout.as_raw_fd(), self.stdout.closed),
            watch(self.pipes.stderr.as_raw_fd(), self.stderr.closed),
        ];
        let timeout = self.due.map_or(-1, |due| {
            let left = due.saturating_duration_since(Instant::now());
            i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1)
        });
        // SAFETY: the array outlives the call and has as many entries as are passed.
        #[expect(unsafe_code, reason = "poll has no safe wrapper")]
        unsafe {
            libc::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, timeout);
        }
        Ready { exited: watched[0].revents != 0 }
    }

    /// Reads a stream once. `None` when nobody listens any more; so everywhere below.
    fn stream(&mut self, name: StreamName) -> Option<Got> {
        let (pipe, stream) = match name {
            StreamName::Stdout => (&mut self.pipes.stdout, &mut self.stdout),
            StreamName::Stderr => (&mut self.pipes.stderr, &mut self.stderr),
        };
        if stream.closed {
            return Some(Got::End);
        }
        let got = read(pipe, &mut self.buffer);
        match got {
            Got::Bytes(count) => {
                let text = stream.decoder.feed(&self.buffer[..count]);
                self.text(name, &text)?;
                self.due.get_or_insert_with(|| Instant::now() + BATCH);
            }
            Got::Nothing => {}
            Got::End => stream.closed = true,
        }
        Some(got)
    }

    fn text(&mut self, name: StreamName, text: &str) -> Option<()> {
        match name {
            StreamName::Stderr => self.stderr.excerpt.push(text, &mut self.left),
            StreamName::Stdout => {
                let mut pieces = Vec::new();
                self.parser.feed(text, &mut pieces);
                self.pieces(pieces)?;
            }
        }
        let waiting = self.stdout.excerpt.ready() + self.stderr.excerpt.ready();
        if waiting >= LARGE { self.send_text() } else { Some(()) }
    }

    fn pieces(&mut self, pieces: Vec<Piece>) -> Option<()> {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.stdout.excerpt.push(&text, &mut self.left),
                Piece::Display(bundle) => {
                    self.send_text()?;
                    let (display_id, update, result) = (None, false, false);
                    self.send(ChildOutput::Event(Event::Display {
                        bundle,
                        display_id,
                        update,
                        result,
                    }))?;
                }
                Piece::Prompt(text, password) => self.prompt = Some((text, password)),
            }
        }
        Some(())
    }

    /// Reads frames; true while the pipe is open.
    fn events(&mut self) -> Option<bool> {
        let open = loop {
            match read(&mut self.pipes.events, &mut self.buffer) {
                Got::Bytes(count) => {
                    self.frames.extend_from_slice(&self.buffer[..count]);
                    if count < self.buffer.len() {
                        break true;
                    }
                }
                Got::Nothing => break true,
                Got::End => break false,
            }
        };
        while let Some(event) = self.frame() {
            match event {
                Ok(event) => self.event(event)?,
                Err(error) => {
                    self.shared.kill(&format!("its messages cannot be read: {error}"));
                    self.frames.clear();
                }
            }
        }
        Some(open)
    }

    fn frame(&mut self) -> Option<Result<Event, wire::WireError>> {
        let header = self.frames.first_chunk::<4>()?;
        let length = u32::from_le_bytes(*header);
        let end = 4 + length as usize;
        if length <= wire::MAX_FRAME && self.frames.len() < end {
            return None;
        }
        let event = wire::read_frame::<Event>(&mut self.frames.as_slice());
        self.frames.drain(..end.min(self.frames.len()));
        event.transpose()
    }

    fn event(&mut self, event: Event) -> Option<()> {
        match event {
            Event::Done { cell, .. } => {
                self.finish_text()?;
                self.shared.job_ended(cell);
                self.send(ChildOutput::Event(event))
            }
            Event::Replied { id, .. } if self.shared.is_job(id) => {
                self.finish_text()?;
                self.shared.job_ended(id);
                self.send(ChildOutput::Event(event))
            }
            Event::Input { prompt, password } => {
                self.settle()?;
                let (prompt, password) = match self.prompt.take() {
                    Some((announced, password)) if prompt.is_empty() => (announced, password),
                    _ => (prompt, password),
                };
                self.send(ChildOutput::Event(Event::Input { prompt, password }))
            }
            event => {
                self.settle()?;
                self.send(ChildOutput::Event(event))
            }
        }
    }

    /// Sends what waits, also what might have become a mark.
    fn settle(&mut self) -> Option<()> {
        let mut pieces = Vec::new();
        self.parser.settle(&mut pieces);
        self.pieces(pieces)?;
        self.send_text()
    }

    /// A cell or the process has ended: all text is sent, and the count begins anew.
    fn finish_text(&mut self) -> Option<()> {
        let mut pieces = Vec::new();
        let rest = self.stdout.decoder.finish();
        self.parser.feed(rest, &mut pieces);
        self.parser.finish(&mut pieces);
        self.pieces(pieces)?;
        let rest = self.stderr.decoder.finish();
        self.stderr.excerpt.push(rest, &mut self.left);
        self.stdout.excerpt.finish();
        self.stderr.excerpt.finish();
        self.left = HEAD;
        self.send_text()
    }

    fn send_text(&mut self) -> Option<()> {
        self.due = None;
        for stream in [&mut self.stdout, &mut self.stderr] {
            let text = stream.excerpt.take();
            if !text.is_empty() {
                let name = stream.name;
                self.outputs_tx.blocking_send(ChildOutput::Stream { name, text }).ok()?;
            }
        }
        Some(())
    }

    fn send(&self, output: ChildOutput) -> Option<()> {
        self.outputs_tx.blocking_send(output).ok()
    }

    /// The process has ended, or nobody listens any more: then it is ended.
    fn last(&mut self) {
        self.shared.kill_if_unheard(&self.outputs_tx);
        let deadline = Instant::now() + LAST_READS;
        while Instant::now() < deadline {
            let streams = (self.stream(StreamName::Stdout), self.stream(StreamName::Stderr));
            let (Some(stdout), Some(stderr)) = streams else { break };
            if !matches!(stdout, Got::Bytes(_)) && !matches!(stderr, Got::Bytes(_)) {
                break;
            }
        }
        let _ = self.events();
        let status = self.child.wait();
        let mut note = [0; 512];
        let length = self.pipes.note.read(&mut note).unwrap_or(0);
        let note = String::from_utf8_lossy(&note[..length]).trim().to_owned();
        let _ = self.finish_text();
        let reason = self.shared.exited();
        if let Ok(status) = status {
            let _ = self.send(ChildOutput::Exited(Exit { status, note, reason }));
        }
    }
}

impl Shared {
    fn kill_if_unheard(&self, outputs_tx: &mpsc::Sender<ChildOutput>) {
        if outputs_tx.is_closed() {
            self.kill("nobody listens to it");
        }
    }
}

struct Ready {
    exited: bool,
}

fn read(pipe: &mut File, buffer: &mut [u8]) -> Got {
    loop {
        return match pipe.read(buffer) {
            Ok(0) => Got::End,
            Ok(count) => Got::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Got::Nothing,
            Err(_) => Got::End,
        };
    }
}
