//! Moments as text.

use std::fmt::Write as _;

use super::calendar::Moment;
use super::compile::Part;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The text of a moment.
pub(super) fn format(parts: &[Part], millis: i64) -> String {
    let moment = Moment::at(millis);
    let mut out = String::with_capacity(32);
    for part in parts {
        match *part {
            Part::Literal(character) => out.push(character),
            Part::Field(letter, count) => field(&moment, letter, count, &mut out),
        }
    }
    out
}

/// A name, cut to three letters unless it is asked for in full.
fn name(name: &'static str, count: usize) -> &'static str {
    if count >= 4 { name } else { &name[..3] }
}

fn field(moment: &Moment, letter: u8, count: usize, out: &mut String) {
    let hour = moment.millis_of_day / 3_600_000;
    let number = match letter {
        b'G' => return out.push_str(if moment.year > 0 { "AD" } else { "BC" }),
        b'M' | b'L' if count >= 3 => return out.push_str(name(MONTHS[moment.month as usize - 1], count)),
        b'E' => return out.push_str(name(WEEKDAYS[moment.weekday as usize], count)),
        b'a' => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
        b'z' => return out.push_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" }),
        b'Z' => return out.push_str("+0000"),
        b'X' => return out.push('Z'),
        b'y' | b'Y' => {
            let year = match letter {
                b'Y' => moment.week_year,
                _ if moment.year > 0 => moment.year,
                _ => 1 - moment.year,
            };
            if count == 2 { year % 100 } else { year }
        }
        b'M' | b'L' => moment.month,
        b'd' => moment.day,
        b'D' => moment.day_of_year,
        b'F' => moment.weekday_in_month,
        b'w' => moment.week_of_year,
        b'W' => moment.week_of_month,
        b'u' => (moment.weekday + 6) % 7 + 1,
        b'H' => hour,
        b'k' => (hour + 23) % 24 + 1,
        b'K' => hour % 12,
        b'h' => (hour + 11) % 12 + 1,
        b'm' => moment.millis_of_day / 60_000 % 60,
        b's' => moment.millis_of_day / 1_000 % 60,
        _ => moment.millis_of_day % 1_000,
    };
    // Padding does not count the sign.
    let sign = if number < 0 { "-" } else { "" };
    let _ = write!(out, "{sign}{:0count$}", number.unsigned_abs());
}
