//! What holds for transforms and any records: with and without schema, with values that disagree with their schema.

mod any;
mod lossy;
mod properties;
mod speed;
