//! Figures as text: each run, the medians, and the goals.

use std::fmt::Write;

use crate::arm::Arm;
use crate::measure::Measured;

/// Two copies by one arm.
pub(crate) struct Run {
    pub(crate) to_kafka: Measured,
    pub(crate) to_file: Measured,
}

/// All copies by one arm; one run at least.
pub(crate) struct Figures {
    pub(crate) arm: Arm,
    pub(crate) runs: Vec<Run>,
}

/// What one copy comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Row {
    /// Records a second, from the order to the last record.
    total_rate: f64,
    /// Records a second, from the first record to the last.
    net_rate: f64,
    /// CPU seconds of the copying process for a million records.
    cpu_per_million: f64,
    peak_rss_mb: f64,
}

/// What Ferry has to reach in one direction.
struct Goals {
    /// At least this many times Kafka Connect's rate.
    connect_rate: f64,
    /// At most this many times kcat's CPU.
    kcat_cpu: f64,
    /// At most this much memory.
    peak_rss_mb: f64,
}

type Pick = fn(&Run) -> &Measured;

const DIRECTIONS: [(&str, Pick, Goals); 2] = [
    ("file to Kafka", |run| &run.to_kafka, Goals { connect_rate: 2.5, kcat_cpu: 1.5, peak_rss_mb: 150.0 }),
    ("Kafka to file", |run| &run.to_file, Goals { connect_rate: 1.2, kcat_cpu: 1.5, peak_rss_mb: 150.0 }),
];

/// The whole report for copies of `records` records.
pub(crate) fn report(figures: &[Figures], records: u64) -> String {
    let mut text = String::new();
    for (title, pick, goals) in &DIRECTIONS {
        let _ = writeln!(
            text,
            "\n{title:<16} {:>8} {:>12} {:>12} {:>10} {:>11}",
            "run", "rec/s", "rec/s net", "CPU s/1M", "peak RSS MB"
        );
        let mut medians = Vec::new();
        for Figures { arm, runs } in figures {
            let rows: Vec<Row> = runs.iter().map(|run| row(pick(run), records)).collect();
            for (index, row) in rows.iter().enumerate() {
                line(&mut text, arm.name(), &(index + 1).to_string(), row);
            }
            let median = median(&rows);
            line(&mut text, arm.name(), "median", &median);
            medians.push((*arm, median));
        }
        let of = |wanted: Arm| medians.iter().find(|(arm, _)| *arm == wanted).map(|(_, row)| *row);
        if let Some(ferry) = of(Arm::Ferry) {
            text += &verdicts(goals, ferry, of(Arm::Connect), of(Arm::Kcat));
        }
    }
    text.push_str("\nrec/s: from the order to copy to the last record; net: from the first record at the destination to the last.\n");
    text
}

fn row(measured: &Measured, records: u64) -> Row {
    let records = records as f64;
    Row {
        total_rate: records / measured.total.as_secs_f64(),
        net_rate: records / measured.net.as_secs_f64(),
        cpu_per_million: measured.usage.cpu.as_secs_f64() * 1e6 / records,
        peak_rss_mb: measured.usage.peak_rss_bytes as f64 / 1e6,
    }
}

/// The median of each column.
fn median(rows: &[Row]) -> Row {
    let column = |pick: fn(&Row) -> f64| {
        let mut values: Vec<f64> = rows.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).map_or(0.0, |middle| (middle + values[(values.len() - 1) / 2]) / 2.0)
    };
    Row {
        total_rate: column(|row| row.total_rate),
        net_rate: column(|row| row.net_rate),
        cpu_per_million: column(|row| row.cpu_per_million),
        peak_rss_mb: column(|row| row.peak_rss_mb),
    }
}

fn line(text: &mut String, arm: &str, run: &str, row: &Row) {
    let Row { total_rate, net_rate, cpu_per_million, peak_rss_mb } = row;
    let _ = writeln!(
        text,
        "  {arm:<14} {run:>8} {total_rate:>12.0} {net_rate:>12.0} {cpu_per_million:>10.2} {peak_rss_mb:>11.0}"
    );
}

fn verdicts(goals: &Goals, ferry: Row, connect: Option<Row>, kcat: Option<Row>) -> String {
    let mut text = String::new();
    let mut verdict = |met: bool, words: String| {
        let _ = writeln!(text, "  {:<6} {words}", if met { "met" } else { "MISSED" });
    };
    if let Some(connect) = connect {
        let (rate, cpu) = (ferry.total_rate / connect.total_rate, ferry.cpu_per_million / connect.cpu_per_million);
        let net = ferry.net_rate / connect.net_rate;
        let words = format!(
            "{rate:.2}x Kafka Connect's rec/s (goal: {:.1}x or more); net {net:.2}x, CPU {cpu:.2}x",
            goals.connect_rate
        );
        verdict(rate >= goals.connect_rate, words);
    }
    if let Some(kcat) = kcat {
        let (rate, cpu) = (ferry.total_rate / kcat.total_rate, ferry.cpu_per_million / kcat.cpu_per_million);
        let net = ferry.net_rate / kcat.net_rate;
        let words =
            format!("{cpu:.2}x kcat's CPU (goal: {:.1}x or less); rec/s {rate:.2}x, net {net:.2}x", goals.kcat_cpu);
        verdict(cpu <= goals.kcat_cpu, words);
    }
    let words = format!("{:.0} MB of memory at the peak (goal: below {:.0} MB)", ferry.peak_rss_mb, goals.peak_rss_mb);
    verdict(ferry.peak_rss_mb < goals.peak_rss_mb, words);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_met_at_their_bounds() {
        let goals = Goals { connect_rate: 2.5, kcat_cpu: 1.5, peak_rss_mb: 150.0 };
        let ferry = Row { total_rate: 250.0, net_rate: 250.0, cpu_per_million: 1.5, peak_rss_mb: 149.0 };
        let other = Row { total_rate: 100.0, net_rate: 100.0, cpu_per_million: 1.0, peak_rss_mb: 1.0 };
        assert!(!verdicts(&goals, ferry, Some(other), Some(other)).contains("MISSED"));
        let worse = Row { total_rate: 249.0, cpu_per_million: 1.51, peak_rss_mb: 150.0, ..ferry };
        assert_eq!(verdicts(&goals, worse, Some(other), Some(other)).matches("MISSED").count(), 3);
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        let rows = [1.0, 3.0].map(|rate| Row { total_rate: rate, ..Row::default() });
        assert_eq!(median(&rows).total_rate, 2.0);
        assert_eq!(median(&[rows[1]]).total_rate, 3.0);
    }
}
