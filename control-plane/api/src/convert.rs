//! Between wire messages and the service's types. Wire types stop here.

pub(crate) mod connector;
pub(crate) mod names;
pub(crate) mod plugin;
pub(crate) mod request;
pub(crate) mod revision;
pub(crate) mod worker;

use control_plane_core::time::Wall;
use prost_types::Timestamp;

pub(crate) fn timestamp(wall: Wall) -> Timestamp {
    Timestamp { seconds: wall.0.div_euclid(1000), nanos: (wall.0.rem_euclid(1000) * 1_000_000) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_have_positive_nanos() {
        assert_eq!(timestamp(Wall(1_500)), Timestamp { seconds: 1, nanos: 500_000_000 });
        assert_eq!(timestamp(Wall(-1)), Timestamp { seconds: -1, nanos: 999_000_000 });
    }
}
