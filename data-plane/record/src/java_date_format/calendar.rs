//! Java's `GregorianCalendar` in UTC: Julian before 15 October 1582, weeks from Sunday, the first of a year being the one with
//! its first day. Moments to fields, and fields, whichever were set last, to moments.

use crate::exact::GREGORIAN_START_MS;
use crate::java_text;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;
/// The first Gregorian day, since the epoch.
const GREGORIAN_START: i64 = GREGORIAN_START_MS / DAY_MS;
const GREGORIAN_YEAR: i32 = 1582;

/// A moment in fields.
pub(super) struct Moment {
    /// 0 is the year 1 BC.
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    pub(super) day: i64,
    /// From 0, Sunday.
    pub(super) weekday: i64,
    pub(super) day_of_year: i64,
    pub(super) week_of_year: i64,
    pub(super) week_of_month: i64,
    /// Which of its weekday in the month it is, from 1.
    pub(super) weekday_in_month: i64,
    pub(super) week_year: i64,
    pub(super) millis_of_day: i64,
}

impl Moment {
    pub(super) fn at(millis: i64) -> Self {
        let epoch_day = millis.div_euclid(DAY_MS);
        let (year, month, day, weekday) = java_text::calendar(epoch_day);
        let is_gregorian = epoch_day >= GREGORIAN_START && year > i64::from(GREGORIAN_YEAR);
        let new_year = first_of_month(year, 1, is_gregorian);
        // Of October 1582 ten days are missing: the 15th is its fifth day.
        let is_cut = year == i64::from(GREGORIAN_YEAR) && month == 10;
        let month_start = if is_cut { first_of_month(year, month, false) } else { epoch_day - day + 1 };
        let week = |first_day: i64| (epoch_day - sunday_before(first_day)) / 7 + 1;
        let next_new_year = first_of_month(year + 1, 1, epoch_day >= GREGORIAN_START);
        let is_in_next = epoch_day >= sunday_before(next_new_year);
        Self {
            year,
            month,
            day,
            weekday,
            day_of_year: epoch_day - new_year + 1,
            week_of_year: if is_in_next { 1 } else { week(new_year) },
            week_of_month: week(month_start),
            weekday_in_month: (epoch_day - month_start) / 7 + 1,
            week_year: year + i64::from(is_in_next),
            millis_of_day: millis.rem_euclid(DAY_MS),
        }
    }
}

/// The Sunday on or before a day.
fn sunday_before(epoch_day: i64) -> i64 {
    weekday_before(epoch_day, 1)
}

/// The day of a weekday (1 is Sunday; others count on, modulo 7) on or before a day.
fn weekday_before(epoch_day: i64, weekday: i64) -> i64 {
    epoch_day - (epoch_day + 4 - (weekday - 1)).rem_euclid(7)
}

/// Days from the epoch to the first day of a month.
pub(crate) fn first_of_month(year: i64, month: i64, gregorian: bool) -> i64 {
    let year = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let days = 365 * year + year.div_euclid(4) + (153 * month_from_march + 2) / 5;
    if gregorian { days - year.div_euclid(100) + year.div_euclid(400) - 719_468 } else { days - 719_470 }
}

/// The same moment of another year; of 29 February, where there is none, the day before it.
pub(super) fn years_later(millis: i64, years: i64) -> i64 {
    let moment = Moment::at(millis);
    let year = moment.year + years;
    let gregorian = year > i64::from(GREGORIAN_YEAR);
    let next_month = if moment.month == 12 { (year + 1, 1) } else { (year, moment.month + 1) };
    let first = first_of_month(year, moment.month, gregorian);
    let last = first_of_month(next_month.0, next_month.1, gregorian) - 1;
    (first + moment.day - 1).min(last).wrapping_mul(DAY_MS).wrapping_add(moment.millis_of_day)
}

/// Fields that a text can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Field {
    /// 0 is BC, 1 is AD.
    Era,
    Year,
    WeekYear,
    /// From 0.
    Month,
    WeekOfYear,
    WeekOfMonth,
    DayOfMonth,
    DayOfYear,
    /// From 1, Sunday.
    DayOfWeek,
    DayOfWeekInMonth,
    AmPm,
    Hour,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    /// Milliseconds.
    ZoneOffset,
}

/// Values of fields, each with the order in which it was set: of fields that contradict each other, the last counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// 0 is not set.
    stamps: [u32; 17],
    values: [i32; 17],
    last_stamp: u32,
}

impl Fields {
    pub(super) fn set(&mut self, field: Field, value: i32) {
        self.last_stamp += 1;
        self.stamps[field as usize] = self.last_stamp;
        self.values[field as usize] = value;
    }

    /// Moves years on that are set.
    pub(super) fn add_years(&mut self, years: i32) {
        for field in [Field::Year, Field::WeekYear] {
            self.values[field as usize] = self.values[field as usize].wrapping_add(years);
        }
    }

    /// Whether a moment has all fields that were set, as the Gregorian calendar has them.
    pub(super) fn are_of(&self, millis: i64) -> bool {
        let Some(local) = millis.checked_add(self.value(Field::ZoneOffset).into()) else { return false };
        let moment = Moment::at(local);
        let (hours, of_hour) = (moment.millis_of_day / 3_600_000, moment.millis_of_day % 3_600_000);
        let found = [
            (Field::Era, 1),
            (Field::Year, moment.year),
            (Field::WeekYear, moment.week_year),
            (Field::Month, moment.month - 1),
            (Field::WeekOfYear, moment.week_of_year),
            (Field::WeekOfMonth, moment.week_of_month),
            (Field::DayOfMonth, moment.day),
            (Field::DayOfYear, moment.day_of_year),
            (Field::DayOfWeek, moment.weekday + 1),
            (Field::DayOfWeekInMonth, moment.weekday_in_month),
            (Field::AmPm, hours / 12),
            (Field::Hour, hours % 12),
            (Field::HourOfDay, hours),
            (Field::Minute, of_hour / 60_000),
            (Field::Second, of_hour / 1_000 % 60),
            (Field::Millisecond, of_hour % 1_000),
        ];
        local >= GREGORIAN_START_MS
            && found.iter().all(|(field, found)| self.stamp(*field) == 0 || i64::from(self.value(*field)) == *found)
    }

    fn stamp(&self, field: Field) -> u32 {
        self.stamps[field as usize]
    }

    fn value(&self, field: Field) -> i32 {
        self.values[field as usize]
    }

    fn or(&self, field: Field, default: i32) -> i32 {
        if self.stamp(field) > 0 { self.value(field) } else { default }
    }

    /// When both fields were there, or 0.
    fn both(&self, one: Field, other: Field) -> u32 {
        let (one, other) = (self.stamp(one), self.stamp(other));
        if one == 0 || other == 0 { 0 } else { one.max(other) }
    }

    /// Milliseconds since the epoch.
    pub(super) fn resolve(&self) -> i64 {
        let time = self.time_of_day();
        let carry = time.div_euclid(DAY_MS);
        let by_week_year = self.stamp(Field::WeekYear) > self.stamp(Field::Year);
        let day = if by_week_year { self.week_date() + carry } else { self.day(carry) };
        day.wrapping_mul(DAY_MS)
            .wrapping_add(time.rem_euclid(DAY_MS))
            .wrapping_sub(i64::from(self.value(Field::ZoneOffset)))
    }

    /// Milliseconds from midnight, which may be more than a day or less than none.
    fn time_of_day(&self) -> i64 {
        let of_day = self.stamp(Field::HourOfDay);
        let mut of_half = self.both(Field::Hour, Field::AmPm);
        if of_day == 0 && of_half == 0 {
            of_half = self.stamp(Field::Hour).max(self.stamp(Field::AmPm));
        }
        let value = |field| i64::from(self.value(field));
        let hours =
            if of_half > of_day { value(Field::Hour) + 12 * value(Field::AmPm) } else { value(Field::HourOfDay) };
        ((hours * 60 + value(Field::Minute)) * 60 + value(Field::Second)) * 1_000 + value(Field::Millisecond)
    }

    /// The day that week year, week and weekday say.
    fn week_date(&self) -> i64 {
        let mut week = i64::from(self.or(Field::WeekOfYear, 1));
        let mut weekday = i64::from(self.or(Field::DayOfWeek, 1));
        // Weekdays from 8 on, or below 1, are ISO ones (1 is Monday) of other weeks.
        if weekday >= 8 {
            weekday -= 1;
            week += weekday / 7;
            weekday = (weekday % 7 + 1) % 7 + 1;
        } else if weekday <= 0 {
            let weeks = (7 - weekday) / 7;
            week -= weeks;
            weekday = (weekday + 7 * weeks) % 7 + 1;
        }
        let mut start = Self::default();
        start.set(Field::Era, self.or(Field::Era, 1));
        start.set(Field::Year, self.value(Field::WeekYear));
        start.set(Field::WeekOfYear, 1);
        start.set(Field::DayOfWeek, 1);
        // Java counts these days in 32 bits.
        let days = (week as i32).wrapping_sub(1).wrapping_mul(7).wrapping_add(weekday as i32 - 1);
        start.day(0) + i64::from(days)
    }

    /// The day that all other fields say, moved by days that come from the time of day.
    fn day(&self, carry: i64) -> i64 {
        let year = self.or(Field::Year, 1970);
        let year = if self.or(Field::Era, 1) == 0 { 1_i32.wrapping_sub(year) } else { year };
        let rule = self.rule();
        let day = |gregorian| rule.day(self, year, gregorian) + carry;
        let (gregorian, julian) = (day(true), day(false));
        if year > GREGORIAN_YEAR && gregorian >= GREGORIAN_START {
            return gregorian;
        }
        if year < GREGORIAN_YEAR && julian < GREGORIAN_START {
            return julian;
        }
        // Around the change of calendars: days counted from the start of the year, and days that never were, are Julian ones.
        let counts_from_new_year = matches!(rule, Rule::DayOfYear | Rule::WeekOfYear);
        let gregorian = if year < GREGORIAN_YEAR { julian } else { gregorian };
        if !counts_from_new_year && gregorian >= GREGORIAN_START { gregorian } else { julian }
    }

    /// Which fields count for the date: those that were complete last.
    fn rule(&self) -> Rule {
        let stamp = |field| self.stamp(field);
        let weekday = stamp(Field::DayOfWeek);
        let mut of_month = stamp(Field::DayOfMonth);
        let mut week_of_month = self.both(Field::WeekOfMonth, Field::DayOfWeek);
        let mut in_month = self.both(Field::DayOfWeekInMonth, Field::DayOfWeek);
        let of_year = stamp(Field::DayOfYear);
        let mut week_of_year = self.both(Field::WeekOfYear, Field::DayOfWeek);
        let mut best = [of_month, week_of_month, in_month, of_year, week_of_year].into_iter().fold(0, u32::max);
        if best == 0 {
            // None is complete: a week or a weekday alone.
            week_of_month = stamp(Field::WeekOfMonth);
            in_month = stamp(Field::DayOfWeekInMonth).max(weekday);
            week_of_year = stamp(Field::WeekOfYear);
            best = week_of_month.max(in_month).max(week_of_year);
            if best == 0 {
                of_month = stamp(Field::Month);
                best = of_month;
            }
        }
        if best == of_month {
            return Rule::DayOfMonth;
        }
        let is_week_of_month = best == week_of_month && stamp(Field::WeekOfMonth) >= stamp(Field::WeekOfYear);
        let is_in_month = best == in_month && stamp(Field::DayOfWeekInMonth) >= stamp(Field::WeekOfYear);
        if is_week_of_month || is_in_month {
            let prefers_week = if week_of_month == in_month {
                stamp(Field::WeekOfMonth) >= stamp(Field::DayOfWeekInMonth)
            } else {
                best == week_of_month
            };
            return if prefers_week { Rule::WeekOfMonth } else { Rule::DayOfWeekInMonth };
        }
        if best == of_year { Rule::DayOfYear } else { Rule::WeekOfYear }
    }
}

/// How a date is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    DayOfMonth,
    WeekOfMonth,
    DayOfWeekInMonth,
    DayOfYear,
    WeekOfYear,
}

impl Rule {
    /// The day in one of the two calendars.
    fn day(self, fields: &Fields, year: i32, gregorian: bool) -> i64 {
        let value = |field| i64::from(fields.value(field));
        let has_weekday = fields.stamp(Field::DayOfWeek) > 0;
        let weekday = i64::from(fields.or(Field::DayOfWeek, 1));
        if matches!(self, Self::DayOfYear | Self::WeekOfYear) {
            let new_year = first_of_month(year.into(), 1, gregorian);
            if self == Self::DayOfYear {
                return new_year + value(Field::DayOfYear) - 1;
            }
            return in_week(new_year, weekday, has_weekday) + 7 * (value(Field::WeekOfYear) - 1);
        }
        let month = fields.value(Field::Month);
        // Java's years have 32 bits and wrap.
        let year = year.wrapping_add(month.div_euclid(12));
        let (year, month) = (i64::from(year), i64::from(month.rem_euclid(12)) + 1);
        let first = first_of_month(year, month, gregorian);
        match self {
            Self::WeekOfMonth => in_week(first, weekday, has_weekday) + 7 * (value(Field::WeekOfMonth) - 1),
            Self::DayOfWeekInMonth => match i64::from(fields.or(Field::DayOfWeekInMonth, 1)) {
                count @ 0.. => weekday_before(first + 7 * count - 1, weekday),
                count => {
                    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                    let length = first_of_month(next.0, next.1, gregorian) - first;
                    weekday_before(first + length + 7 * (count + 1) - 1, weekday)
                }
            },
            _ => first + i64::from(fields.or(Field::DayOfMonth, 1)) - 1,
        }
    }
}

/// The day of a weekday in the week of a day.
fn in_week(day: i64, weekday: i64, has_weekday: bool) -> i64 {
    let sunday = sunday_before(day);
    if has_weekday { weekday_before(sunday + 6, weekday) } else { sunday }
}
