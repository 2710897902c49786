//! Ferry's data model: schemas, values, records in batches.
