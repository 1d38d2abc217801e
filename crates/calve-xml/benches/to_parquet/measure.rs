//! Time of the processor, and the tables of what was measured.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::shape::Shape;

/// Time of the processor, in all threads, and by the clock.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) processor: Duration,
    pub(crate) clock: Duration,
}

/// Runs something once.
pub(crate) fn measure<T>(run: impl FnOnce() -> T) -> Spent {
    let (processor, clock) = (ProcessTime::now(), Instant::now());
    black_box(run());
    Spent {
        processor: processor.elapsed(),
        clock: clock.elapsed(),
    }
}

/// A ratio that is printed: its name, the goal, whose speed, and over whose, of which the fastest counts.
type Ratio<'a> = (&'a str, f64, &'a str, &'a [&'a str]);

/// What was measured: for each name and shape, the speed in each round.
pub(crate) struct Table {
    shapes: Vec<&'static str>,
    rows: Vec<(&'static str, Vec<Vec<f64>>)>,
}

impl Table {
    pub(crate) fn new(shapes: Vec<&'static str>) -> Self {
        Self {
            shapes,
            rows: Vec::new(),
        }
    }

    /// Adds what one round took.
    pub(crate) fn add(&mut self, name: &'static str, shape: &Shape, time: Duration) {
        let column = self.shapes.iter().position(|it| *it == shape.name).unwrap();
        let at = self.rows.iter().position(|(known, _)| *known == name);
        let at = at.unwrap_or_else(|| {
            self.rows.push((name, vec![Vec::new(); self.shapes.len()]));
            self.rows.len() - 1
        });
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
        let bytes = shape.text.len() as f64;
        self.rows[at].1[column].push(bytes / 1e6 / time.as_secs_f64().max(1e-6));
    }

    fn rounds(&self, name: &str) -> Option<&Vec<Vec<f64>>> {
        self.rows
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, rounds)| rounds)
    }

    /// Prints the best speeds, and ratios: of the best speeds, and the median of those of each round.
    pub(crate) fn print(&self, ratios: &[Ratio<'_>]) {
        let head = self.shapes.join(" | ");
        println!(
            "| MB/s | {head} |\n|---|{}",
            "--:|".repeat(self.shapes.len())
        );
        for (name, rounds) in &self.rows {
            let best: Vec<String> = rounds.iter().map(|it| format!("{:.0}", best(it))).collect();
            println!("| {name} | {} |", best.join(" | "));
        }
        println!(
            "\n| ratio | goal | {head} |\n|---|--:|{}",
            "--:|".repeat(self.shapes.len())
        );
        for (name, goal, of, over) in ratios {
            let Some(of) = self.rounds(of) else { continue };
            let over: Vec<_> = over.iter().filter_map(|name| self.rounds(name)).collect();
            if over.is_empty() {
                continue;
            }
            let cells: Vec<String> = (0..self.shapes.len())
                .map(|shape| {
                    ratio(
                        &of[shape],
                        &over.iter().map(|it| &it[shape]).collect::<Vec<_>>(),
                    )
                })
                .collect();
            println!("| {name} | {goal:.2} | {} |", cells.join(" | "));
        }
    }
}

fn best(speeds: &[f64]) -> f64 {
    speeds.iter().copied().fold(0.0, f64::max)
}

fn ratio(of: &[f64], over: &[&Vec<f64>]) -> String {
    let fastest = over.iter().map(|speeds| best(speeds)).fold(0.0, f64::max);
    let mut rounds: Vec<f64> = of
        .iter()
        .enumerate()
        .map(|(round, speed)| speed / over.iter().map(|it| it[round]).fold(0.0, f64::max))
        .collect();
    rounds.sort_by(f64::total_cmp);
    format!(
        "{:.2} ({:.2})",
        best(of) / fastest,
        rounds[rounds.len() / 2]
    )
}
