//! Versions of a connector's plugin (KIP-891): `connector.plugin.version`, in Maven's syntax for ranges.
//!
//! It must agree with what the workers' validation accepts, so it refuses nothing: what cannot be read matches nothing,
//! and the worker's validation says so in Kafka Connect's words.

use std::cmp::Ordering;

/// The versions that a connector may run with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Versions(Vec<Interval>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    low: Bound,
    high: Bound,
}

/// One end of an interval.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Bound {
    /// Empty: no bound.
    version: String,
    is_included: bool,
}

impl Versions {
    /// Reads `1.2` (exactly that one), `[1.0,2.0)`, `(,1.0],[1.2,)`; None for `latest`, which any version is.
    pub fn parse(text: &str) -> Option<Versions> {
        match text.trim() {
            "latest" => None,
            "" => Some(Versions(Vec::new())),
            ranges if ranges.starts_with(['[', '(']) => Some(Versions(intervals(ranges))),
            bare => Some(Versions(intervals(&format!("[{bare},{bare}]")))),
        }
    }

    /// Whether a version is one of them.
    pub fn contains(&self, version: &str) -> bool {
        self.0.iter().any(|interval| interval.contains(version))
    }
}

impl Interval {
    fn contains(&self, version: &str) -> bool {
        let beyond = |bound: &Bound, inwards: Ordering| {
            bound.version.is_empty()
                || match compare(version, &bound.version) {
                    Ordering::Equal => bound.is_included,
                    other => other == inwards,
                }
        };
        beyond(&self.low, Ordering::Greater) && beyond(&self.high, Ordering::Less)
    }
}

/// The intervals up to the first that cannot be read.
fn intervals(ranges: &str) -> Vec<Interval> {
    let mut found = Vec::new();
    let mut rest = ranges;
    while let Some(after) = rest.strip_prefix(['[', '(']) {
        let Some(end) = after.find([']', ')']) else { break };
        let (low, high) = after[..end].split_once(',').unwrap_or((&after[..end], &after[..end]));
        found.push(Interval {
            low: Bound { version: low.trim().to_owned(), is_included: rest.starts_with('[') },
            high: Bound { version: high.trim().to_owned(), is_included: after[end..].starts_with(']') },
        });
        rest = after[end + 1..].trim_start_matches([',', ' ']);
    }
    found
}

/// Numbers by value, words by text and before numbers; missing parts are zeros.
fn compare(a: &str, b: &str) -> Ordering {
    fn parts(text: &str) -> Vec<Result<u64, String>> {
        text.split(['.', '-', '_']).map(|part| part.parse::<u64>().map_err(|_| part.to_lowercase())).collect()
    }
    let (a, b) = (parts(a), parts(b));
    let zero = Ok(0);
    (0..a.len().max(b.len()))
        .map(|at| match (a.get(at).unwrap_or(&zero), b.get(at).unwrap_or(&zero)) {
            (Ok(a), Ok(b)) => a.cmp(b),
            (Err(a), Err(b)) => a.cmp(b),
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same table as beside the workers' validation, which this must agree with.
    #[test]
    fn ranges_are_read_as_the_workers_read_them() {
        for (ranges, is_in) in [
            ("[4.3.0,4.3.0]", true),
            ("[4.3]", true),
            ("[4.0,5.0)", true),
            ("[4.0,4.3.0)", false),
            ("(4.3.0,)", false),
            ("(,4.3]", true),
            ("(,1.0],[4.2,)", true),
            ("(,1.0],[4.4,)", false),
            ("[4.3.0-rc1]", false),
            ("[4.3.0-rc1,)", true),
            ("nonsense[", false),
            ("[1", false),
            ("4.3", true),
            (" 4.3.0 ", true),
            ("4.2", false),
            ("", false),
            ("  ", false),
        ] {
            let versions = Versions::parse(ranges).expect("not every version");
            assert_eq!(versions.contains("4.3.0"), is_in, "{ranges}");
        }
        assert_eq!(Versions::parse(" latest "), None);
    }
}
