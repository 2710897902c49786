//! Java's own trust stores (JKS), which keytool made until Java 8. Reads the certificates; the digest at the end, which
//! proves the password and not the content, is not looked at.

/// The first bytes of a store.
pub(crate) const MAGIC: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];

/// The DER of all trusted certificates.
///
/// # Errors
/// If the store is cut off, or of another version.
pub(crate) fn trusted_certificates(store: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut reader = Reader(store);
    if reader.take(4)? != MAGIC {
        return Err("is no JKS store".to_owned());
    }
    let version = reader.number()?;
    if !(1..=2).contains(&version) {
        return Err(format!("is a JKS store of the unknown version {version}"));
    }
    let mut certificates = Vec::new();
    for _ in 0..reader.number()? {
        let tag = reader.number()?;
        reader.text()?;
        // When it was made, in milliseconds.
        reader.take(8)?;
        match tag {
            1 => {
                let length = reader.number()?;
                reader.take(length)?;
                for _ in 0..reader.number()? {
                    reader.certificate(version)?;
                }
            }
            2 => certificates.push(reader.certificate(version)?),
            other => return Err(format!("holds an entry of the unknown kind {other}")),
        }
    }
    Ok(certificates)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<usize, String> {
        self.take(4).map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Skips a text with its length before it.
    fn text(&mut self) -> Result<(), String> {
        let length = self.take(2)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        self.take(length).map(drop)
    }

    fn certificate(&mut self, version: usize) -> Result<&'a [u8], String> {
        if version == 2 {
            self.text()?;
        }
        let length = self.number()?;
        self.take(length)
    }
}
