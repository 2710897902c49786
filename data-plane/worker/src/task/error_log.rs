//! `errors.log.enable`: one line a failed record.

use data_plane_connector_api::Failure;

/// Logs a record that failed for good. `record` says which one, or is empty.
pub(super) fn log_failure(connector: &str, task: u32, record: &str, failure: &Failure) {
    let cause = &failure.cause;
    tracing::error!(
        connector,
        task,
        stage = failure.stage.name(),
        class = %failure.class,
        transform = failure.transform.as_deref().unwrap_or_default(),
        record,
        cause = %format_args!("{}: {}", cause.class, one_line(&cause.message)),
        "a record failed"
    );
}

/// A text without line breaks, shortened where it is long.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 1000;
    let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() { line + "…" } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_bounded() {
        assert_eq!(one_line("a\nb"), "a b");
        assert_eq!(one_line(&"é".repeat(2000)).chars().count(), 1001);
    }
}
