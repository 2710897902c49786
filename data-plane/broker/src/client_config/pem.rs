//! PEM text as it stands in configs: often in one line, or with blanks. OpenSSL wants lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A block of PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// `CERTIFICATE`, `PRIVATE KEY`...
    pub label: String,
    /// The whole block, in lines.
    pub text: String,
}

impl Block {
    /// The block of some bytes.
    pub(crate) fn new(label: &str, bytes: &[u8]) -> Self {
        Self { label: label.to_owned(), text: lines(label, &STANDARD.encode(bytes)) }
    }

    pub(crate) fn is_certificate(&self) -> bool {
        self.label.ends_with("CERTIFICATE")
    }

    pub(crate) fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }
}

fn lines(label: &str, body: &str) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, c) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text + &format!("\n-----END {label}-----\n")
}

/// All blocks of a text; what stands between them is left out.
///
/// # Errors
/// For a block without its end.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, after)) = after.split_once("-----") else { return Err("a BEGIN line has no end".to_owned()) };
        let end = format!("-----END {label}-----");
        let Some((body, after)) = after.split_once(&end) else { return Err(format!("there is no {end}")) };
        let text = match body.contains(':') {
            // Headers of an old encrypted key: their lines count.
            true => format!("-----BEGIN {label}-----{body}{end}\n"),
            false => lines(label, &body.split_whitespace().collect::<String>()),
        };
        found.push(Block { label: label.to_owned(), text });
        rest = after;
    }
    Ok(found)
}

/// The blocks that pass, one after the other; an error if there is none.
pub(crate) fn only(blocks: &[Block], what: &str, is_wanted: fn(&Block) -> bool) -> Result<String, String> {
    let wanted: String = blocks.iter().filter(|block| is_wanted(block)).map(|block| block.text.as_str()).collect();
    match wanted.is_empty() {
        true => Err(format!("holds no {what} in PEM (-----BEGIN ...-----)")),
        false => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_becomes_many() {
        let body = "A".repeat(70);
        let text =
            format!("x -----BEGIN CERTIFICATE----- {} {} -----END CERTIFICATE-----\\n", &body[..10], &body[10..]);
        let found = blocks(&text).unwrap();
        let lines: Vec<&str> = found[0].text.lines().collect();
        assert_eq!(lines, ["-----BEGIN CERTIFICATE-----", &body[..64], &body[..6], "-----END CERTIFICATE-----"]);
        assert_eq!(Block::new("X", &[0; 3]).text, "-----BEGIN X-----\nAAAA\n-----END X-----\n");
    }

    #[test]
    fn kinds_are_told_apart() {
        let text = ["CERTIFICATE", "ENCRYPTED PRIVATE KEY", "CERTIFICATE"].map(|label| lines(label, "AA")).concat();
        let found = blocks(&text).unwrap();
        assert_eq!(only(&found, "certificate", Block::is_certificate).unwrap(), lines("CERTIFICATE", "AA").repeat(2));
        assert_eq!(only(&found, "key", Block::is_key).unwrap(), lines("ENCRYPTED PRIVATE KEY", "AA"));
        assert!(only(&[], "certificate", Block::is_certificate).unwrap_err().contains("no certificate"));
        assert!(blocks("-----BEGIN CERTIFICATE-----\nAAAA").is_err());
    }
}
