//! What a transform derives from a schema, kept by the schema's pointer.

use std::sync::Arc;

use data_plane_connector_api::ConnectError;
use data_plane_record::Schema;

/// As many schemas as Connect's own caches hold.
const LIMIT: usize = 16;

/// At most [`LIMIT`] results; of more, the oldest goes. It holds the schemas, so that their addresses are not used again.
#[derive(Debug)]
pub(crate) struct SchemaCache<T> {
    entries: Vec<(Arc<Schema>, T)>,
    oldest: usize,
}

impl<T> Default for SchemaCache<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), oldest: 0 }
    }
}

impl<T> SchemaCache<T> {
    /// The result for a schema, made if it is not there. Errors are not kept.
    pub(crate) fn get(
        &mut self,
        schema: &Arc<Schema>,
        make: impl FnOnce(&Arc<Schema>) -> Result<T, ConnectError>,
    ) -> Result<&T, ConnectError> {
        let known = self.entries.iter().position(|(known, _)| Arc::ptr_eq(known, schema));
        let at = match known {
            Some(at) => at,
            None => self.insert(Arc::clone(schema), make(schema)?),
        };
        Ok(&self.entries[at].1)
    }

    fn insert(&mut self, schema: Arc<Schema>, made: T) -> usize {
        if self.entries.len() < LIMIT {
            self.entries.push((schema, made));
            return self.entries.len() - 1;
        }
        let at = self.oldest;
        self.entries[at] = (schema, made);
        self.oldest = (at + 1) % LIMIT;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_plane_record::SchemaType;

    #[test]
    fn the_oldest_goes_and_errors_are_not_kept() {
        let schemas: Vec<_> =
            (0..LIMIT as i32 + 2).map(|n| Schema::builder(SchemaType::Int8).version(n).build()).collect();
        let mut cache = SchemaCache::default();
        for schema in &schemas {
            assert_eq!(cache.get(schema, |schema| Ok(schema.version)), Ok(&schema.version));
        }
        assert_eq!(cache.entries.len(), LIMIT);
        let refused = || ConnectError::data("asked to make it");
        assert_eq!(cache.get(&schemas[2], |_| Err(refused())), Ok(&Some(2)));
        assert_eq!(cache.get(&schemas[1], |_| Err(refused())), Err(refused()));
        assert_eq!(cache.get(&schemas[1], |_| Ok(None)), Ok(&None));
    }
}
