//! The committed generated code equals what the `.proto` files give. `FERRY_UPDATE=1` rewrites it.

use prost::Message;
use std::{fs, path::Path};

const FILES: [&str; 4] =
    ["ferry/v1/connector.proto", "ferry/v1/worker.proto", "ferry/v1/plugin.proto", "ferry/worker/v1/session.proto"];

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/gen");
    let fresh = tempfile::tempdir().expect("temporary directory");

    let mut compiler = protox::Compiler::new([root]).expect("compiler");
    compiler.include_imports(true).include_source_info(true);
    for file in FILES {
        compiler.open_file(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let descriptors = compiler.file_descriptor_set();
    tonic_prost_build::configure().out_dir(fresh.path()).btree_map(".").compile_fds(descriptors).expect("generation");
    let mut lean = protox::Compiler::new([root]).expect("compiler");
    lean.include_imports(true);
    for file in FILES {
        lean.open_file(file).expect("opened before");
    }
    fs::write(fresh.path().join("descriptors.bin"), lean.file_descriptor_set().encode_to_vec()).expect("write");

    for name in ["ferry.v1.rs", "ferry.worker.v1.rs", "descriptors.bin"] {
        let new = fs::read(fresh.path().join(name)).expect("generated file");
        if std::env::var_os("FERRY_UPDATE").is_some() {
            fs::create_dir_all(&committed).expect("directory");
            fs::write(committed.join(name), &new).expect("update");
        }
        let old = fs::read(committed.join(name)).unwrap_or_default();
        assert!(old == new, "src/gen/{name} is stale: run FERRY_UPDATE=1 cargo test -p proto");
    }
}
