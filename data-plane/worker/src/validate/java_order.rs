//! The order in which Java's `HashMap` iterates: some of Kafka Connect's answers show it.

/// Texts in the order in which a `HashMap` with these keys, put in this order, iterates.
pub(super) fn hash_map_order(mut keys: Vec<String>) -> Vec<String> {
    let mut capacity = 16;
    while keys.len() > capacity / 4 * 3 {
        capacity *= 2;
    }
    keys.sort_by_key(|key| {
        let hash = key.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        (hash ^ (hash >> 16)) as usize & (capacity - 1)
    });
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_as_from_java() {
        let defined = ["converter.type", "schemas.enable", "schemas.cache.size", "decimal.format"];
        let order = hash_map_order(defined.map(str::to_owned).to_vec());
        assert_eq!(order, ["decimal.format", "converter.type", "schemas.cache.size", "schemas.enable"]);
    }
}
