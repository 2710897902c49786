//! Reading a small text file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest file that a provider reads, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;

/// The file's text. The reason, if there is none, holds nothing of it.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    // Looked at before it is opened: to open a named pipe is to wait for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}
