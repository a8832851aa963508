//! What is asked of a group: [`Aggregate`].

use std::iter::zip;

use polars::prelude::*;
use polars_arrow::array::Array as _;
use rayon::prelude::*;

use super::codes::Codes;

/// An aggregate of one column.
pub(super) struct Aggregate<'a> {
    name: PlSmallStr,
    kind: Kind,
    of: Values<'a>,
}

#[derive(Clone, Copy)]
enum Kind {
    Len,
    Count,
    Sum,
    Mean,
    Min,
    Max,
    Median,
    Std(u8),
    Var(u8),
}

#[derive(Clone, Copy)]
enum Values<'a> {
    None,
    Float(&'a Float64Chunked),
    Int(&'a Int64Chunked),
}

impl<'a> Aggregate<'a> {
    /// What an expression asks for; `None` if that is for polars.
    pub(super) fn of(expression: &Expr, df: &'a DataFrame) -> Option<Self> {
        let (kind, input) = match expression {
            Expr::Alias(inner, name) => {
                return Self::of(inner, df).map(|this| Self { name: name.clone(), ..this });
            }
            Expr::Len => {
                let name = PlSmallStr::from_static("len");
                return Some(Self { name, kind: Kind::Len, of: Values::None });
            }
            Expr::Agg(aggregate) => match aggregate {
                AggExpr::Sum(input) => (Kind::Sum, input),
                AggExpr::Mean(input) => (Kind::Mean, input),
                AggExpr::Min { input, propagate_nans: false } => (Kind::Min, input),
                AggExpr::Max { input, propagate_nans: false } => (Kind::Max, input),
                AggExpr::Median(input) => (Kind::Median, input),
                AggExpr::Std(input, ddof) => (Kind::Std(*ddof), input),
                AggExpr::Var(input, ddof) => (Kind::Var(*ddof), input),
                AggExpr::Count { input, include_nulls: false } => (Kind::Count, input),
                _ => return None,
            },
            _ => return None,
        };
        let Expr::Column(name) = &**input else { return None };
        let column = df.column(name).ok()?;
        let of = match column.dtype() {
            DataType::Float64 => Values::Float(column.f64().ok()?),
            DataType::Int64 => Values::Int(column.i64().ok()?),
            _ => return None,
        };
        Some(Self { name: name.clone(), kind, of })
    }

    pub(super) fn name(&self) -> &PlSmallStr {
        &self.name
    }

    /// The aggregate of every group.
    pub(super) fn column(&self, codes: &Codes) -> Column {
        let groups = Groups { codes: &codes.of_rows, count: codes.first.len() };
        let column = match self.of {
            Values::None => groups.len().into_column(),
            Values::Float(values) => self.of_floats(values, &groups),
            Values::Int(values) => self.of_ints(values, &groups),
        };
        column.with_name(self.name.clone())
    }

    fn of_floats(&self, values: &Float64Chunked, groups: &Groups<'_>) -> Column {
        // What is no number counts only where there is nothing else.
        let min = |a: f64, b: f64| if b < a || a.is_nan() { b } else { a };
        let max = |a: f64, b: f64| if b > a || a.is_nan() { b } else { a };
        match self.kind {
            Kind::Sum => {
                let sums = groups.fold(values, 0.0, |sum, value| *sum += value, |a, b| *a += b);
                Float64Chunked::from_vec(PlSmallStr::EMPTY, sums).into_column()
            }
            Kind::Min => floats(groups.best(values, min)),
            Kind::Max => floats(groups.best(values, max)),
            _ => self.of_numbers(values, groups, |value| value),
        }
    }

    fn of_ints(&self, values: &Int64Chunked, groups: &Groups<'_>) -> Column {
        match self.kind {
            Kind::Sum => {
                let add = |sum: &mut i64, value: i64| *sum = sum.wrapping_add(value);
                Int64Chunked::from_vec(PlSmallStr::EMPTY, groups.fold(values, 0, add, add))
                    .into_column()
            }
            Kind::Min => Int64Chunked::from_iter(groups.best(values, i64::min)).into_column(),
            Kind::Max => Int64Chunked::from_iter(groups.best(values, i64::max)).into_column(),
            #[expect(clippy::cast_precision_loss, reason = "as polars does")]
            _ => self.of_numbers(values, groups, |value| value as f64),
        }
    }

    /// Those whose result is of one type for all numbers.
    fn of_numbers<T: PolarsNumericType>(
        &self,
        values: &ChunkedArray<T>,
        groups: &Groups<'_>,
        float: fn(T::Native) -> f64,
    ) -> Column {
        match self.kind {
            Kind::Count => {
                let counts = groups.fold(values, 0, |count, _| *count += 1, |a, b| *a += b);
                IdxCa::from_vec(PlSmallStr::EMPTY, counts).into_column()
            }
            Kind::Median => floats(groups.medians(values, float)),
            Kind::Std(ddof) => {
                let variances = groups.variances(values, float, ddof).into_iter();
                floats(variances.map(|variance| variance.map(f64::sqrt)).collect())
            }
            Kind::Var(ddof) => floats(groups.variances(values, float, ddof)),
            // The mean: the others have types of their own.
            _ => floats(groups.means(values, float)),
        }
    }
}

fn floats(values: Vec<Option<f64>>) -> Column {
    Float64Chunked::from_iter(values).into_column()
}

struct Groups<'a> {
    /// By row.
    codes: &'a [u32],
    count: usize,
}

impl Groups<'_> {
    fn len(&self) -> IdxCa {
        let mut counts = vec![0; self.count];
        self.codes.iter().for_each(|code| counts[*code as usize] += 1);
        IdxCa::from_vec(PlSmallStr::EMPTY, counts)
    }

    /// What becomes of `start` when it meets each value of a group. Threads have parts of the rows, whose
    /// results `merge` puts together in order.
    fn fold<T: PolarsNumericType, A: Clone + Send + Sync>(
        &self,
        values: &ChunkedArray<T>,
        start: A,
        step: impl Fn(&mut A, T::Native) + Sync,
        merge: impl Fn(&mut A, A),
    ) -> Vec<A> {
        let rows = self.codes.len();
        // Parts cost an array each.
        let most = if self.count > rows / 8 { 1 } else { rayon::current_num_threads() };
        let size = rows.div_ceil(most).max(1);
        let parts: Vec<Vec<A>> = self
            .codes
            .par_chunks(size)
            .enumerate()
            .map(|(part, codes)| {
                let mut all = vec![start.clone(); self.count];
                let first = i64::try_from(part * size).unwrap_or(i64::MAX);
                let part = values.slice(first, codes.len());
                each(&part, codes, |code, value| step(&mut all[code as usize], value));
                all
            })
            .collect();
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_else(|| vec![start; self.count]);
        for part in parts {
            zip(&mut all, part).for_each(|(a, b)| merge(a, b));
        }
        all
    }

    fn best<T: PolarsNumericType>(
        &self,
        values: &ChunkedArray<T>,
        better: impl Fn(T::Native, T::Native) -> T::Native + Sync,
    ) -> Vec<Option<T::Native>> {
        let step = |best: &mut Option<T::Native>, value: T::Native| {
            *best = Some(best.map_or(value, |best| better(best, value)));
        };
        self.fold(values, None, step, |a, b| {
            if let Some(value) = b {
                step(a, value);
            }
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "there are fewer rows than 2^53")]
    fn means<T: PolarsNumericType>(
        &self,
        values: &ChunkedArray<T>,
        float: fn(T::Native) -> f64,
    ) -> Vec<Option<f64>> {
        let step = |(sum, count): &mut (f64, usize), value| {
            *sum += float(value);
            *count += 1;
        };
        let sums = self.fold(values, (0.0, 0), step, |a, b| *a = (a.0 + b.0, a.1 + b.1));
        sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
    }

    /// In one pass (Welford 1962); parts are put together as Chan et al. do (1979).
    fn variances<T: PolarsNumericType>(
        &self,
        values: &ChunkedArray<T>,
        float: fn(T::Native) -> f64,
        ddof: u8,
    ) -> Vec<Option<f64>> {
        /// Count, mean and the sum of squared distances from it.
        type Moments = (f64, f64, f64);
        let step = |(count, mean, squares): &mut Moments, value| {
            let value = float(value);
            *count += 1.0;
            let distance = value - *mean;
            *mean += distance / *count;
            *squares += distance * (value - *mean);
        };
        let merge = |a: &mut Moments, b: Moments| {
            let count = a.0 + b.0;
            if count > 0.0 {
                let distance = b.1 - a.1;
                let squares = a.2 + b.2 + distance * distance * a.0 * b.0 / count;
                *a = (count, a.1 + distance * b.0 / count, squares);
            }
        };
        let ddof = f64::from(ddof);
        let moments = self.fold(values, (0.0, 0.0, 0.0), step, merge).into_iter();
        moments
            .map(|(count, _, squares)| (count > ddof).then(|| squares / (count - ddof)))
            .collect()
    }

    fn medians<T: PolarsNumericType>(
        &self,
        values: &ChunkedArray<T>,
        float: fn(T::Native) -> f64,
    ) -> Vec<Option<f64>> {
        let counts = self.fold(values, 0, |count, _| *count += 1, |a, b| *a += b);
        let total = counts.iter().sum();
        let mut next: Vec<usize> = counts
            .iter()
            .scan(0, |end, count| Some(std::mem::replace(end, *end + count)))
            .collect();
        let mut sorted = vec![0.0; total];
        each(values, self.codes, |code, value| {
            let value = float(value);
            let at = &mut next[code as usize];
            // What is no number is above all that are, whatever its sign.
            sorted[*at] = if value.is_nan() { f64::NAN } else { value };
            *at += 1;
        });
        let mut rest = &mut sorted[..];
        let mut groups = Vec::with_capacity(self.count);
        for count in counts {
            let (group, others) = rest.split_at_mut(count);
            groups.push(group);
            rest = others;
        }
        groups.into_par_iter().map(median).collect()
    }
}

/// Each value that is there, with its group.
fn each<T: PolarsNumericType>(
    values: &ChunkedArray<T>,
    codes: &[u32],
    mut step: impl FnMut(u32, T::Native),
) {
    let mut rest = codes;
    for array in values.downcast_iter() {
        let (codes, others) = rest.split_at(array.len());
        if array.null_count() == 0 {
            zip(codes, array.values().iter()).for_each(|(code, value)| step(*code, *value));
        } else {
            zip(codes, array).for_each(|(code, value)| {
                if let Some(value) = value {
                    step(*code, *value);
                }
            });
        }
        rest = others;
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    let upper = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, middle, _) = values.select_nth_unstable_by(upper, f64::total_cmp);
    let lower = if even { below.iter().copied().max_by(f64::total_cmp) } else { None };
    Some(lower.map_or(*middle, |lower| lower + (*middle - lower) / 2.0))
}
