//! Labels that arrive after predictions, and how well these agree: [`Labels`].

use std::collections::{HashMap, VecDeque};

use oxilab_model::Task;
use oxilab_serve::{Performance, Predictions};
use serde_json::Value;

/// Requests whose predictions are remembered until their labels come.
const REQUESTS: usize = 10_000;

/// Rows of a request that can be labelled.
const ROWS: usize = 1_000;

/// Predictions by request, and the latest pairs of prediction and label.
#[derive(Debug)]
pub(crate) struct Labels {
    said: HashMap<String, Vec<Value>>,
    order: VecDeque<String>,
    pairs: VecDeque<(Value, Value)>,
    most: usize,
    /// All labels so far.
    taken: u64,
}

impl Labels {
    /// `most` pairs are kept.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            said: HashMap::new(),
            order: VecDeque::new(),
            pairs: VecDeque::new(),
            most,
            taken: 0,
        }
    }

    /// Remembers what was said.
    pub(crate) fn said(&mut self, id: &str, predictions: &Predictions) {
        let rows = predictions.values().len().min(ROWS);
        let values = predictions.slice(0, rows).json_values();
        if self.said.insert(id.to_owned(), values).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > REQUESTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.said.remove(&oldest);
        }
    }

    /// The labels of a request's rows, in order; how many were taken. Labels of a request are taken once.
    pub(crate) fn label(&mut self, id: &str, labels: &[Value]) -> usize {
        let Some(said) = self.said.remove(id) else { return 0 };
        self.order.retain(|known| known != id);
        let count = said.len().min(labels.len());
        self.taken += count as u64;
        for pair in said.into_iter().zip(labels.iter().cloned()) {
            if self.pairs.len() == self.most.max(1) {
                self.pairs.pop_front();
            }
            self.pairs.push_back(pair);
        }
        count
    }

    /// How many labels came so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The figure of the latest labelled rows.
    pub(crate) fn performance(&self, task: Task) -> Option<Performance> {
        let (said, labels): (Vec<Value>, Vec<Value>) = self.pairs.iter().cloned().unzip();
        Performance::of(task, &said, &labels)
    }

    /// Forgets everything: another version answers from now on.
    pub(crate) fn clear(&mut self) {
        self.said.clear();
        self.order.clear();
        self.pairs.clear();
    }
}
