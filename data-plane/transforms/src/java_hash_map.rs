//! The order in which Java's `HashMap` gives its entries, where it shows in what Connect does.

/// `String.hashCode`.
fn hash(text: &str) -> u32 {
    text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// Sorts entries, given in the order of their insertion into an empty map, as the map would give them. Their keys differ.
pub(crate) fn sort<V>(entries: &mut [(String, V)]) {
    let mut buckets = 16_u32;
    while entries.len() > buckets as usize / 4 * 3 {
        buckets *= 2;
    }
    // Within a bucket the order of insertion stays, in splits of the table as well.
    entries.sort_by_key(|(key, _)| {
        let hash = hash(key);
        (hash ^ hash >> 16) & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_as_from_java() {
        let mut entries: Vec<_> = ["name", "id", "Größe", "a", "ts", "zz"].map(|key| (key.to_owned(), ())).into();
        sort(&mut entries);
        let keys: Vec<_> = entries.iter().map(|(key, ())| key.as_str()).collect();
        assert_eq!(keys, ["zz", "Größe", "a", "name", "id", "ts"]);
        let mut entries: Vec<_> = (0..14).map(|n| (format!("f{}", n * 7), ())).collect();
        sort(&mut entries);
        let numbers: Vec<_> = entries.iter().map(|(key, ())| &key[1..]).collect();
        assert_eq!(numbers, "63 84 21 42 56 77 14 35 0 49 28 7 70 91".split(' ').collect::<Vec<_>>());
    }
}
