//! `cargo golden`: runs the recorded cases, prints counts by component, ends with `N passed, N failed`.
//!
//! An argument is a part of ids or components: only those cases are run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::process::ExitCode;

/// Differences printed at most.
const SHOWN: usize = 200;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let cases = match deploy_golden::load() {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("the recorded cases cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    let is_wanted = |case: &serde_json::Value| {
        let names = [&case["id"], &case["component"]].map(|name| name.as_str().unwrap_or_default().to_owned());
        wanted.is_empty() || wanted.iter().any(|part| names.iter().any(|name| name.contains(part)))
    };
    let summary = deploy_golden::run(cases.into_iter().filter(is_wanted));
    for (id, difference) in summary.failures.iter().take(SHOWN) {
        println!("{id}: {difference}");
    }
    let (mut passed, mut failed) = (0, 0);
    for (component, count) in &summary.by_component {
        println!("{:>6} passed {:>6} failed  {component}", count.passed, count.failed);
        passed += count.passed;
        failed += count.failed;
    }
    for (reason, count) in &summary.on_purpose {
        println!("{count:>6} differ on purpose: {reason}");
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
