//! What a bench says: one JSON object per line, and the few statistics in it.

use serde_json::{Value, json};

/// Prints one line.
pub(crate) fn line(value: &Value) {
    println!("{value}");
}

/// The value at `share` (0 to 1) of the sorted values, by nearest rank.
fn rank(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = (share * sorted.len() as f64).ceil() as usize;
    sorted[index.clamp(1, sorted.len()) - 1]
}

/// Three places are more than these measurements mean.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn sorted(values: &[f64]) -> Vec<f64> {
    assert!(!values.is_empty(), "a bench measured nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Percentiles of many values.
pub(crate) fn percentiles(values: &[f64]) -> Value {
    let sorted = sorted(values);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| rounded(rank(&sorted, share)));
    json!({ "p50": p50, "p99": p99, "max": max })
}

/// What can be said of a few values.
pub(crate) fn spread(values: &[f64]) -> Value {
    let sorted = sorted(values);
    let [min, median, max] = [0.0, 0.5, 1.0].map(|share| rounded(rank(&sorted, share)));
    json!({ "median": median, "min": min, "max": max })
}

/// The values themselves.
pub(crate) fn list(values: &[f64]) -> Vec<f64> {
    values.iter().copied().map(rounded).collect()
}
