//! Versions of plugins (KIP-891): `connector.plugin.version` and its like, in Maven's syntax for ranges.

use std::cmp::Ordering;

use data_plane_connector_api::Plugin;

/// Why a plugin is not of the version wanted; `None` if it is, or none is.
pub(super) fn mismatch(plugin: &Plugin, wanted: Option<&String>) -> Option<String> {
    let wanted = wanted.map(|wanted| wanted.trim()).filter(|wanted| *wanted != "latest")?;
    // A bare version is exactly that one; an empty one is none.
    let range = if wanted.starts_with(['[', '(']) { wanted.to_owned() } else { format!("[{wanted},{wanted}]") };
    (wanted.is_empty() || !contains(&range, &plugin.version)).then(|| {
        format!(
            "Plugin {} not found that matches the version range {range}, available versions: [{}]",
            plugin.class, plugin.version
        )
    })
}

/// Whether a version lies in one of the ranges, such as `[4.0,5.0)` or `(,1.0],[1.2,)`.
fn contains(ranges: &str, version: &str) -> bool {
    let mut rest = ranges.trim();
    while let Some(after) = rest.strip_prefix(['[', '(']) {
        let Some(end) = after.find([']', ')']) else { return false };
        let (low, high) = after[..end].split_once(',').unwrap_or((&after[..end], &after[..end]));
        let includes = |bracket: char, at: Option<char>| at == Some(bracket);
        let is_above = low.trim().is_empty()
            || match compare(version, low.trim()) {
                Ordering::Greater => true,
                Ordering::Equal => includes('[', rest.chars().next()),
                Ordering::Less => false,
            };
        let is_below = high.trim().is_empty()
            || match compare(version, high.trim()) {
                Ordering::Less => true,
                Ordering::Equal => includes(']', after[end..].chars().next()),
                Ordering::Greater => false,
            };
        if is_above && is_below {
            return true;
        }
        rest = after[end + 1..].trim_start_matches([',', ' ']);
    }
    false
}

/// Numbers by value, words by text and before numbers; missing parts are zeros.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let parts = text.split(['.', '-', '_']).map(|part| part.parse::<u64>().map_err(|_| part.to_lowercase()));
        parts.collect::<Vec<_>>()
    };
    let (a, b) = (parts(a), parts(b));
    for at in 0..a.len().max(b.len()) {
        let part = |parts: &[Result<u64, String>]| parts.get(at).cloned().unwrap_or(Ok(0));
        let order = match (part(&a), part(&b)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Err(a), Err(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Greater,
            (Err(_), Ok(_)) => Ordering::Less,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_mavens() {
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
        ] {
            assert_eq!(contains(ranges, "4.3.0"), is_in, "{ranges}");
        }
    }
}
