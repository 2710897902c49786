//! The traits that connector, converter and transformation authors implement.
