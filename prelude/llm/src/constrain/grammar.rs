//! A context-free grammar over bytes, followed by all its readings at once: the state is the set of
//! stacks of what is still to come.

use std::collections::HashMap;
use std::sync::Arc;

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes([u64; 4]);

impl Bytes {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        for byte in bytes {
            set.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        set
    }

    pub(crate) fn range(first: u8, last: u8) -> Self {
        Self::of(&(first..=last).collect::<Vec<_>>())
    }

    pub(crate) fn without(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0[usize::from(byte >> 6)] &= !(1 << (byte & 63));
        }
        self
    }

    fn has(self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

/// One part of an alternative.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    One(Bytes),
    Rule(usize),
}

/// Rules by number; each has alternatives, each a sequence of parts. Rule 0 is the whole text. No rule
/// may begin with itself: see [`Grammar::is_left_recursive`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Grammar {
    rules: Vec<Vec<Vec<Part>>>,
}

/// What is still to come: a rule's alternative from a part on, then the rest.
#[derive(Debug)]
struct Frame {
    rule: usize,
    alternative: usize,
    part: usize,
    rest: Stack,
}

type Stack = Option<Arc<Frame>>;

/// The stacks that a text can be at; an empty stack is a complete text. The part that a stack begins
/// with is always bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    stacks: Vec<Stack>,
}

impl State {
    pub(crate) fn may_end(&self) -> bool {
        self.stacks.iter().any(Option::is_none)
    }

    pub(crate) fn must_end(&self) -> bool {
        self.stacks.iter().all(Option::is_none)
    }
}

impl Grammar {
    /// A new rule without alternatives (which nothing matches).
    pub(crate) fn rule(&mut self) -> usize {
        self.rules.push(Vec::new());
        self.rules.len() - 1
    }

    /// Adds an alternative.
    pub(crate) fn add(&mut self, rule: usize, parts: Vec<Part>) {
        self.rules[rule].push(parts);
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether a rule can begin with itself, which no text would ever get out of.
    pub(crate) fn is_left_recursive(&self) -> bool {
        let mut empty = vec![false; self.rules.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (rule, alternatives) in self.rules.iter().enumerate() {
                let now = alternatives.iter().any(|parts| {
                    parts.iter().all(|part| matches!(part, Part::Rule(other) if empty[*other]))
                });
                changed |= now && !empty[rule];
                empty[rule] |= now;
            }
        }
        // A walk along «can begin with»: 1 is on the way, 2 is done.
        let mut seen = vec![0u8; self.rules.len()];
        let mut stack: Vec<(usize, Vec<usize>)> = Vec::new();
        for start in 0..self.rules.len() {
            if seen[start] == 0 {
                seen[start] = 1;
                stack.push((start, self.begins_with(start, &empty)));
            }
            while let Some((rule, next)) = stack.last_mut() {
                let rule = *rule;
                match next.pop() {
                    Some(other) if seen[other] == 1 => return true,
                    Some(other) if seen[other] == 0 => {
                        seen[other] = 1;
                        stack.push((other, self.begins_with(other, &empty)));
                    }
                    Some(_) => {}
                    None => {
                        seen[rule] = 2;
                        stack.pop();
                    }
                }
            }
        }
        false
    }

    fn begins_with(&self, rule: usize, empty: &[bool]) -> Vec<usize> {
        let mut found = Vec::new();
        for parts in &self.rules[rule] {
            for part in parts {
                let Part::Rule(other) = part else { break };
                found.push(*other);
                if !empty[*other] {
                    break;
                }
            }
        }
        found
    }

    pub(crate) fn start(&self) -> State {
        let mut stacks = Vec::new();
        for alternative in 0..self.rules.first().map_or(0, Vec::len) {
            self.open(
                Some(Arc::new(Frame { rule: 0, alternative, part: 0, rest: None })),
                &mut stacks,
            );
        }
        State { stacks }
    }

    /// The state behind these bytes, `None` where they cannot come.
    pub(crate) fn after(&self, state: &State, bytes: &[u8]) -> Option<State> {
        let mut stacks = state.stacks.clone();
        for byte in bytes {
            let mut next = Vec::new();
            for stack in stacks.iter().flatten() {
                let part = self.rules[stack.rule][stack.alternative][stack.part];
                if matches!(part, Part::One(set) if set.has(*byte)) {
                    self.open(Some(advanced(stack)), &mut next);
                }
            }
            if next.is_empty() {
                return None;
            }
            stacks = next;
        }
        Some(State { stacks })
    }

    /// Replaces rules at the top of a stack by their alternatives until bytes are there. Without calling
    /// itself: rules may lead to each other thousands deep. And each rule once for what comes behind it:
    /// ways that part and meet again double with every such place.
    fn open(&self, stack: Stack, into: &mut Vec<Stack>) {
        let mut closed = vec![stack];
        // The stack is kept along, so that no other gets its address.
        let mut opened: HashMap<(usize, *const Frame), Stack> = HashMap::new();
        while let Some(stack) = closed.pop() {
            let Some(frame) = stack else {
                if into.iter().all(Option::is_some) {
                    into.push(None);
                }
                continue;
            };
            match self.rules[frame.rule][frame.alternative].get(frame.part) {
                None => closed.push(frame.rest.clone()),
                Some(Part::One(_)) => {
                    if !into.iter().flatten().any(|other| same(other, &frame)) {
                        into.push(Some(frame));
                    }
                }
                Some(Part::Rule(rule)) => {
                    let last = frame.part + 1 == self.rules[frame.rule][frame.alternative].len();
                    // A rule in last place needs no return: stacks do not grow with the length of a list.
                    let rest = if last { frame.rest.clone() } else { Some(advanced(&frame)) };
                    let behind = rest.as_ref().map_or(std::ptr::null(), Arc::as_ptr);
                    if opened.insert((*rule, behind), rest.clone()).is_some() {
                        continue;
                    }
                    for alternative in (0..self.rules[*rule].len()).rev() {
                        let inner = Frame { rule: *rule, alternative, part: 0, rest: rest.clone() };
                        closed.push(Some(Arc::new(inner)));
                    }
                }
            }
        }
    }
}

/// One after the other: a text of many open brackets has a stack as deep.
impl Drop for Frame {
    fn drop(&mut self) {
        let mut rest = self.rest.take();
        while let Some(mut frame) = rest.and_then(Arc::into_inner) {
            rest = frame.rest.take();
        }
    }
}

fn advanced(frame: &Arc<Frame>) -> Arc<Frame> {
    let Frame { rule, alternative, part, rest } = &**frame;
    let part = part + 1;
    Arc::new(Frame { rule: *rule, alternative: *alternative, part, rest: rest.clone() })
}

/// Whether two stacks are equal; shared tails are not walked.
fn same(a: &Arc<Frame>, b: &Arc<Frame>) -> bool {
    let (mut a, mut b) = (a, b);
    loop {
        if Arc::ptr_eq(a, b) {
            return true;
        }
        if (a.rule, a.alternative, a.part) != (b.rule, b.alternative, b.part) {
            return false;
        }
        match (&a.rest, &b.rest) {
            (None, None) => return true,
            (Some(x), Some(y)) => (a, b) = (x, y),
            _ => return false,
        }
    }
}
