//! A k-d tree (Bentley, 1975) for nearest rows over few features: [`KdTree`].
//!
//! Answers are those of comparing with every row, to the last bit: distances come from the same
//! function, and of rows at the same distance the earlier counts.

use crate::neighbors::squared_distance;

/// Rows of a leaf at most.
const LEAF: usize = 32;

/// With more features most leaves are visited anyway.
pub(crate) const MOST_FEATURES: usize = 15;

/// Box distances round otherwise than distances of rows: a box is left out only if it is farther by more
/// than that.
const ROUNDING: f64 = 1.0 - 1e-12;

/// Rows, ordered so that those of a node lie together.
#[derive(Debug)]
pub(crate) struct KdTree {
    width: usize,
    rows: Vec<f64>,
    /// The number that each row had.
    numbers: Vec<u32>,
    nodes: Vec<Node>,
    /// Per node the least, then the greatest value of each feature.
    boxes: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    start: usize,
    end: usize,
    /// The second child; the first follows its parent. 0 for a leaf.
    right: usize,
}

impl KdTree {
    /// A tree of rows laid end to end, each `width` long.
    pub(crate) fn new(rows: &[f64], width: usize) -> Self {
        let count = rows.len() / width.max(1);
        let mut numbers: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        let mut tree = Self {
            width,
            rows: Vec::new(),
            numbers: Vec::new(),
            nodes: Vec::new(),
            boxes: Vec::new(),
        };
        tree.split(rows, &mut numbers, 0);
        tree.rows = numbers
            .iter()
            .flat_map(|row| &rows[*row as usize * width..(*row as usize + 1) * width])
            .copied()
            .collect();
        tree.numbers = numbers;
        tree
    }

    /// Adds the node of these rows, which stand at `start`, and all below it.
    fn split(&mut self, rows: &[f64], numbers: &mut [u32], start: usize) {
        let width = self.width;
        let at = self.nodes.len();
        self.nodes.push(Node { start, end: start + numbers.len(), right: 0 });
        let (mut low, mut high) = (vec![f64::INFINITY; width], vec![f64::NEG_INFINITY; width]);
        for row in numbers.iter() {
            let row = &rows[*row as usize * width..(*row as usize + 1) * width];
            for (feature, value) in row.iter().enumerate() {
                low[feature] = low[feature].min(*value);
                high[feature] = high[feature].max(*value);
            }
        }
        let widest =
            (0..width).max_by(|a, b| (high[*a] - low[*a]).total_cmp(&(high[*b] - low[*b])));
        let spread = widest.map_or(0.0, |feature| high[feature] - low[feature]);
        self.boxes.extend(low);
        self.boxes.extend(high);
        if numbers.len() <= LEAF || spread <= 0.0 {
            return;
        }
        let value = |row: &u32| rows[*row as usize * width + widest.unwrap_or(0)];
        let middle = numbers.len() / 2;
        numbers.select_nth_unstable_by(middle, |a, b| value(a).total_cmp(&value(b)));
        let (first, second) = numbers.split_at_mut(middle);
        self.split(rows, first, start);
        self.nodes[at].right = self.nodes.len();
        self.split(rows, second, start + middle);
    }

    /// The nearest `count` rows as (squared distance, row), nearest first.
    pub(crate) fn nearest(&self, query: &[f64], count: usize, best: &mut Vec<(f64, u32)>) {
        best.clear();
        self.visit(0, query, count, best);
    }

    fn visit(&self, at: usize, query: &[f64], count: usize, best: &mut Vec<(f64, u32)>) {
        let node = self.nodes[at];
        if node.right == 0 {
            for (row, number) in self.rows_of(node) {
                let found = (squared_distance(query, row), number);
                if best.len() == count {
                    if best.last().is_some_and(|worst| !before(found, *worst)) {
                        continue;
                    }
                    best.pop();
                }
                let place = best.partition_point(|known| before(*known, found));
                best.insert(place, found);
            }
            return;
        }
        let mut children =
            [at + 1, node.right].map(|child| (self.box_distance(child, query), child));
        if children[1].0 < children[0].0 {
            children.swap(0, 1);
        }
        for (distance, child) in children {
            let far = best.len() == count
                && best.last().is_some_and(|worst| distance * ROUNDING > worst.0);
            if !far {
                self.visit(child, query, count, best);
            }
        }
    }

    /// All rows whose squared distance is at most `limit`, in their order.
    pub(crate) fn within(&self, query: &[f64], limit: f64) -> Vec<u32> {
        let mut found = Vec::new();
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if self.box_distance(at, query) * ROUNDING > limit {
                continue;
            }
            let node = self.nodes[at];
            if node.right == 0 {
                let rows = self.rows_of(node);
                let near = rows.filter(|(row, _)| squared_distance(query, row) <= limit);
                found.extend(near.map(|(_, number)| number));
            } else {
                open.extend([at + 1, node.right]);
            }
        }
        found.sort_unstable();
        found
    }

    fn rows_of(&self, node: Node) -> impl Iterator<Item = (&[f64], u32)> {
        let rows = &self.rows[node.start * self.width..node.end * self.width];
        rows.chunks_exact(self.width).zip(self.numbers[node.start..node.end].iter().copied())
    }

    /// The squared distance to the nearest place of a node's box.
    fn box_distance(&self, at: usize, query: &[f64]) -> f64 {
        let (low, high) =
            self.boxes[2 * at * self.width..2 * (at + 1) * self.width].split_at(self.width);
        let away = |((q, low), high): ((&f64, &f64), &f64)| (low - q).max(q - high).max(0.0);
        query.iter().zip(low).zip(high).map(away).map(|away| away * away).sum()
    }
}

fn before(a: (f64, u32), b: (f64, u32)) -> bool {
    a.0 < b.0 || (a.0 <= b.0 && a.1 < b.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn answers_are_those_of_comparing_with_every_row() {
        let mut rng = Rng::new(1);
        for width in [1, 2, 5] {
            // Few different values make ties.
            let mut draw = |count: usize| -> Vec<f64> {
                (0..count * width).map(|_| (rng.unit() * 8.0).floor()).collect()
            };
            let (rows, queries) = (draw(700), draw(40));
            let tree = KdTree::new(&rows, width);
            let mut best = Vec::new();
            for query in queries.chunks_exact(width) {
                let mut all: Vec<(f64, u32)> = rows
                    .chunks_exact(width)
                    .map(|row| squared_distance(query, row))
                    .zip(0..)
                    .collect();
                let close: Vec<u32> =
                    all.iter().filter(|(d, _)| *d <= 2.0).map(|(_, row)| *row).collect();
                assert_eq!(tree.within(query, 2.0), close);
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                tree.nearest(query, 9, &mut best);
                assert_eq!(best, all[..9]);
            }
        }
    }

    #[test]
    fn equal_rows_make_one_leaf() {
        let tree = KdTree::new(&[1.0; 200], 2);
        let mut best = Vec::new();
        tree.nearest(&[0.0, 0.0], 2, &mut best);
        assert_eq!(best, [(2.0, 0), (2.0, 1)]);
    }
}
