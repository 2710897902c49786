//! The transform chain: `transforms`, `predicates` and their keys (KIP-66, KIP-585), compiled for one task.

use data_plane_connector_api::{
    Config, ConnectError, Factory, Losses, Outcome, PluginKind, Plugins, Predicate, Selected, Stage, Transformation,
};
use data_plane_record::RecordBatch;

use super::failures::{ErrorCounts, Retrier, sleep_for};
use super::{ErrorPolicy, Flow, Tolerance};

struct Link {
    alias: Box<str>,
    class: String,
    transform: Box<dyn Transformation>,
    predicate: Option<Condition>,
}

struct Condition {
    predicate: Box<dyn Predicate>,
    negate: bool,
}

/// The transforms of a task, in order.
pub struct Chain {
    links: Vec<Link>,
    matches: Vec<bool>,
}

/// How far a batch is within a chain.
#[derive(Debug, Default)]
pub struct ChainProgress {
    link: usize,
    is_applied: bool,
    /// The first row whose outcome in this link is not settled.
    row: usize,
    retry: Option<usize>,
    /// Where errors are not tolerated: the first row that failed. Later ones do not matter.
    fatal: Option<usize>,
}

impl Chain {
    /// Makes and configures the transforms that a connector's config asks for.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn new(plugins: &Plugins, config: &Config) -> Result<Self, ConnectError> {
        let mut links = Vec::new();
        for alias in aliases(config, "transforms") {
            links.push(link(plugins, config, &alias)?);
        }
        Ok(Self { links, matches: Vec::new() })
    }

    /// Sends the rows whose outcome is ok through the transforms. After [`Flow::Wait`] it is called again with the same progress.
    pub fn run(
        &mut self,
        batch: &mut RecordBatch,
        outcomes: &mut [Outcome],
        progress: &mut ChainProgress,
        policy: &ErrorPolicy,
        retrier: &mut Retrier,
        (now_ms, counts): (i64, &mut ErrorCounts),
    ) -> Flow {
        while let Some(link) = self.links.get_mut(progress.link) {
            if !progress.is_applied {
                link.apply(batch, &mut self.matches, outcomes);
                progress.is_applied = true;
            } else if let Some(row) = progress.retry.take() {
                link.apply_again(batch, row, &mut self.matches, outcomes);
            }
            for row in progress.row..progress.fatal.unwrap_or(outcomes.len()) {
                // An alias says that the failure is an earlier link's.
                let Outcome::Failed(failure) = &mut outcomes[row] else { continue };
                if failure.stage != Stage::Transformation || failure.transform.is_some() {
                    continue;
                }
                if let Some(wait) = retrier.failed((row, progress.link), &failure.cause, now_ms, counts) {
                    outcomes[row] = Outcome::Ok;
                    (progress.row, progress.retry) = (row, Some(row));
                    return Flow::Wait(sleep_for(wait));
                }
                failure.transform = Some(link.alias.clone());
                failure.class.clone_from(&link.class);
                if policy.tolerance == Tolerance::None {
                    progress.fatal = Some(row);
                    break;
                }
            }
            (progress.link, progress.row, progress.is_applied) = (progress.link + 1, 0, false);
        }
        Flow::Done
    }
}

impl Link {
    fn apply(&mut self, batch: &mut RecordBatch, matches: &mut Vec<bool>, outcomes: &mut [Outcome]) {
        let Some(condition) = &mut self.predicate else {
            return self.transform.apply(batch, Selected::All, outcomes);
        };
        matches.clear();
        matches.resize(outcomes.len(), false);
        condition.predicate.test(batch, matches, outcomes);
        if condition.negate {
            matches.iter_mut().for_each(|matches| *matches = !*matches);
        }
        self.transform.apply(batch, Selected::Rows(matches), outcomes);
    }

    /// For one row that failed. The others have been transformed: neither the predicate nor the transform may see them again.
    fn apply_again(&mut self, batch: &mut RecordBatch, row: usize, matches: &mut Vec<bool>, outcomes: &mut [Outcome]) {
        let bytes = batch.arena.len();
        let mut only: Vec<Outcome> = vec![Outcome::Dropped; outcomes.len()];
        only[row] = Outcome::Ok;
        matches.clear();
        matches.resize(outcomes.len(), false);
        matches[row] = true;
        if let Some(condition) = &mut self.predicate {
            matches[row] = false;
            condition.predicate.test(batch, matches, &mut only);
            let is_match = matches[row] != condition.negate;
            matches.fill(false);
            matches[row] = is_match;
        }
        self.transform.apply(batch, Selected::Rows(matches), &mut only);
        outcomes[row] = std::mem::take(&mut only[row]);
        if matches!(outcomes[row], Outcome::Failed(_)) {
            // The row is as it was: what the attempt wrote would pile up from retry to retry.
            batch.arena.truncate(bytes);
        }
    }
}

/// A list of aliases in a connector's config.
pub(crate) fn aliases(config: &Config, key: &str) -> Vec<String> {
    let list = config.get(key).map_or("", |list| list.trim());
    list.split(',').map(str::trim).filter(|alias| !alias.is_empty()).map(str::to_owned).collect()
}

/// The keys under `prefix`, without it.
pub(crate) fn under(config: &Config, prefix: &str) -> Config {
    let keys = config.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())));
    keys.collect()
}

fn link(plugins: &Plugins, config: &Config, alias: &str) -> Result<Link, ConnectError> {
    let prefix = format!("transforms.{alias}.");
    let type_key = format!("{prefix}type");
    let class = required(config, &type_key)?;
    let found = plugins.find(PluginKind::Transformation, class);
    let plugin = found.map_err(|unknown| ConnectError::config_value(&type_key, class, &unknown.to_string()))?;
    let Factory::Transformation(make) = &plugin.factory else {
        return Err(ConnectError::config_value(&type_key, class, "is not a transformation"));
    };
    let mut transform = make();
    let mut own = under(config, &prefix);
    Losses::hand_on(config, &mut own);
    transform.configure(&own)?;
    let predicate = match config.get(&format!("{prefix}predicate")).filter(|alias| !alias.is_empty()) {
        None => None,
        Some(name) => {
            let negate_key = format!("{prefix}negate");
            let negate = config.get(&negate_key).map_or(Ok(false), |text| flag(&negate_key, text))?;
            Some(Condition { predicate: condition(plugins, config, &prefix, name)?, negate })
        }
    };
    Ok(Link { alias: alias.into(), class: plugin.class.clone(), transform, predicate })
}

fn condition(plugins: &Plugins, config: &Config, of: &str, alias: &str) -> Result<Box<dyn Predicate>, ConnectError> {
    if !aliases(config, "predicates").iter().any(|known| known == alias) {
        let key = format!("{of}predicate");
        let why = "no such predicate: name it in predicates and give its type";
        return Err(ConnectError::connect(format!("Invalid value {alias} for configuration {key}: {why}")));
    }
    let prefix = format!("predicates.{alias}.");
    let type_key = format!("{prefix}type");
    let class = required(config, &type_key)?;
    let found = plugins.find(PluginKind::Predicate, class);
    let plugin = found.map_err(|unknown| ConnectError::config_value(&type_key, class, &unknown.to_string()))?;
    let Factory::Predicate(make) = &plugin.factory else {
        return Err(ConnectError::config_value(&type_key, class, "is not a predicate"));
    };
    let mut predicate = make();
    predicate.configure(&under(config, &prefix))?;
    Ok(predicate)
}

fn required<'a>(config: &'a Config, key: &str) -> Result<&'a str, ConnectError> {
    config.get(key).map(|class| class.trim()).filter(|class| !class.is_empty()).ok_or_else(|| missing(key))
}

/// What Kafka says of a key that is required and not there.
pub(crate) fn missing(key: &str) -> ConnectError {
    ConnectError::config(format!("Missing required configuration \"{key}\" which has no default value."))
}

fn flag(key: &str, text: &str) -> Result<bool, ConnectError> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ConnectError::config_value(key, text, "Expected value to be either true or false")),
    }
}
