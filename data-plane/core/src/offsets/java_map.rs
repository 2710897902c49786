//! The offsets file of Connect's standalone mode (`offset.storage.file.filename`): a `java.util.HashMap<byte[], byte[]>` in the
//! Java Object Serialization Stream Protocol, version 5.
//!
//! Reads and writes exactly that shape and refuses any other stream, so that a file that is something else is never overwritten.
//! Does no I/O.

const STREAM_HEADER: &[u8] = b"\xac\xed\x00\x05";
/// `TC_OBJECT` and the class description of `java.util.HashMap`: serialVersionUID 362498820763181265, flags `SC_WRITE_METHOD` and
/// `SC_SERIALIZABLE`, fields `float loadFactor` and `int threshold`, no annotations, no superclass. Takes handles 0 and 1.
const HASH_MAP: &[u8] = b"\x73\x72\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02\
    F\x00\x0aloadFactorI\x00\x09thresholdxp";
/// Class description of `byte[]`: serialVersionUID -5984413125824719648, flag `SC_SERIALIZABLE`, no fields. Takes a handle.
const BYTE_ARRAY: &[u8] = b"\x72\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00xp";

const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_ARRAY: u8 = 0x75;
const TC_BLOCK_DATA: u8 = 0x77;
const TC_END_BLOCK_DATA: u8 = 0x78;
const FIRST_HANDLE: u32 = 0x7e_0000;
/// Handles 0 and 1 are the map's class and the map.
const HANDLES_OF_MAP: usize = 2;
const LOAD_FACTOR: f32 = 0.75;

/// A key or value: bytes, or Java's null.
pub type Bytes = Option<Vec<u8>>;

/// A stream that is not a serialized `HashMap<byte[], byte[]>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Java-serialized HashMap of byte arrays: {problem} at byte {at}")]
pub struct NotAJavaMap {
    /// What was expected or found.
    pub problem: &'static str,
    /// Where.
    pub at: usize,
}

/// Writes entries in the order given. Keys must differ.
#[must_use]
pub fn write<K: AsRef<[u8]>, V: AsRef<[u8]>>(entries: &[(Option<K>, Option<V>)]) -> Vec<u8> {
    let capacity = (entries.len() * 4).div_ceil(3).next_power_of_two().max(16) as u32;
    let threshold = if entries.is_empty() { 0 } else { (capacity as f32 * LOAD_FACTOR) as u32 };
    let mut out = [STREAM_HEADER, HASH_MAP].concat();
    out.extend_from_slice(&LOAD_FACTOR.to_be_bytes());
    out.extend_from_slice(&threshold.to_be_bytes());
    out.extend_from_slice(&[TC_BLOCK_DATA, 8]);
    out.extend_from_slice(&capacity.to_be_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    let mut class_written = false;
    let mut write_bytes = |bytes: Option<&[u8]>| {
        let Some(bytes) = bytes else { return out.push(TC_NULL) };
        out.push(TC_ARRAY);
        if class_written {
            out.push(TC_REFERENCE);
            out.extend_from_slice(&(FIRST_HANDLE + HANDLES_OF_MAP as u32).to_be_bytes());
        } else {
            out.extend_from_slice(BYTE_ARRAY);
            class_written = true;
        }
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    for (key, value) in entries {
        write_bytes(key.as_ref().map(AsRef::as_ref));
        write_bytes(value.as_ref().map(AsRef::as_ref));
    }
    out.push(TC_END_BLOCK_DATA);
    out
}

/// Reads entries in the stream's order. Of equal keys, the last entry counts. No bytes at all are an empty map, as in Connect.
///
/// # Errors
/// If the stream is anything else than what [`write()`] or Java writes for such a map, cut short or followed by more.
pub fn read(stream: &[u8]) -> Result<Vec<(Bytes, Bytes)>, NotAJavaMap> {
    if stream.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader { stream, at: 0, handles: Vec::new() };
    reader.expect(STREAM_HEADER, "the header of a Java object stream is missing")?;
    reader.expect(HASH_MAP, "the object is no java.util.HashMap")?;
    reader.take(8)?;
    reader.expect(&[TC_BLOCK_DATA, 8], "the map's size is missing")?;
    reader.take(4)?;
    let size = reader.length()?;
    let mut entries = Vec::new();
    for _ in 0..size {
        let key = reader.bytes()?;
        entries.push((key, reader.bytes()?));
    }
    reader.expect(&[TC_END_BLOCK_DATA], "the end of the map is missing")?;
    if reader.at != stream.len() {
        return reader.fail("more than one object");
    }
    Ok(entries)
}

/// What a handle after the map's two stands for.
enum Handle {
    ByteArrayClass,
    Array { from: usize, len: usize },
}

struct Reader<'a> {
    stream: &'a [u8],
    at: usize,
    handles: Vec<Handle>,
}

impl<'a> Reader<'a> {
    fn fail<T>(&self, problem: &'static str) -> Result<T, NotAJavaMap> {
        Err(NotAJavaMap { problem, at: self.at })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], NotAJavaMap> {
        match self.stream[self.at..].get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => self.fail("the stream is cut short"),
        }
    }

    fn expect(&mut self, expected: &[u8], problem: &'static str) -> Result<(), NotAJavaMap> {
        if !self.stream[self.at..].starts_with(expected) {
            return self.fail(problem);
        }
        self.at += expected.len();
        Ok(())
    }

    fn number(&mut self) -> Result<u32, NotAJavaMap> {
        Ok(self.take(4)?.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    fn length(&mut self) -> Result<usize, NotAJavaMap> {
        match i32::try_from(self.number()?) {
            Ok(length) => Ok(length as usize),
            Err(_) => self.fail("a negative length"),
        }
    }

    fn handle(&mut self) -> Result<&Handle, NotAJavaMap> {
        let number = self.number()?.wrapping_sub(FIRST_HANDLE) as usize;
        let at = self.at;
        let handle = number.checked_sub(HANDLES_OF_MAP).and_then(|index| self.handles.get(index));
        handle.ok_or(NotAJavaMap { problem: "a reference to something else than a byte array", at })
    }

    fn bytes(&mut self) -> Result<Bytes, NotAJavaMap> {
        match self.take(1)? {
            [TC_NULL] => Ok(None),
            [TC_REFERENCE] => match *self.handle()? {
                Handle::Array { from, len } => Ok(Some(self.stream[from..from + len].to_vec())),
                Handle::ByteArrayClass => self.fail("a class where bytes belong"),
            },
            [TC_ARRAY] => {
                self.class_of_array()?;
                let len = self.length()?;
                self.handles.push(Handle::Array { from: self.at, len });
                Ok(Some(self.take(len)?.to_vec()))
            }
            _ => {
                self.at -= 1;
                self.fail("a key or value is no byte array")
            }
        }
    }

    fn class_of_array(&mut self) -> Result<(), NotAJavaMap> {
        if self.stream[self.at..].starts_with(BYTE_ARRAY) {
            self.at += BYTE_ARRAY.len();
            self.handles.push(Handle::ByteArrayClass);
            return Ok(());
        }
        self.expect(&[TC_REFERENCE], "an array of something else than bytes")?;
        match self.handle()? {
            Handle::ByteArrayClass => Ok(()),
            Handle::Array { .. } => self.fail("an array where a class belongs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN_BY_JAVA: &[u8] = include_bytes!("../../testdata/offsets_written_by_java.bin");
    const HUNDRED_WRITTEN_BY_JAVA: &[u8] = include_bytes!("../../testdata/hundred_offsets_written_by_java.bin");

    #[test]
    fn what_java_wrote_is_read_and_written_the_same() {
        let entries = read(WRITTEN_BY_JAVA).expect("a map");
        assert_eq!(entries[0].0.as_deref(), Some(&b"[\"local-file-source\",{\"filename\":\"test.txt\"}]"[..]));
        assert_eq!(entries[0].1.as_deref(), Some(&b"{\"position\":30}"[..]));
        assert_eq!((entries.len(), &entries[1].1), (2, &None));
        assert_eq!(write(&entries), WRITTEN_BY_JAVA);
        let hundred = read(HUNDRED_WRITTEN_BY_JAVA).expect("a map");
        assert_eq!(hundred.len(), 102);
        assert_eq!(write(&hundred), HUNDRED_WRITTEN_BY_JAVA);
    }

    #[test]
    fn an_array_used_twice_is_a_reference() {
        let mut stream = write(&[(Some("k"), Some("v"))]);
        let value_at = stream.len() - b"\x75\x71\x00\x7e\x00\x02\x00\x00\x00\x01vx".len();
        stream.truncate(value_at);
        stream.extend_from_slice(b"\x71\x00\x7e\x00\x03x");
        assert_eq!(read(&stream), Ok(vec![(Some(b"k".to_vec()), Some(b"k".to_vec()))]));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(read(b""), Ok(Vec::new()));
        for length in 1..WRITTEN_BY_JAVA.len() {
            assert!(read(&WRITTEN_BY_JAVA[..length]).is_err(), "cut at {length}");
        }
        assert!(read(&[WRITTEN_BY_JAVA, b"x"].concat()).is_err());
        let error = read(b"position=30").expect_err("refused").to_string();
        assert_eq!(
            error,
            "not a Java-serialized HashMap of byte arrays: the header of a Java object stream is missing at byte 0"
        );
        for at in 0..WRITTEN_BY_JAVA.len() {
            let mut changed = WRITTEN_BY_JAVA.to_vec();
            changed[at] ^= 0x55;
            // Whatever the change, no panic.
            drop(read(&changed));
        }
    }

    /// Java itself reads what was written; where there is no Java, there is nothing to show.
    #[test]
    fn java_reads_what_is_written() {
        let folder = std::env::temp_dir().join(format!("ferry-java-map-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let program = "import java.io.*; import java.util.*; public class Show { public static void main(String[] a) throws Exception {\
            for (Map.Entry<?, ?> e : ((HashMap<?, ?>) new ObjectInputStream(new FileInputStream(a[0])).readObject()).entrySet())\
            System.out.println(new String((byte[]) e.getKey()) + \"=\" + (e.getValue() == null ? null : new String((byte[]) e.getValue()))); } }";
        let (source, data) = (folder.join("Show.java"), folder.join("offsets"));
        std::fs::write(&source, program).expect("writes");
        std::fs::write(&data, write(&[(Some("b"), Some("2")), (Some("a"), None), (Some("c"), Some(""))]))
            .expect("writes");
        let shown = std::process::Command::new("java").arg(&source).arg(&data).output();
        std::fs::remove_dir_all(&folder).expect("removes");
        let Ok(shown) = shown else { return };
        let text = String::from_utf8_lossy(&shown.stdout);
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["a=null", "b=2", "c="], "{}", String::from_utf8_lossy(&shown.stderr));
    }
}
