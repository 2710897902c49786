//! The file that is copied, and the check of its copies.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A text file of numbered lines of one length.
pub(crate) struct Sample {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// How many lines it has.
    pub(crate) lines: u64,
    /// Its size, line ends included.
    pub(crate) bytes: u64,
}

impl Sample {
    /// Writes `lines` lines of `line_bytes` bytes (line end not counted; 12 at least, for the number).
    pub(crate) fn write(path: PathBuf, lines: u64, line_bytes: usize) -> Result<Self> {
        let mut file = BufWriter::new(File::create(&path).with_context(|| format!("creating {}", path.display()))?);
        // Differs from line to line, so that nothing gains from repetition.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut line = Vec::with_capacity(line_bytes + 1);
        for number in 0..lines {
            line.clear();
            write!(line, "{number:012}")?;
            while line.len() < line_bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                line.push(b'a' + u8::try_from((state >> 33) % 26)?);
            }
            line.push(b'\n');
            file.write_all(&line)?;
        }
        file.flush()?;
        let bytes = fs::metadata(&path)?.len();
        Ok(Self { path, lines, bytes })
    }

    /// An error that tells the first difference, unless `copy` has the same lines in the same order.
    pub(crate) fn compare(&self, copy: &Path) -> Result<()> {
        let mut expected = BufReader::new(File::open(&self.path)?);
        let mut found = BufReader::new(File::open(copy).with_context(|| format!("opening {}", copy.display()))?);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for number in 0..=self.lines {
            one.clear();
            other.clear();
            expected.read_until(b'\n', &mut one)?;
            found.read_until(b'\n', &mut other)?;
            if one != other {
                let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end().to_owned();
                bail!(
                    "{} differs in line {}: {:?} instead of {:?}",
                    copy.display(),
                    number + 1,
                    text(&other),
                    text(&one)
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_with_a_line_twice_or_missing_is_told_from_a_true_one() -> Result<()> {
        let folder = tempfile::TempDir::new()?;
        let sample = Sample::write(folder.path().join("sample"), 3, 20)?;
        assert_eq!(sample.bytes, 63);
        sample.compare(&sample.path)?;

        let text = fs::read_to_string(&sample.path)?;
        let last = text.lines().last().unwrap_or_default();
        for wrong in [format!("{text}{last}\n"), text.replacen(&format!("{last}\n"), "", 1)] {
            let copy = folder.path().join("copy");
            fs::write(&copy, wrong)?;
            assert!(sample.compare(&copy).unwrap_err().to_string().contains("line"));
        }
        Ok(())
    }
}
