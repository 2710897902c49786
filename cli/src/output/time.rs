//! Times for people.

use prost_types::Timestamp;
use std::time::SystemTime;

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// How long ago, roughly: 12s, 5m, 3h, 2d; nothing if it is not known.
pub(crate) fn age(then: Option<&Timestamp>, now: &Timestamp) -> String {
    let Some(then) = then else {
        return "-".to_owned();
    };
    let seconds = (now.seconds - then.seconds).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// RFC 3339, in UTC.
pub(crate) fn text(time: &Timestamp) -> String {
    time.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rough() {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        for (seconds, expected) in [(-5, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(age(Some(&at(0)), &at(seconds)), expected);
        }
        assert_eq!(age(None, &at(0)), "-");
        assert_eq!(text(&Timestamp { seconds: 1_700_000_000, nanos: 0 }), "2023-11-14T22:13:20Z");
    }
}
