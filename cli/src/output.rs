//! What goes to standard output: tables for people, JSON and YAML for programs. The only place that writes it.

pub(crate) mod describe;
pub(crate) mod difference;
pub(crate) mod revisions;
pub(crate) mod shapes;
pub(crate) mod table;
pub(crate) mod time;

use crate::{args::Format, failure::Failure};
use serde::Serialize;
use std::io::Write;
use table::Table;

/// Where and how to print.
pub(crate) struct Output<'a> {
    pub(crate) format: Format,
    /// The reader sees colours.
    pub(crate) colours: bool,
    out: &'a mut dyn Write,
}

impl<'a> Output<'a> {
    pub(crate) fn new(format: Format, out: &'a mut dyn Write, colours: bool) -> Self {
        Output { format, colours, out }
    }

    /// A line for people.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}")?;
        self.out.flush()?;
        Ok(())
    }

    /// A table for people, or the value for programs.
    pub(crate) fn show(&mut self, table: impl FnOnce() -> Table, value: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.line(&table().render(true)),
            Format::Json => self.json(value, true),
            Format::Yaml => self.yaml(value),
        }
    }

    /// One of many values that come in time: a line of JSON, or a document of YAML.
    pub(crate) fn event(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Yaml => {
                self.line("---")?;
                self.yaml(value)
            }
            Format::Json | Format::Table => self.json(value, false),
        }
    }

    /// The outcome of a change: a line for people, or a value for programs.
    pub(crate) fn done(&mut self, outcomes: &[shapes::Outcome]) -> Result<(), Failure> {
        match self.format {
            Format::Table => outcomes.iter().try_for_each(|outcome| self.line(&outcome.to_string())),
            Format::Json => self.json(outcomes, true),
            Format::Yaml => self.yaml(outcomes),
        }
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized), pretty: bool) -> Result<(), Failure> {
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.line(&text.map_err(std::io::Error::other)?)
    }

    fn yaml(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
        let text = serde_yaml_ng::to_string(value).map_err(std::io::Error::other)?;
        self.line(text.trim_end())
    }

    /// The writer, for what is neither a table nor a value.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        self.out
    }
}
