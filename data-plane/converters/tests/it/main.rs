//! How the converters are found. What they do is compared with Kafka Connect by deploy/golden.

mod lossy;
mod properties;

use data_plane_connector_api::{PluginKind, Plugins};
use data_plane_converters::Converters;

#[test]
fn converters_are_found_by_class_and_alias() {
    let plugins = Plugins::new(&[&Converters]);
    for name in ["JsonConverter", "Json", "org.apache.kafka.connect.json.JsonConverter"] {
        let found = plugins.find(PluginKind::Converter, name).expect("found");
        assert_eq!(found.class, "org.apache.kafka.connect.json.JsonConverter");
    }
    assert!(plugins.find(PluginKind::HeaderConverter, "StringConverter").is_ok());
    let error = plugins.find(PluginKind::Converter, "AvroConverter").expect_err("unknown").to_string();
    assert!(
        error.contains(
            "implements Converter and which name matches AvroConverter, available converters are: PluginDesc{"
        )
    );
}
