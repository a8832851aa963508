//! Labels that arrive after predictions, and how well these agree: [`Labels`].

use std::collections::{HashMap, VecDeque};

use oxilab_model::Task;
use oxilab_serve::{Performance, Predictions};
use serde_json::Value;

/// Requests whose predictions are remembered until their labels come.
const REQUESTS: usize = 10_000;

/// Rows of a request that can be labelled.
const ROWS: usize = 1_000;

/// The rows of a request, and of the first of them what was predicted; `None` where the label came.
#[derive(Debug)]
struct Said {
    rows: usize,
    values: Vec<Option<Value>>,
}

/// Whether labels can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The request is not known, or has its labels.
    Unknown,
    Fits,
    /// Why not, and what to send.
    Unfit(String),
}

/// Predictions by request, and the latest pairs of prediction and label.
#[derive(Debug)]
pub(crate) struct Labels {
    said: HashMap<String, Said>,
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
        let rows = predictions.values().len();
        let values = predictions.slice(0, rows.min(ROWS)).json_values();
        let said = Said { rows, values: values.into_iter().map(Some).collect() };
        if self.said.insert(id.to_owned(), said).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > REQUESTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.said.remove(&oldest);
        }
    }

    /// Whether these are the labels of a request's rows, in order.
    pub(crate) fn fit(&self, task: Task, id: &str, labels: &[Value]) -> Fit {
        let Some(said) = self.said.get(id) else { return Fit::Unknown };
        let (rows, count) = (said.rows, labels.len());
        if rows != count {
            return Fit::Unfit(format!(
                "the request {id:?} has {rows} rows, and {count} labels came for it; send one a row, null \
                 where it is not known yet"
            ));
        }
        let is_number = |label: &&Value| label.is_null() || label.is_number();
        match labels.iter().find(|label| !is_number(label)) {
            Some(wrong) if task == Task::Regression => {
                Fit::Unfit(format!("the model predicts numbers, so a label is one, not {wrong}"))
            }
            _ => Fit::Fits,
        }
    }

    /// Takes the labels of a request's rows, which [fit](Labels::fit); how many. A row's label is taken
    /// once, and waited for while it is null.
    pub(crate) fn label(&mut self, id: &str, labels: &[Value]) -> usize {
        let Some(said) = self.said.get_mut(id) else { return 0 };
        let mut count = 0;
        for (value, label) in said.values.iter_mut().zip(labels) {
            if label.is_null() {
                continue;
            }
            let Some(value) = value.take() else { continue };
            if self.pairs.len() == self.most.max(1) {
                self.pairs.pop_front();
            }
            self.pairs.push_back((value, label.clone()));
            count += 1;
        }
        if said.values.iter().all(Option::is_none) {
            self.said.remove(id);
            self.order.retain(|known| known != id);
        }
        self.taken += count;
        usize::try_from(count).unwrap_or(usize::MAX)
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
